from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.preferences.locales import chain, pick, valid_locale


@pytest.mark.parametrize(
    "wanted, expected",
    [
        ("zh-HK", ("zh-HK", "zh-Hant", "zh", "el", "en")),
        ("zh-TW", ("zh-TW", "zh-Hant", "zh", "el", "en")),
        ("zh-MO", ("zh-MO", "zh-Hant", "zh", "el", "en")),
        ("zh-CN", ("zh-CN", "zh-Hans", "zh", "el", "en")),
        ("zh-SG", ("zh-SG", "zh-Hans", "zh", "el", "en")),
        ("zh-Hans-HK", ("zh-Hans-HK", "zh-Hans", "zh", "el", "en")),
        ("zh", ("zh", "zh-Hans", "el", "en")),
        ("yue", ("yue", "zh-Hant", "zh", "el", "en")),
        ("el-CY", ("el-CY", "el", "en")),
        ("en_gb", ("en-GB", "en", "el")),
        ("sr-Latn-RS", ("sr-Latn-RS", "sr-Latn", "sr", "el", "en")),
        ("nonsense!", ("el", "en")),
        (None, ("el", "en")),
    ],
)
def test_the_languages_to_look_for(wanted: str | None, expected: tuple[str, ...]) -> None:
    assert chain(wanted, "el") == expected


@pytest.mark.parametrize(
    "keys, wanted, default, expected",
    [
        (["en", "el"], "el-CY", "en", "el"),
        (["en", "zh-Hans", "zh-Hant"], "zh-HK", "en", "zh-Hant"),
        (["en", "zh-Hans", "zh-Hant"], "zh", "en", "zh-Hans"),
        (["en", "zh-CN"], "zh-Hans", "en", "zh-CN"),
        (["zh_hant", "en"], "zh-TW", "en", "zh_hant"),
        (["en", "zh-Hans"], "zh-HK", "en", "zh-Hans"),
        (["el", "en-GB"], "en-US", "el", "en-GB"),
        (["el", "en"], "fr", "el", "el"),
        (["de", "en"], "fr", "el", "en"),
        (["en-GB", "en"], "en-GB", "en", "en-GB"),
        (["de"], "fr", "el", None),
        ([], "en", "en", None),
    ],
)
def test_the_text_that_suits_best(keys: list[str], wanted: str, default: str, expected: str | None) -> None:
    table = {key: f"text in {key}" for key in keys}
    assert pick(table, wanted, default) == (None if expected is None else (expected, table[expected]))


@pytest.mark.parametrize(
    "tag, expected",
    [
        ("en", "en"), ("EL-cy", "el-CY"), ("zh_hk", "zh-HK"), ("zh-hans-cn", "zh-Hans-CN"), ("es-419", "es-419"),
        ("iw", "he"), ("en-UK", "en-GB"), (" en ", "en"),
    ],
)  # fmt: skip
def test_tags_in_canonical_form(tag: str, expected: str) -> None:
    assert valid_locale(tag) == expected


@pytest.mark.parametrize(
    "tag", ["", "e", "english", "qq", "en-XQ", "zh-Abcd", "en-US-POSIX", "x-mine", "en--US", "-", "zh-" * 50]
)
def test_what_is_no_language_is_refused_with_the_remedy(tag: str) -> None:
    with pytest.raises(ValueError, match=r"tag such as (en|zh-Hans)"):
        valid_locale(tag)


@given(st.text(max_size=40))
def test_a_tag_is_canonical_once_and_for_all_or_refused(tag: str) -> None:
    try:
        found = valid_locale(tag)
    except ValueError:
        assert chain(tag, "el") == ("el", "en")
    else:
        assert valid_locale(found) == found
        assert chain(tag, "el")[0] == found
