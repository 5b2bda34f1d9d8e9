"""What the tests of groups, broadcasts and outages share."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import aiohttp
import msgspec

from tests.contract.client import Answer, Api
from tests.contract.waiting import eventually
from tests.contract.world import Person, World

WORDS = {"subject": "Cut", "text": "Cut"}
STATES = ("waiting", "told_only", "reached", "unreached", "suppressed")
LONG = {"step": 600, "within": 900}
CANNOT_NOW = "30003"  # the handset can't be reached at the moment: another time it may


def listed(people: Iterable[Person | str]) -> dict[str, list[str]]:
    """The audience of these people."""
    return {"customers": [one if isinstance(one, str) else one.id for one in people]}


async def told_to(
    w: World, api: Api | None, path: str, given: dict[str, Any], headers: dict[str, str | None]
) -> Answer:
    """A broadcast or an outage as it is asked for, with the usual words unless others are given."""
    words = {} if "template" in given or "content" in given else {"content": WORDS}
    return await (api or w.api)("POST", path, {**words, **given}, headers=headers)


async def broadcast(w: World, audience: Any, api: Api | None = None, key: str | None = None, **given: Any) -> Answer:
    body = {"audience": audience, "category": "outage", **given}
    return await told_to(w, api, "/v1/broadcasts", body, {"Idempotency-Key": key})


async def outage(w: World, audience: Any, api: Api | None = None, key: str | None = None, **given: Any) -> Answer:
    body = {"audience": audience, "title": "A cut", **given}
    return await told_to(w, api, "/v1/outages", body, {"Idempotency-Key": key})


async def board(w: World, kind: str, one: Answer | str, fits: Callable[[Any], object], api: Api | None = None) -> Any:
    """The broadcast or outage as soon as it fits; whenever it is looked at, its counts add up."""
    seen: list[Any] = []

    async def look() -> Any:
        with contextlib.suppress(aiohttp.ClientError):
            answer = await (api or w.api)("GET", f"/v1/{kind}/{one if isinstance(one, str) else one.body['id']}")
            assert answer.status == 200, answer
            assert_sums(answer.body)
            seen[:] = [answer.body]
            return answer.body if fits(answer.body) else None
        return None

    return await eventually(look, 60.0, lambda: seen)


async def sent(w: World, one: Answer | str, fits: Callable[[Any], object], api: Api | None = None) -> Any:
    return await board(w, "broadcasts", one, fits, api)


async def shown(w: World, one: Answer | str, fits: Callable[[Any], object], api: Api | None = None) -> Any:
    return await board(w, "outages", one, fits, api)


def assert_sums(one: Any) -> None:
    """Everybody stands under exactly one state."""
    assert one["counts"]["audience"] == sum(one["counts"][name] for name in STATES), one["counts"]


def settled(one: Any) -> bool:
    """Everybody has been found, and nobody waits."""
    return one.get("state") not in {"expanding", "scheduled"} and not one["counts"]["waiting"]


async def recipients(w: World, outage_id: str, limit: int = 500, **query: Any) -> list[Any]:
    """The whole list of an outage, page by page."""
    items: list[Any] = []
    cursor: str | None = None
    while True:
        more = {"cursor": cursor} if cursor else {}
        answer = await w.api("GET", f"/v1/outages/{outage_id}/recipients", limit=limit, **query, **more)
        assert answer.status == 200, answer
        items += answer.body["items"]
        cursor = answer.body["next"]
        if cursor is None:
            return items


async def visited(w: World, outage_id: str, who: Person | str, api: Api | None = None, **mark: Any) -> Answer:
    name = who if isinstance(who, str) else who.id
    return await (api or w.api)("POST", f"/v1/outages/{outage_id}/recipients/{name}/visited", mark)


def heard(w: World, who: Person) -> list[str]:
    """The first line of every text to somebody, in order."""
    return [one.form["Body"].splitlines()[0] for one in w.twilio.texts if one.to == who.number]


async def crowd(w: World, count: int, area: str) -> list[Person]:
    """So many people with a phone in one area, by import."""
    people: list[Person] = []
    rows: list[bytes] = []
    for index in range(count):
        who = Person(f"{area}-{index}", f"+3069{len(area)}{index:06d}9", "", "")
        address = {"channel": "sms", "value": who.number}
        rows.append(msgspec.json.encode({"id": who.id, "addresses": [address], "attributes": {"area": area}}))
        people.append(who)
    headers = {"Content-Type": "application/x-ndjson"}
    kept = await w.api("POST", "/v1/customers/import", raw=b"\n".join(rows), headers=headers)
    assert kept.status == 200, kept
    assert msgspec.json.decode(kept.text.strip().splitlines()[-1])["kept"] == count, kept.text
    return people


async def failed(w: World, people: Sequence[Person], code: str = CANNOT_NOW) -> None:
    """The carrier says of the last text to each of them that it didn't arrive."""
    for one in people:
        handed = await w.twilio.text(one.number, max(1, w.twilio.count(one.number)))
        await w.twilio.report(handed, "undelivered", ErrorCode=code)


_names = itertools.count(1)
CLEAR = {"content": {"subject": "s", "text": "clear"}}


def name() -> str:
    return f"board-{next(_names)}"


async def begun(w: World, people: list[Person], **given: Any) -> str:
    """The id of an outage, once everybody that can be has been told."""
    given.setdefault("reach", LONG)
    made = await outage(w, listed(people), id=name(), **given)
    assert made.status == 202, made
    await shown(w, made, lambda one: not one["counts"]["waiting"])
    return made.body["id"]


async def retried(w: World, id_: str, **filters: Any) -> Any:
    return await w.api("POST", f"/v1/broadcasts/{id_}/retry", {"filter": filters} if filters else None)
