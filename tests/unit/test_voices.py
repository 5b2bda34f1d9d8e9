from __future__ import annotations

import pytest

from gateway.channels.voice import voice_for
from gateway.prompts import Option, Prompt, opt_out_key
from gateway.settings import Voice as Speaker


def choice(options: int) -> Prompt:
    return Prompt(kind="choice", options=tuple(Option(f"o{n}", f"Option {n}") for n in range(options)))


@pytest.mark.parametrize(
    "language, spoken_as",
    [
        ("en", "en-US"),
        ("en-GB", "en-US"),
        ("EN_gb", "en-US"),
        ("zh", "cmn-CN"),
        ("zh-CN", "cmn-CN"),
        ("zh-Hans", "cmn-CN"),
        ("zh-Hans-SG", "cmn-CN"),
        ("zh-Hant", "yue-CN"),
        ("zh-HK", "yue-CN"),
        ("zh-Hant-HK", "yue-CN"),
        ("zh-TW", "cmn-CN"),
        ("zh-Hant-TW", "cmn-CN"),
        ("el", "el-GR"),
        ("el-CY", "el-GR"),
        ("sw", None),
        ("", None),
    ],
)
def test_voice_for(language: str, spoken_as: str | None) -> None:
    found = voice_for(language, {})
    assert (found.language if found else None) == spoken_as


@pytest.mark.parametrize(
    "language, expected",
    [("zh-HK", "mine"), ("zh-Hant", "mine"), ("sw", "own"), ("sw-KE", "own"), ("en", "Polly.Joanna-Neural")],
)
def test_the_operators_voices_come_first(language: str, expected: str) -> None:
    voices = {"zh-Hant": Speaker("mine", "yue-CN"), "sw": Speaker("own", "sw-KE")}
    found = voice_for(language, voices)
    assert found is not None
    assert found.voice == expected


@pytest.mark.parametrize(
    "prompt, key",
    [
        (None, "9"),
        (Prompt(kind="acknowledge"), "9"),
        (Prompt(kind="yes_no"), "9"),
        (choice(8), "9"),
        (choice(9), None),
        (Prompt(kind="scale", min=0, max=10), None),
        (Prompt(kind="text"), None),
    ],
)
def test_the_key_that_stops_calls(prompt: Prompt | None, key: str | None) -> None:
    assert opt_out_key(prompt) == key
