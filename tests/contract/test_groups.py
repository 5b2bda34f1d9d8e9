"""Groups, and whom an audience means: one message per person, and nobody by mistake."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.contract.outage_acts import broadcast, listed, outage, sent, settled
from tests.contract.world import World, fresh

_names = itertools.count(1)


def name() -> str:
    return f"group-{next(_names)}.b:c@d_-"


async def test_a_list_is_kept_without_repeats_and_strangers(w: World) -> None:
    one, two = [await w.person("sms") for _ in range(2)]
    path = f"/v1/groups/{name()}"
    body = listed([one, two, one, "nobody-at-all", two])
    made, again = [await w.api("PUT", path, body) for _ in range(2)]
    assert (made.status, again.status) == (201, 200)
    assert (made.body["listed"], made.body["unknown"], made.body["where"]) == (2, 1, None)
    assert again.body["created_at"] == made.body["created_at"]
    first = (await w.api("GET", path, limit=1)).body
    second = (await w.api("GET", path, limit=1, cursor=first["next"])).body
    assert {*first["customers"], *second["customers"]} == {one.id, two.id}
    assert second["next"] is None
    smaller = await w.api("PUT", path, listed([two]))
    assert (smaller.body["listed"], smaller.body["unknown"]) == (1, 0)
    assert (await w.api("GET", path)).body["customers"] == [two.id]


async def test_a_group_is_a_list_or_a_condition(w: World) -> None:
    path = f"/v1/groups/{name()}"
    for body in ({}, {"customers": ["a"], "where": {"a": 1}}, {"customers": None, "where": None}):
        answer = await w.api("PUT", path, body)
        assert answer.status == 422, answer
    bad = await w.api("PUT", path, {"customers": ["a b", 5, "ok"], "extra": 1})
    assert bad.pointers == {"/customers/0", "/customers/1", "/extra"}
    assert (await w.api("GET", path)).status == 404


@pytest.mark.parametrize("id_", ["a%20b", "%CE%BA", "x" * 129, "a%2Fb", "a%0A"])
async def test_an_id_that_cannot_be_is_refused(w: World, id_: str) -> None:
    assert (await w.api("PUT", f"/v1/groups/{id_}", {"customers": []})).status == 422
    assert (await w.api("GET", f"/v1/groups/{id_}")).status == 404


async def test_a_group_that_goes_while_it_is_written_to_is_written_to_whole(w: World) -> None:
    people = [await w.person("sms") for _ in range(5)]
    group = name()
    await w.api("PUT", f"/v1/groups/{group}", listed(people))
    made = await broadcast(w, {"group": group}, rate=20)
    assert (await w.api("DELETE", f"/v1/groups/{group}")).status == 204
    assert (await w.api("DELETE", f"/v1/groups/{group}")).status == 404
    done = await sent(w, made, settled)
    assert done["counts"]["told"] == 5
    refused = await broadcast(w, {"group": group})
    assert (refused.status, refused.pointers) == (422, {"/audience/group"})


async def test_an_empty_group_is_nobody(w: World) -> None:
    group = name()
    await w.api("PUT", f"/v1/groups/{group}", {"customers": []})
    done = await sent(w, await broadcast(w, {"group": group}), lambda one: one["state"] == "done")
    assert (done["counts"]["audience"], done["progress"]["percent"]) == (0, 100)


async def test_scopes_and_modes_of_groups(w: World) -> None:
    group = f"/v1/groups/{name()}"
    for scope in ("send", "read", "operate"):
        assert (await (await w.key(scope))("PUT", group, {"customers": []})).status == 403
    own = await w.key("customers")
    assert (await own("PUT", group, {"customers": []})).status == 201
    for mode in ("test", "team"):
        other = await w.key(mode=mode)
        assert (await other("PUT", group, {"customers": []})).status == 403
        assert (await other("DELETE", group)).status == 403


VALUES: list[Any] = [
    1, "1", True, "true", False, 0, 1.5, "1.5", "", "Κυψέλη", "李 😀", ["x", "y"], [7, 8], {"x": 1}, "x,y", " x ", '"x"', "*",
]  # fmt: skip
WANTED: list[tuple[Any, list[Any]]] = [
    (1, [1]),
    ("1", ["1"]),
    (True, [True]),
    ("true", ["true"]),
    (0, [0]),
    (False, [False]),
    (1.5, [1.5]),
    ("", [""]),
    ("Κυψέλη", ["Κυψέλη"]),
    ("李 😀", ["李 😀"]),
    ("x", [["x", "y"]]),
    (["x", "y"], [["x", "y"]]),
    (8, [[7, 8]]),
    ("*", ["*"]),
    (["1", 1, 1], [1, "1"]),
    ("nothing", []),
]


async def test_a_condition_means_what_it_says(w: World) -> None:
    """Numbers, texts and truth values are different things; a list holds its entries; an object is never meant."""
    numbers: dict[str, Any] = {}
    for index, value in enumerate(VALUES):
        numbers[(number := fresh())] = value
        body = {"addresses": [{"channel": "sms", "value": number}], "attributes": {"odd": value}}
        assert (await w.api("PUT", f"/v1/customers/odd-{index}", body)).status == 201
    made = [
        await broadcast(w, {"where": {"odd": wanted}}, content={"text": f"odd {index}"})
        for index, (wanted, _) in enumerate(WANTED)
    ]
    for one, (_, expected) in zip(made, WANTED, strict=True):
        now = await sent(w, one, settled)
        assert now["counts"]["told"] == len(expected), now
    for index, (wanted, expected) in enumerate(WANTED):
        got = [numbers[one.to] for one in w.twilio.texts if one.form["Body"] == f"odd {index}"]
        assert sorted(map(repr, got)) == sorted(map(repr, expected)), wanted


async def test_all_conditions_hold_together(w: World) -> None:
    both = await w.person("sms", attributes={"town": "Volos", "floor": 2})
    await w.person("sms", attributes={"town": "Volos", "floor": 3})
    await w.person("sms", attributes={"town": "Volos"})
    await w.person("sms", attributes={"floor": 2})
    now = await sent(w, await broadcast(w, {"where": {"town": ["Volos", "Larisa"], "floor": 2}}), settled)
    assert (now["counts"]["audience"], now["counts"]["told"]) == (1, 1)
    await w.twilio.text(both.number)


@pytest.mark.parametrize(
    "audience, pointer",
    [
        ({}, "/audience"),
        ({"customers": None, "where": None, "group": None}, "/audience"),
        ({"customers": ["a"], "where": {"a": 1}}, "/audience"),
        ({"customers": []}, "/audience/customers"),
        ({"customers": "a"}, "/audience/customers"),
        ({"customers": ["a", "b c"]}, "/audience/customers/1"),
        ({"where": {}}, "/audience/where"),
        ({"where": []}, "/audience/where"),
        ({"where": {"a": None}}, "/audience/where/a"),
        ({"where": {"a": []}}, "/audience/where/a"),
        ({"where": {"a": [None]}}, "/audience/where/a"),
        ({"where": {"a~b/c": {"x": 1}}}, "/audience/where/a~0b~1c"),
        ({"group": "no-such-group"}, "/audience/group"),
        ({"group": "a b"}, "/audience/group"),
        ({"everybody": True}, "/audience/everybody"),
    ],
    ids=str,
)
async def test_an_audience_that_cannot_be_is_refused(w: World, audience: Any, pointer: str) -> None:
    for answer in (await broadcast(w, audience), await outage(w, audience)):
        assert (answer.status, answer.pointers) == (422, {pointer}), answer


async def test_the_longest_list_is_taken_and_repeats_count_once(w: World) -> None:
    person = await w.person("sms")
    strangers = [f"stranger-{index}" for index in range(49_999)]
    made = await broadcast(w, listed([*strangers, person, *strangers, person]))
    assert made.status == 202, made
    now = await sent(w, made, lambda one: one["counts"]["told"] == 1 and one["state"] == "sending")
    assert (now["counts"]["audience"], now["counts"]["unknown"]) == (1, 49_999)
    assert w.twilio.count(person.number) == 1


async def test_what_is_too_long_is_said(w: World) -> None:
    refused = await broadcast(w, {"customers": ["x"] * 100_001})
    assert (refused.status, refused.pointers) == (422, {"/audience/customers"})
    refused = await broadcast(w, {"where": {"a": ["x"] * 1001}})
    assert (refused.status, refused.pointers) == (422, {"/audience/where/a"})
    assert (await broadcast(w, {"customers": ["x" * 128] * 100_000})).status == 413
