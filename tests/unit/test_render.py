from __future__ import annotations

import base64
import time

import msgspec
import pytest

from gateway.content.content import Body, Content, LocaleParts, Template, problems
from gateway.prompts import Prompt
from tests.support.words import (
    ACKNOWLEDGE,
    CHOICE,
    NPS,
    OUTAGE,
    STARS,
    TEXT,
    YES_NO,
    template,
    unfit,
    words,
)


@pytest.mark.parametrize(
    "prompt,expected",
    [
        (None, "Hello"),
        (ACKNOWLEDGE, "Hello\nReply 1 to confirm."),
        (YES_NO, "Hello\nIs it solved?\nReply 1 for yes, 2 for no."),
        (NPS, "Hello\nReply with a number from 0 to 10."),
        (STARS, "Hello\nHow was it?\nReply with a number from 1 to 5."),
        (CHOICE, "Hello\nReply with a number: 1 = 20 EUR & more, 2 = A month"),
        (TEXT, "Hello\nWhat was it?\nJust reply with your answer."),
    ],
)
def test_an_sms_tells_how_to_reply(prompt: Prompt | None, expected: str) -> None:
    assert words(Content(text="Hello"), "sms", prompt=prompt).text == expected


@pytest.mark.parametrize(
    "prompt,asks",
    [
        (None, ""),
        (ACKNOWLEDGE, "To confirm, press 1."),
        (YES_NO, "Is it solved? For yes, press 1. For no, press 2."),
        (NPS, "Enter a number from 0 to 10, then press the hash key."),
        (STARS, "How was it? Press a number from 1 to 5."),
        (CHOICE, "For 20 EUR & more, press 1. For A month, press 2."),
    ],
)
def test_a_call_tells_which_key_to_press(prompt: Prompt | None, asks: str) -> None:
    said = words(Content(text="Hello", speech="Hello there"), "voice", prompt=prompt)
    assert (said.speech, said.asks) == ("Hello there", asks)
    assert said.thanks
    assert said.again


def test_a_call_offers_key_nine_to_stop_where_it_is_free() -> None:
    stop = "To get no more of these calls, press 9."
    assert words(Content(text="Hi"), "voice", carries_unsubscribe=True).asks == stop
    assert words(Content(text="Hi"), "voice", carries_unsubscribe=True, prompt=ACKNOWLEDGE).asks.endswith(stop)
    assert stop not in words(Content(text="Hi"), "voice", carries_unsubscribe=True, prompt=NPS).asks


def test_instructions_follow_the_language_of_the_text() -> None:
    greek = words(OUTAGE, "sms", language="el-CY", prompt=YES_NO)
    assert greek.language == "el"
    assert greek.text.endswith("Λύθηκε;\nΑπαντήστε 1 για ναι, 2 για όχι.")
    chinese = words(OUTAGE, "sms", language="zh-HK", prompt=ACKNOWLEDGE)
    assert chinese.language == "zh-Hant"
    assert chinese.text.endswith("\n回覆 1 確認。")
    french = words(OUTAGE, "sms", language="fr", prompt=ACKNOWLEDGE)
    assert french.language == "en"
    assert french.text.endswith("\nReply 1 to confirm.")


@pytest.mark.parametrize(
    "content,wanted,default,language",
    [
        (Content(text="Hello"), "el", "en", "en"),
        (Content(text="Hello", language="fr"), "el", "en", "fr"),
        (Content(text="Καλημέρα σας"), "en", "en", "el"),
        (Content(text="您好"), "zh-HK", "en", "zh-HK"),
        (Content(text="您好"), "en", "en", "zh-Hans"),
        (Content(text="您好"), "en", "zh-Hant", "zh-Hant"),
        (Content(text="Hello"), "en-GB", "el", "en-GB"),
        (Content(text="Hello"), None, "zh-Hans", "en"),
        (Content(text="12345"), None, "el", "el"),
        (Content(text={"en": "Hello", "el": "Γεια"}), "el-CY", "en", "el"),
        (Content(text={"el": "Γεια", "zh-Hant": "您好"}), "fr", "de", "el"),
        (Content(text={"de": "Hallo", "fr": "Salut"}, language="fr"), "el", "el", "fr"),
        (Content(text="Hello", speech={"el": "Γεια"}), "el", "en", "el"),
    ],
)
def test_voice_speaks_the_language_of_the_text(
    content: Content, wanted: str | None, default: str, language: str
) -> None:
    asked: list[str] = []

    def voices(tag: str) -> bool:
        asked.append(tag)
        return True

    assert words(content, "voice", language=wanted, default_locale=default, voices=voices).language == language
    assert asked == [language]


def test_a_language_without_a_voice_is_not_spoken() -> None:
    assert unfit(Content(text="Γεια σας"), "voice", voices="en".__eq__) == "no_voice"


def test_keys_cannot_answer_with_words() -> None:
    assert unfit(Content(text="Hi"), "voice", prompt=TEXT) == "cannot_prompt"


