from __future__ import annotations

from typing import Any

import msgspec

from gateway.content.content import Body, Content, LocaleParts, Template, WeChatParts, problems
from gateway.content.render import FIELD_LIMITS
from gateway.content.words import WeChatTemplate
from gateway.settings_types import WeChatTemplate as DefaultTemplate
from tests.support.words import (
    ACKNOWLEDGE,
    CHOICE,
    DEFAULT,
    LINKS,
    OUTAGE,
    made,
    unfit,
    words,
)


def test_wechat_outside_its_window_needs_a_template() -> None:
    assert unfit(OUTAGE, "wechat", in_window=False) == "no_template"
    found = words(OUTAGE, "wechat", in_window=False, default_wechat_template=DEFAULT, language="zh-Hans").wechat
    assert found is not None
    assert (found.template_id, found.url) == ("D1", "https://g.example/m/tok")
    assert found.data["thing1"] == "Kypseli 服务中断"
    assert found.data["thing2"].startswith("Kypseli 目前发生服务中断")
    assert found.data["thing2"].endswith("…")
    assert len(found.data["thing2"]) <= FIELD_LIMITS["thing"]


def test_a_wechat_template_of_the_message_goes_before_the_default() -> None:
    wechat = WeChatParts(
        template_id="T9", data={"thing1": "{{ area }}", "time2": "{{ at | datetime }}"}, url="{{ link }}"
    )
    body = Body(
        template=Template(id="t", locales={"zh-Hans": LocaleParts(wechat=wechat)}),
        data={"area": "Kypseli\n1", "at": "2026-11-22T16:00:00Z", "link": "https://x.example/1"},
    )
    assert problems(body) == []
    options: dict[str, Any] = {"in_window": False, "default_wechat_template": DEFAULT, "language": "zh-Hans"}
    assert words(body, "wechat", **options).wechat == WeChatTemplate(
        "T9", {"thing1": "Kypseli 1", "time2": "2026年11月22日 18:00"}, "https://x.example/1"
    )
    asking = words(body, "wechat", prompt=ACKNOWLEDGE, **options).wechat
    assert asking is not None
    assert asking.url == LINKS.answer
    long = msgspec.structs.replace(body, data={**body.data, "area": "a" * 21})
    assert unfit(long, "wechat", **options) == "too_long"
    bad = msgspec.structs.replace(body, data={**body.data, "link": "javascript:x"})
    assert [pointer for pointer, _ in problems(bad)] == ["/data"]


def test_wechat_in_literal_content() -> None:
    content = msgspec.convert(
        {
            "wechat": {
                "template_id": "T1",
                "data": {"thing1": {"value": {"en": "Hello", "zh-Hant": "您好"}}, "number2": {"value": "7"}},
                "url": "https://x.example/2",
            }
        },
        Content,
    )
    assert problems(Body(content=content)) == []
    found = words(content, "wechat", in_window=False, language="zh-HK").wechat
    assert found == WeChatTemplate("T1", {"thing1": "您好", "number2": "7"}, "https://x.example/2")
    assert unfit(content, "sms") == "no_template"


def test_a_default_template_that_asks_for_more_than_there_is_does_not_fit() -> None:
    default = DefaultTemplate(id="D", data={"thing1": "{{ area }}", "time2": "{{ starts | time }}"})
    assert unfit(OUTAGE, "wechat", in_window=False, default_wechat_template=default) == "no_template"
    fits = DefaultTemplate(id="D", data={"thing1": "{{ area }}", "time2": "{{ restored_by | time }}"})
    assert made(OUTAGE, "wechat", in_window=False, default_wechat_template=fits)


def test_chat_text_says_how_to_reply_and_where_to_tap() -> None:
    found = words(Content(text="Hello"), "wechat", prompt=CHOICE).text
    assert found == (
        "Hello\n\nReply with a number: 1 = 20 EUR & more, 2 = A month\nOr answer here: https://g.example/a/tok"
    )
