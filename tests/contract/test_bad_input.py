"""Wrong types everywhere, and every bad field named at once by its JSON pointer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.contract.world import World

WRONG: list[Any] = [7, 1.5, True, [], {}, "", "x" * 3000, [None], {"a": {}}]
FIELDS: dict[str, tuple[type, ...]] = {
    "customer": (str,),
    "category": (str,),
    "template": (str,),
    "data": (dict,),
    "content": (dict,),
    "reach": (dict,),
    "priority": (str,),
    "prompt": (dict,),
    "thread": (str,),
    "send_at": (str,),
    "send_at_local": (str,),
    "expires_at": (str,),
    "reference": (str,),
    "metadata": (dict,),
    "recipient": (dict,),
}


@pytest.mark.parametrize("field", FIELDS)
async def test_every_field_refuses_other_types_by_its_pointer(w: World, field: str) -> None:
    good = {"customer": "c", "category": "outage", "content": {"text": "x"}}
    for wrong in WRONG:
        if isinstance(wrong, FIELDS[field]) and not isinstance(wrong, bool):
            continue
        answer = await w.api("POST", "/v1/messages", {**good, field: wrong})
        assert answer.status == 422, (field, wrong, answer)
        assert any(one == f"/{field}" or one.startswith(f"/{field}/") for one in answer.pointers), (wrong, answer.body)


REACH: list[tuple[str, Any]] = [
    ("until", "seen"), ("until", 1), ("within", 0), ("within", -1), ("within", 1.5), ("within", "60"), ("within", True),
    ("within", 10**18), ("step", 0), ("step", "1"), ("step", False), ("mode", "both"), ("rounds", 0), ("rounds", 1000),
    ("rounds", 1.5), ("channels", "sms"), ("channels", [1]), ("channels", []), ("unproven", "maybe"), ("colour", 1),
]  # fmt: skip


async def test_bad_reach_values_all_at_once(w: World) -> None:
    for field, wrong in REACH:
        message = {"customer": "c", "category": "outage", "content": {"text": "x"}, "reach": {field: wrong}}
        answer = await w.api("POST", "/v1/messages", message)
        assert answer.status == 422, (field, wrong)
        assert any(one.startswith(f"/reach/{field}") for one in answer.pointers), (field, wrong, answer.body)


async def test_every_bad_field_at_once(w: World) -> None:
    bad: dict[str, Any] = {
        "customer": "spaces are bad",
        "category": 5,
        "content": {
            "text": 5,
            "speech": {"en": 1},
            "attachments": [{"name": "a"}, {"name": 1, "type": 2, "data": 3}],
            "x": 1,
        },
        "reach": {"step": -1, "within": "x"},
        "prompt": {"kind": "riddle", "closes_in": "long"},
        "send_at": "tomorrow",
        "expires_at": "2026-11-22T10:00:00",
        "send_at_local": "25:00",
        "metadata": [],
        "a/b~c": 1,
    }
    answer = await w.api("POST", "/v1/messages", bad)
    assert answer.status == 422
    wanted = {
        "/customer", "/category", "/content/text", "/content/speech/en", "/content/attachments/0/type",
        "/content/attachments/0/data", "/content/attachments/1/name", "/content/x", "/reach/step", "/reach/within",
        "/prompt/kind", "/prompt/closes_in", "/send_at", "/expires_at", "/send_at_local", "/metadata", "/a~1b~0c",
    }  # fmt: skip
    assert wanted - answer.pointers == set()


async def test_meaning_and_shape_are_judged_together(w: World) -> None:
    """A wrong type somewhere doesn't hide an unknown customer, category or template elsewhere."""
    answer = await w.api(
        "POST",
        "/v1/messages",
        {"customer": "nobody-of-that-name", "category": "nonsense", "template": "no-such", "reach": {"step": "x"}},
    )
    assert answer.status == 422
    assert {"/customer", "/category", "/template", "/reach/step"} - answer.pointers == set()


async def test_unknown_customer_category_and_template_together(w: World) -> None:
    given = {"customer": "nobody-of-that-name", "category": "nonsense", "template": "no-such"}
    answer = await w.api("POST", "/v1/messages", given)
    assert answer.status == 422
    assert {"/customer", "/category", "/template"} - answer.pointers == set()


async def test_all_bad_fields_of_a_customer_at_once(w: World) -> None:
    bad: dict[str, Any] = {
        "name": 5,
        "locale": "not a locale",
        "time_zone": "Mars/Base",
        "addresses": [
            {"channel": "sms", "value": "12"},
            {"channel": "email", "value": "no-at"},
            {"channel": "pigeon", "value": "x"},
            {"channel": "sms"},
            7,
        ],
        "attributes": [],
        "zzz": 1,
    }
    answer = await w.api("PUT", "/v1/customers/bad-in-every-way", bad)
    assert answer.status == 422
    wanted = {
        "/name", "/locale", "/time_zone", "/addresses/0/value", "/addresses/1/value", "/addresses/2/channel",
        "/addresses/3/value", "/addresses/4", "/attributes", "/zzz",
    }  # fmt: skip
    assert wanted - answer.pointers == set()