def test_each_channel_takes_the_part_made_for_it_else_text() -> None:
    body = template(
        en=LocaleParts(subject="S", text="the text", sms="short", speech="spoken", html="<p>rich</p>"),
        el=LocaleParts(text="κείμενο"),
    )
    assert words(body, "sms").text == "short"
    assert words(body, "voice").speech == "spoken"
    assert words(body, "wechat").text == "the text"
    assert "<p>rich</p>" in (words(body, "email").html or "")
    for channel in ("sms", "wechat"):
        assert words(body, channel, language="el").text == "κείμενο"
    assert words(body, "voice", language="el").speech == "κείμενο"
    assert words(body, "email", language="el").subject == "κείμενο"
    assert words(body, "push", language="el", prompt=ACKNOWLEDGE).text.startswith("κείμενο\n\n")


def test_a_locale_without_the_channels_part_is_passed_over() -> None:
    body = template(el=LocaleParts(speech="λόγια"), en=LocaleParts(text="text"))
    assert words(body, "sms", language="el").language == "en"
    assert words(body, "voice", language="el").language == "el"
    only_spoken = template(en=LocaleParts(speech="spoken"))
    for channel in ("sms", "email", "wechat"):
        assert unfit(only_spoken, channel) == "no_template"


def test_literal_content_is_never_a_template() -> None:
    content = Content(subject="{{ x }}", text="{% if %} {{ 1 }}", html="<p>{{ x }}</p>", speech="{{ y }}")
    assert problems(Body(content=content)) == []
    assert words(content, "sms").text == "{% if %} {{ 1 }}"
    assert words(content, "voice").speech == "{{ y }}"
    mail = words(content, "email")
    assert mail.subject == "{{ x }}"
    assert "<p>{{ x }}</p>" in (mail.html or "")


def test_what_is_too_long_is_refused_not_cut() -> None:
    assert len(words(Content(text="a" * 1530), "sms").text) == 1530
    assert unfit(Content(text="a" * 1531), "sms") == "too_long"
    assert unfit(Content(text="α" * 671), "sms") == "too_long"
    assert unfit(Content(text="a" * 3001), "voice") == "too_long"
    assert unfit(Content(text="您" * 700), "wechat") == "too_long"


def test_a_long_chat_message_stands_behind_a_link() -> None:
    found = words(Content(subject="News", text="您" * 700), "wechat", prompt=ACKNOWLEDGE).text
    assert found.startswith("News\n点此阅读：https://g.example/m/tok\n\n回复 1 确认。")


def test_what_a_channel_cannot_carry_stands_behind_a_link() -> None:
    data = base64.b64encode(b"%PDF-1.7").decode()
    content = msgspec.convert(
        {"text": "Your bill", "attachments": [{"name": "bill.pdf", "type": "application/pdf", "data": data}]}, Content
    )
    assert words(content, "sms").text == "Your bill\nFiles: https://g.example/m/tok"
    (file,) = words(content, "email").attachments
    assert (file.name, file.type, file.data) == ("bill.pdf", "application/pdf", b"%PDF-1.7")
    rich = Content(subject="News", html="<h1>News</h1>")
    assert words(rich, "sms").text == "News\nRead it here: https://g.example/m/tok"
    assert "https://g.example/m/tok" in words(rich, "email").text
    assert unfit(Content(html="<h1>News</h1>"), "sms") == "no_template"


@pytest.mark.parametrize("channel", ["sms", "voice", "email", "wechat"])
def test_subjects_and_speech_stay_on_one_line(channel: str) -> None:
    content = Content(subject="a\r\nBcc: x@example.com\x00", text="one\r\ntwo\x07\x1b[0m", speech="one\r\n\r\ntwo\x00")
    found = words(content, channel)
    assert "\n" not in found.subject + found.speech + found.asks
    every = found.subject + found.text + found.speech + (found.html or "")
    assert not any(ord(char) < 32 and char != "\n" for char in every)


def test_dates_are_in_the_readers_zone_and_form() -> None:
    body = Body(
        template=Template(id="t", locales={"en": LocaleParts(text="{{ at | datetime }}")}),
        data={"at": "2026-11-22T23:30:00Z"},
    )
    assert words(body, "sms", language="en-GB", time_zone="Asia/Shanghai").text == "23 Nov 2026, 07:30"
    assert words(body, "sms", language="el", time_zone="UTC").text == "Nov 22, 2026, 11:30 PM"


@pytest.mark.parametrize("channel,most", [("sms", 1.5), ("voice", 1.5), ("wechat", 1.5), ("email", 5)])
def test_rendering_is_fast(channel: str, most: float) -> None:
    """Ten times the measured cost, in milliseconds: this catches a lost cache, not a slow machine."""
    words(OUTAGE, channel, prompt=ACKNOWLEDGE)
    costs: list[float] = []
    for _ in range(50):
        begun = time.perf_counter()
        words(OUTAGE, channel, prompt=ACKNOWLEDGE)
        costs.append(time.perf_counter() - begun)
    assert sorted(costs)[5] * 1000 < most
