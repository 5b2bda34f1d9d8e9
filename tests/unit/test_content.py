from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.content.content import Body, Content, problems
from tests.support.words import (
    OUTAGE,
)


@pytest.mark.parametrize(
    "content,pointers",
    [
        ({}, ["/content"]),
        ({"subject": "only"}, ["/content"]),
        ({"text": {}}, ["/content", "/content/text"]),
        ({"text": {"klingon!": "x"}}, ["/content/text/klingon!"]),
        ({"text": "x", "language": "english"}, ["/content/language"]),
        ({"text": "x" * 65_537}, ["/content/text"]),
        ({"text": " \n\u0007\u200b\u00a0"}, ["/content/text"]),
        ({"text": {"en": "x", "el": "\t", "zh-Hans": ""}}, ["/content/text/el", "/content/text/zh-Hans"]),
        ({"html": " ", "speech": "\u2028"}, ["/content/html", "/content/speech"]),
        ({"text": "", "html": "<p>x</p>", "subject": " "}, []),
        ({"text": "x", "subject": "x" * 999}, ["/content/subject"]),
        ({"wechat": {"template_id": " ", "data": {}}}, ["/content/wechat/template_id"]),
        ({"wechat": {"template_id": "T", "data": {"a b": "x"}}}, ["/content/wechat/data/a b"]),
        ({"wechat": {"template_id": "T", "url": "ftp://x"}}, ["/content/wechat/url"]),
        (
            {"text": "x", "attachments": [{"name": "../x", "type": "pdf", "data": "%%%"}]},
            ["/content/attachments/0/name", "/content/attachments/0/type", "/content/attachments/0/data"],
        ),
        (
            {"text": "x", "attachments": [{"name": "x", "type": "a/b", "data": "A" * 7_000_000}]},
            ["/content/attachments"],
        ),
    ],
)
def test_bad_content_is_named_at_once(content: dict[str, Any], pointers: list[str]) -> None:
    found = problems(Body(content=msgspec.convert(content, Content)))
    assert [pointer for pointer, _ in found] == pointers


def test_unknown_parts_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"text": "x", "body": "y"}, Content)
    assert problems(Body()) == [("/template", "A message needs a template or content.")]


def test_a_body_survives_its_storage() -> None:
    for body in (OUTAGE, Body(content=Content(text={"en": "x"}, language="en"))):
        stored = msgspec.msgpack.encode(body)
        assert msgspec.msgpack.decode(stored, type=Body) == body
