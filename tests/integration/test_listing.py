"""Lists over all partitions: newest first, whole, and unmoved by what comes in meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.message import Held, Message, Mode, Verdict
from gateway.routing.view import Next
from gateway.store.clock import Clock
from gateway.store.keys import partition_of
from gateway.store.listing import Filter, Listing
from gateway.store.messages import Before, Messages
from gateway.store.roll import Roll
from gateway.store.scripts import Scripts
from tests.support.changes import message
from tests.support.core import where

PEOPLE = [f"c-{n}" for n in range(40)]


class Shelf:
    """Messages stored as intake stores them."""

    def __init__(self, client: Redis, scripts: Scripts, clock: Clock) -> None:
        self.messages = Messages(scripts, clock, Roll(scripts, clock, "here"), keep_records=90, keep_content=30)
        self.listing = Listing(scripts, self.messages)

    async def put(self, n: int, **more: Any) -> Message:
        fields: dict[str, Any] = {"at": 1_000 + n, "customer": PEOPLE[n % len(PEOPLE)], **more}
        made = message(n, **fields)
        following = Next(status="queued", wake_at=10**13, deadline=10**13)
        assert await self.messages.accept(made, following, b"body", claims=False) == "ok"
        return made

    async def ids(self, limit: int = 50, cursor: str | None = None, mode: Mode = "live", **wanted: Any) -> list[str]:
        return [m.id for m in (await self.listing.page(mode, Filter(**wanted), limit, cursor))[0]]

    async def all_pages(self, limit: int, **wanted: Any) -> list[list[str]]:
        pages: list[list[str]] = []
        cursor = None
        while True:
            page, cursor = await self.listing.page("live", Filter(**wanted), limit, cursor)
            pages.append([m.id for m in page])
            if cursor is None:
                return pages


@pytest.fixture
def shelf(redis_client: Redis, scripts: Scripts, clock: Clock) -> Shelf:
    return Shelf(redis_client, scripts, clock)


def newest_first(messages: list[Message]) -> list[str]:
    return [m.id for m in sorted(messages, key=lambda m: m.id, reverse=True)]


@pytest.mark.parametrize("limit", [1, 7, 30, 500])
async def test_pages_hold_everything_once_newest_first(shelf: Shelf, limit: int) -> None:
    made = [await shelf.put(n) for n in range(30)]
    assert len({partition_of(m.customer) for m in made}) > 5, "of many partitions"
    pages = await shelf.all_pages(limit)
    assert [i for page in pages for i in page] == newest_first(made)
    assert all(len(page) <= limit for page in pages)


async def test_a_cursor_is_unmoved_by_new_entries(shelf: Shelf) -> None:
    made = [await shelf.put(n) for n in range(10)]
    first, cursor = await shelf.listing.page("live", Filter(), 4, None)
    later = [await shelf.put(n) for n in range(100, 110)]
    rest = await shelf.ids(cursor=cursor)
    assert [m.id for m in first] + rest == newest_first(made)
    assert await shelf.ids() == newest_first(made + later)


async def test_an_empty_list(shelf: Shelf) -> None:
    assert await shelf.listing.page("live", Filter(), 50, None) == ([], None)
    assert await shelf.ids(customer="nobody") == []


async def test_more_than_one_chunk(shelf: Shelf) -> None:
    made = [await shelf.put(n, customer="c-1") for n in range(450)]
    assert await shelf.ids(500, customer="c-1") == newest_first(made)
    wanted = await shelf.put(-900, customer="c-1", category="code", at=5)
    assert await shelf.ids(5, customer="c-1", category="code") == [wanted.id]


async def test_filters_apply_together(shelf: Shelf) -> None:
    made = [await shelf.put(n, category=("outage", "code")[n % 2], reference=f"r-{n % 3}") for n in range(24)]
    filters: list[dict[str, Any]] = [
        {"category": "code"},
        {"customer": PEOPLE[3]},
        {"reference": "r-1"},
        {"reference": "r-1", "category": "code"},
        {"customer": PEOPLE[3], "reference": "r-0"},
        {"customer": PEOPLE[3], "reference": "r-1"},
        {"since": 1_010},
        {"since": 1_010, "category": "outage", "customer": PEOPLE[12]},
        {"status": "queued"},
        {"verdict": "reached"},
    ]
    for wanted in filters:
        fitting = [m for m in made if Filter(**wanted).fits(m)]
        assert await shelf.ids(**wanted) == newest_first(fitting), wanted


async def test_since_includes_its_very_millisecond(shelf: Shelf) -> None:
    one = await shelf.put(5, at=1_795_340_141_276)
    assert await shelf.ids(since=one.created_at) == [one.id]
    assert await shelf.ids(since=one.created_at + 1) == []
    assert await shelf.ids(since=0) == [one.id]


async def test_modes_are_apart(shelf: Shelf) -> None:
    live, tried = await shelf.put(1), await shelf.put(2, mode="test")
    assert await shelf.ids() == [live.id]
    assert await shelf.ids(mode="test") == [tried.id]
    assert await shelf.ids(mode="team") == []


async def test_held_and_unreached_follow_the_record(shelf: Shelf) -> None:
    made = [await shelf.put(n) for n in range(4)]
    following = Next(status="held", wake_at=10**13, deadline=10**13)
    held = made[1]
    before = Before.of(held)
    held.held, held.status = Held(until=9, code="quiet_hours", text="x", since=1), "held"
    assert (await shelf.messages.commit(before, held, 1, following))[0] == "ok"
    assert await shelf.ids(status="held") == [held.id]
    before = Before.of(held)
    held.held, held.status = None, "done"
    held.closing = held.verdict = Verdict(state="unreached", at=1)
    done = Next(status="done", wake_at=None, deadline=1)
    assert (await shelf.messages.commit(before, held, 2, done))[0] == "ok"
    assert await shelf.ids(status="held") == []
    assert await shelf.ids(verdict="unreached") == [held.id]
    assert await shelf.ids(status="done") == [held.id]


async def test_records_that_have_lapsed_leave_no_gaps(shelf: Shelf, redis_client: Any) -> None:
    made = [await shelf.put(n) for n in range(12)]
    for one in made[::2]:
        await redis_client.delete(where(one.id).message(one.id))
    assert await shelf.ids(6) == newest_first(made[1::2])


async def test_a_cursor_from_nowhere_gives_an_answer(shelf: Shelf) -> None:
    made = [await shelf.put(n) for n in range(3)]
    for cursor in ("", "zzz", "m", "]", "\x00"):
        found = await shelf.ids(cursor=cursor)
        assert set(found) <= {m.id for m in made}
