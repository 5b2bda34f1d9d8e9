"""Outages: everybody told once, the board honest, the doors listed, and the all-clear to those who were told."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import re
from typing import Any

import msgspec
import pytest

from tests.contract.client import Answer, Api
from tests.contract.outage_acts import (
    CANNOT_NOW,
    LONG,
    STATES,
    failed,
    heard,
    listed,
    outage,
    recipients,
    shown,
    visited,
)
from tests.contract.test_erasure import erased
from tests.contract.waiting import eventually
from tests.contract.wire import path_of
from tests.contract.world import Person, World

_names = itertools.count(1)
GONE = "550 5.1.1 no such mailbox"


def name() -> str:
    return f"outage-{next(_names)}.b:c@d_-"


async def act(
    w: World, what: str, id_: str, body: Any = None, api: Api | None = None, key: str | None = None
) -> Answer:
    return await (api or w.api)("POST", f"/v1/outages/{id_}/{what}", body, headers={"Idempotency-Key": key})


async def begun(w: World, people: list[Person], **given: Any) -> str:
    """The id of an outage, once everybody that can be has been told."""
    given.setdefault("reach", LONG)
    made = await outage(w, listed(people), id=name(), **given)
    assert made.status == 202, made
    await shown(w, made, lambda one: not one["counts"]["waiting"])
    return made.body["id"]


async def rows(w: World, id_: str, api: Api | None = None, **query: Any) -> list[dict[str, str]]:
    path = f"/v1/outages/{id_}/recipients"
    answer = await (api or w.api)("GET", path, headers={"Accept": "text/csv"}, **query)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_an_acknowledgement_counts_once_whatever_way_it_comes(w: World) -> None:
    texter, caller, mailer = [await w.person(channel) for channel in ("sms", "voice", "email")]
    greek = await w.person("sms", locale="el")
    id_ = await begun(w, [texter, caller, mailer, greek])
    await asyncio.gather(*(w.twilio.inbound(texter.number, words) for words in ("1", "１", "yes")))
    await w.twilio.inbound(greek.number, "ναι, ευχαριστώ")
    call = await w.twilio.call(caller.number)
    await w.twilio.picked_up(call, "human")
    await w.twilio.press(call, "1")
    await w.twilio.press(call, "1")
    mail = (await w.mail.mail(mailer.email)).get_body(("html",))
    assert mail is not None
    link = path_of(re.findall(r'https?://[^\s"<>]+/a/[^\s"<>]+', mail.get_content())[0])
    assert (await w.api("GET", link, headers={"Authorization": None})).status == 200
    now = await shown(w, id_, lambda one: one["counts"]["acknowledged"] >= 3)
    assert now["counts"]["acknowledged"] == 3, "looking at a link counts nothing"
    form = {"Authorization": None, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
    for _ in range(2):
        assert (await w.api("POST", link, raw=b"v=1", headers=form)).status in {200, 303}
    now = await shown(w, id_, lambda one: one["counts"]["acknowledged"] == 4)
    assert now["counts"] == {**now["counts"], "audience": 4, "told": 4, "reached": 4}
    assert [w.twilio.count(one.number) for one in (texter, caller, greek)] == [1, 1, 1]


async def test_the_board_and_the_list_agree(w: World) -> None:
    told, silent = [await w.person("sms") for _ in range(2)]
    bounced, ill = await w.person("email"), await w.person("email", attributes={"medical_priority": True})
    stopped, claims = await w.person("sms"), await w.person("email", attributes={"medical_priority": "true"})
    for one in (bounced, ill, claims):
        w.mail.told[one.email].append(GONE)
    await w.twilio.inbound(stopped.number, "STOP")
    id_ = await begun(w, [told, silent, bounced, ill, stopped, claims, told], prompt=None)
    await w.twilio.report(await w.twilio.text(told.number), "delivered")
    now = await shown(w, id_, lambda one: one["counts"]["reached"] == 1)
    wanted = {"audience": 6, "told_only": 1, "reached": 1, "unreached": 3, "suppressed": 1, "told": 2, "visited": 0}
    assert now["counts"] == {**now["counts"], **wanted}
    for state in STATES:
        assert len(await recipients(w, id_, state=state)) == now["counts"][state], state
    doors = await recipients(w, id_, state="unreached")
    assert (doors[0]["customer"], [one["medical_priority"] for one in doors]) == (ill.id, [True, False, False])
    assert {one["why"]["code"] for one in doors} == {"all_failed"}
    rounds = {
        who.id: (await w.api("GET", "/v1/messages", customer=who.id)).body["items"][0]["reach"]["rounds"]
        for who in (ill, claims)
    }
    assert rounds == {ill.id: 3, claims.id: 1}
    whole = await recipients(w, id_)
    for limit in (1, 2, 5):
        assert await recipients(w, id_, limit) == whole
    assert {one["customer"] for one in await recipients(w, id_, priority="true")} == {ill.id}
    assert [one["customer"] for one in await rows(w, id_)] == [one["customer"] for one in whole]
    for query in ("state=odd", "limit=0", "cursor=junk", "priority=yes", "visited=1x", "odd=1"):
        assert (await w.api("GET", f"/v1/outages/{id_}/recipients?{query}")).status == 422, query


async def test_a_table_does_nothing_in_a_spreadsheet(w: World) -> None:
    names = ['=cmd|"/C calc"!A0', "+1+1", "-2", "@SUM(A1)", 'a, "b"; c', "<script>alert(1)</script>", "李雷 😀 Ζωή"]
    people = [
        await w.person("email", name=one, attributes={"area": one, "address": [one, "2nd\nfloor"]}) for one in names
    ]
    for one in people:
        w.mail.told[one.email].append(GONE)
    id_ = await begun(w, people, title="<b>Cut</b>")
    await visited(w, id_, people[0], by="=team", note='=1+1, "at home"\nthanks')
    table = await rows(w, id_)
    assert {one["customer"]: one["name"].lstrip("'") for one in table} == {
        who.id: named for who, named in zip(people, names, strict=True)
    }
    assert not [cell for one in table for cell in one.values() if cell[:1] in "=+-@\t\r" and cell]
    page = await w.api("GET", f"/v1/outages/{id_}/recipients", headers={"Accept": "text/html", "Accept-Language": "el"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert '<html lang="el"' in page.text
    assert "<script" not in page.text
    assert "<b>" not in page.text
    assert not re.findall(r'(?:src|href)="(?!#)', page.text), "the page needs nothing from anywhere"
    assert "李雷 😀 Ζωή" in page.text


async def test_who_may_see_and_do_what(w: World) -> None:
    person = await w.person("sms", name="Zebedee Masked", attributes={"area": "Secretville"})
    id_ = await begun(w, [person])
    path = f"/v1/outages/{id_}"
    wanted = {"send": (403, 403, 403), "read": (200, 200, 403), "operate": (403, 403, 200)}
    for scope, statuses in wanted.items():
        own = await w.key(scope)
        got = [(await own("GET", where)).status for where in (path, path + "/recipients")]
        assert (*got, (await visited(w, id_, person, own, by="t")).status) == statuses, scope
    reader, both = await w.key("read"), await w.key("read", "customers")
    for accept in ("application/json", "text/csv", "text/html"):
        hidden = (await reader("GET", path + "/recipients", headers={"Accept": accept})).text
        assert not [word for word in ("Zebedee", "Secretville", person.number) if word in hidden], accept
        full = (await both("GET", path + "/recipients", headers={"Accept": accept})).text
        assert "Zebedee Masked" in full
    for mode in ("test", "team"):
        other = await w.key(mode=mode)
        assert (await other("GET", path)).status == 404
        assert [(await act(w, what, id_, {"content": {"text": "x"}}, other)).status for what in ("updates", "resolve")] == [404, 404]  # fmt: skip
        assert (await visited(w, id_, person, other, by="t")).status in {403, 404}


async def test_an_outage_is_made_once(w: World) -> None:
    person, own, key = await w.person("sms"), name(), f"key-{name()}"
    race = await asyncio.gather(*(outage(w, listed([person]), id=own, title=f"t{index}") for index in range(5)))
    assert sorted(one.status for one in race) == [202, 409, 409, 409, 409]
    same = await asyncio.gather(*(outage(w, listed([person]), key=key) for _ in range(5)))
    assert len({one.body["id"] for one in same}) == 1
    assert (await outage(w, listed([person]), key=key, title="other")).status == 409
    for one in (own, same[0].body["id"]):
        await shown(w, one, lambda now: now["counts"]["told"] == 1)
    assert w.twilio.count(person.number) == 2


@pytest.mark.parametrize(
    "given, pointer",
    [
        ({"title": ""}, "/title"),
        ({"title": None}, "/title"),
        ({"id": "a b"}, "/id"),
        ({"category": "service"}, "/category"),
        ({"content": {}}, "/content"),
        ({"prompt": {"kind": "choice"}}, "/prompt/options"),
        ({"reach": {"channels": ["pigeon"]}}, "/reach/channels/0"),
        ({"template": "outage-notice", "data": {}}, "/data/area"),
        ({"template": "outage-notice", "data": {"area": "K", "restored_by": "soon"}}, "/data/restored_by"),
    ],
    ids=lambda one: str(one)[:40],
)
async def test_what_cannot_be_told_is_refused(w: World, given: dict[str, Any], pointer: str) -> None:
    refused = await outage(w, listed(["nobody"]), **given)
    assert (refused.status, refused.pointers) == (422, {pointer})


async def test_the_all_clear_goes_to_the_told_once_each(w: World) -> None:
    """Whoever was told by notice, update or retry; not who stopped it, nor who was never told."""
    noticed, retried, stops, never = [await w.person("sms") for _ in range(4)]
    unheard = await w.person("email")
    w.mail.told[unheard.email].append(GONE)
    await w.twilio.inbound(never.number, "STOP")
    content = {"subject": "s", "text": "notice"}
    id_ = await begun(w, [noticed, retried, stops, never, unheard], prompt=None, content=content)
    await failed(w, [retried])
    now = await shown(w, id_, lambda one: one["counts"]["unreached"] == 2)
    again = {"filter": {"state": ["unreached"], "channel": "sms"}}
    assert (await w.api("POST", f"/v1/broadcasts/{now['broadcast']}/retry", again)).status == 202
    await shown(w, id_, lambda one: one["counts"]["unreached"] == 1)
    key, update = f"key-{name()}", {"content": {"subject": "s", "text": "update"}}
    updates = await asyncio.gather(*(act(w, "updates", id_, update, key=key) for _ in range(3)))
    assert [[part["kind"] for part in one.body["broadcasts"]].count("update") for one in updates] == [1, 1, 1]
    await eventually(lambda: "update" in heard(w, noticed) and "update" in heard(w, stops))
    await shown(w, id_, lambda one: not one["counts"]["waiting"] and one["counts"]["audience"] == 5)
    await w.twilio.inbound(stops.number, "STOP")
    ends = await asyncio.gather(*(act(w, "resolve", id_, {"content": {"text": "clear"}}) for _ in range(4)))
    assert sorted(one.status for one in ends) == [202, 409, 409, 409]
    assert (await act(w, "updates", id_, update)).status == 409
    over = await shown(w, id_, lambda one: one["all_clear"]["told"] == 2)
    assert over["all_clear"] == {**over["all_clear"], "audience": 3, "suppressed": 1}
    assert heard(w, noticed) == ["notice", "update", "clear"]
    assert heard(w, retried) == ["notice", "notice", "update", "clear"]
    assert heard(w, stops) == ["notice", "update"]
    assert heard(w, never) == []
    assert not [one for one in w.mail.taken if one[1] == unheard.email]
    for one in (noticed, retried):
        await w.twilio.report(await w.twilio.text(one.number, w.twilio.count(one.number)), "delivered")
    done = await shown(w, id_, lambda one: one["state"] == "resolved")
    assert done["all_clear"]["reached"] == 2
    for state in ("active", "resolved"):
        listing = (await w.api("GET", "/v1/outages", state=state, limit=500)).body["items"]
        assert (id_ in [one["id"] for one in listing]) == (state == "resolved")


async def test_an_all_clear_without_words_has_its_own(w: World) -> None:
    people = [await w.person("sms", locale=locale) for locale in ("en", "el", "zh-Hans", "zh-Hant")]
    data = {"area": "Kypseli"}
    id_ = await begun(w, people, template="outage-notice", data=data, title="Crew 7")
    for bad in ("{}", '{"content": {}}', '{"content": {"text": "x"}, "audience": {}}', "[]"):
        assert (await act(w, "updates", id_, msgspec.Raw(bad.encode()))).status == 422, bad
    assert (await act(w, "resolve", id_)).status == 202
    texts = [(await w.twilio.text(one.number, 2)).form["Body"] for one in people]
    assert len(set(texts)) == 4
    assert not [one for one in texts if "Kypseli" not in one or "Crew 7" in one]


async def test_somebody_at_the_door(w: World) -> None:
    people = [await w.person("email", attributes={"medical_priority": index == 0}) for index in range(3)]
    for one in people:
        w.mail.told[one.email].append(GONE)
    id_ = await begun(w, people)
    assert (await visited(w, id_, people[0], by="Team 4", note="Has candles.")).body["note"] == "Has candles."
    now = await shown(w, id_, lambda one: one["counts"]["visited"] == 1)
    assert now["counts"]["unreached"] == 3, "a visit is not a message that came"
    assert (await recipients(w, id_))[-1]["customer"] == people[0].id
    assert [one["customer"] for one in await recipients(w, id_, visited="true")] == [people[0].id]
    assert len(await recipients(w, id_, visited="false", state="unreached")) == 2
    marked = [one for one in await rows(w, id_) if one["visited"] == "true"]
    assert [(one["visited_by"], one["note"]) for one in marked] == [("Team 4", "Has candles.")]
    assert {(await visited(w, id_, people[1], by=f"t{index}")).status for index in range(3)} == {200}
    assert (await shown(w, id_, lambda _: True))["counts"]["visited"] == 2
    for who in ("nobody", (await w.person("sms")).id):
        assert (await visited(w, id_, who, by="t")).status == 404
    for bad in ("{}", '{"by": ""}', '{"by": "t", "odd": 1}', f'{{"by": "{"x" * 129}"}}'):
        path = f"/v1/outages/{id_}/recipients/{people[2].id}/visited"
        assert (await w.api("POST", path, raw=bad.encode())).status == 422, bad
    assert "Has candles." in (await w.api("GET", f"/v1/customers/{people[0].id}/export")).text


async def test_whoever_is_erased_leaves_the_doors(w: World) -> None:
    gone, stays = await w.person("sms", name="Zebedee Leaves"), await w.person("sms")
    id_ = await begun(w, [gone, stays])
    await visited(w, id_, gone, by="Team", note="Rumpelstiltskin")
    await erased(w, gone)
    assert [one["customer"] for one in await recipients(w, id_)] == [stays.id]
    assert gone.id not in str(await rows(w, id_))
    assert (await visited(w, id_, gone, by="t")).status == 404
    await w.api("PUT", f"/v1/customers/{gone.id}", {"addresses": [{"channel": "sms", "value": gone.number}]})
    await act(w, "resolve", id_, {"content": {"text": "clear"}})
    await shown(w, id_, lambda one: one["all_clear"]["told"] == 1)
    assert (heard(w, gone), heard(w, stays)) == (["Cut"], ["Cut", "clear"])


async def test_news_after_the_end_still_counts(w: World) -> None:
    person = await w.person("sms")
    id_ = await begun(w, [person], prompt=None)
    await failed(w, [person], CANNOT_NOW)
    await shown(w, id_, lambda one: one["counts"]["unreached"] == 1)
    await w.twilio.report(await w.twilio.text(person.number), "delivered")
    now = await shown(w, id_, lambda one: one["counts"]["reached"] == 1)
    assert (now["counts"]["unreached"], now["by_channel"]["sms"]["reached"]) == (0, 1)