async def test_semantic_faults_of_a_customer_at_once(w: World) -> None:
    """The same without a fault of shape among them."""
    addresses = [
        {"channel": "sms", "value": "12"},
        {"channel": "email", "value": "no-at"},
        {"channel": "pigeon", "value": "x"},
    ]
    bad = {"locale": "not a locale", "time_zone": "Mars/Base", "addresses": addresses}
    answer = await w.api("PUT", "/v1/customers/bad-too", bad)
    assert answer.status == 422
    wanted = {"/locale", "/time_zone", "/addresses/0/value", "/addresses/1/value", "/addresses/2/channel"}
    assert wanted - answer.pointers == set()


BAD_MESSAGES: list[tuple[dict[str, Any], str]] = [
    ({"customer": None}, ""),
    ({"recipient": {"addresses": [{"channel": "sms", "value": "+306912345678"}]}}, ""),
    ({"content": None}, ""),
    ({"template": "outage-notice"}, ""),
    ({"content": {}}, "/content"),
    ({"data": {"a": 1}}, "/data"),
    ({"priority": "critical", "category": "service"}, "/priority"),
    ({"priority": "normal", "category": "survey"}, "/priority"),
    ({"send_at": "2026-11-22 10:00:00"}, "/send_at"),
    ({"send_at": "2026-11-22T10:00:00"}, "/send_at"),
    ({"send_at": "2026-13-45T10:00:00Z"}, "/send_at"),
    ({"send_at": "2030-01-01T00:00:00Z", "send_at_local": "10:00"}, "/send_at"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
    ({"content": {"text": {"xx yy": "a"}}}, "/content/text"),
    ({"content": {"text": {}}}, "/content/text"),
    ({"content": {"text": "x", "language": "not a locale"}}, "/content/language"),
    ({"prompt": {"kind": "scale"}}, "/prompt"),
    ({"prompt": {"kind": "scale", "min": 5, "max": 1}}, "/prompt"),
    ({"prompt": {"kind": "choice", "options": [{"id": "a", "label": "A"}]}}, "/prompt/options"),
    (
        {"prompt": {"kind": "choice", "options": [{"id": "a", "label": "A"}, {"id": "a", "label": "B"}]}},
        "/prompt/options",
    ),
    (
        {"prompt": {"kind": "choice", "options": [{"id": str(n), "label": str(n)} for n in range(10)]}},
        "/prompt/options",
    ),
    ({"prompt": {"kind": "yes_no", "options": [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]}}, "/prompt"),
    ({"reach": {"channels": ["pigeon"]}}, "/reach/channels"),
    ({"reach": {"channels": ["sms", "sms"]}}, "/reach/channels"),
    (
        {"content": {"text": "x", "attachments": [{"name": "a", "type": "text/plain", "data": "%%%"}]}},
        "/content/attachments/0/data",
    ),
]


@pytest.mark.parametrize("change, pointer", BAD_MESSAGES)
async def test_messages_that_make_no_sense(w: World, change: dict[str, Any], pointer: str) -> None:
    person = await w.person("sms", "email")
    good = {"customer": person.id, "category": "outage", "content": {"subject": "s", "text": "x"}}
    answer = await w.api(
        "POST", "/v1/messages", {name: value for name, value in (good | change).items() if value is not None}
    )
    assert answer.status == 422, answer
    assert any(one.startswith(pointer) for one in answer.pointers), answer.body


@pytest.mark.parametrize("path", ["cancel", "acknowledge", "retry"])
async def test_actions_take_no_unknown_fields(w: World, path: str) -> None:
    message = await w.send(await w.person("sms"))
    answer = await w.api("POST", f"/v1/messages/{message['id']}/{path}", {"zzz": 1})
    assert answer.status == 422


@pytest.mark.parametrize("size", [0, 1001])
async def test_a_batch_has_1_to_1000(w: World, size: int) -> None:
    given = {
        "messages": list(itertools.repeat({"customer": "c", "category": "outage", "content": {"text": "x"}}, size))
    }
    answer = await w.api("POST", "/v1/messages/batch", given)
    assert answer.status == 422
    assert answer.pointers == {"/messages"}


async def test_a_batch_judges_each_on_its_own(w: World) -> None:
    person = await w.person("sms")
    good = {"customer": person.id, "category": "outage", "content": {"text": "x"}}
    bad: list[Any] = [
        {"customer": "nobody-here-either"},
        7,
        None,
        {**good, "zzz": 1, "reach": {"step": "x"}},
        {**good, "category": 5},
    ]
    answer = await w.api("POST", "/v1/messages/batch", {"messages": [good, *bad, good]})
    assert answer.status == 202
    results = answer.body["results"]
    assert [set(one) for one in results] == [{"id"}, *[{"problem"}] * 5, {"id"}]
    assert all(one["problem"]["status"] == 422 for one in results[1:-1])
    assert {one["pointer"] for one in results[4]["problem"]["errors"]} == {"/zzz", "/reach/step"}
    assert results[0]["id"] != results[-1]["id"]
