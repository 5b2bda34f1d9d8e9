"""Customers in bulk: what a row is, and many of them taken in at once, in order for who watches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

import msgspec

from gateway.customer import ConsentEntry, Preferences
from gateway.delivery.people_fields import Invalid, Problem
from gateway.delivery.people_parse import PROFILE, Profile, Reading

Rows = Iterable[tuple[int, Any]] | AsyncIterable[tuple[int, Any]]
"""Line numbers with rows; a text in place of a row says why there is none."""
Take = Callable[[Any], Awaitable[None]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One customer of a file. Entries bound to an address name it by its keyed hash."""

    id: str
    profile: Profile
    preferences: Preferences | None
    consents: tuple[ConsentEntry, ...]


def read_row(reading: Reading, raw: Any, address_key: Callable[[str], str]) -> Row:
    """Read a row: `id`, the profile's fields, `preferences`, `consents`. Raises Invalid."""
    body = reading.object("", raw, ("id", *PROFILE, "preferences", "consents"))
    customer = reading.customer_id("/id", body.get("id"))
    profile = reading.profile({name: body[name] for name in PROFILE if name in body})
    given = body.get("preferences")
    preferences = None if given is None else reading.preferences(given, "/preferences")
    entries = _consents(reading, body.get("consents"), profile, address_key)
    reading.done()
    return Row(id=customer, profile=profile, preferences=preferences, consents=entries)


def _consents(
    reading: Reading, raw: Any, profile: Profile, address_key: Callable[[str], str]
) -> tuple[ConsentEntry, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        reading.wrong("/consents", "must be a list of ledger entries")
        return ()
    values = {address.value for address in profile.addresses}
    entries: list[ConsentEntry] = []
    for index, item in enumerate(cast("list[Any]", raw)):
        entry = reading.consent(item, f"/consents/{index}", needs_at=True, addresses=True)
        if entry.address is not None and entry.address not in values:
            reading.wrong(f"/consents/{index}/address", "must be one of the row's addresses, in its normal form")
        key = None if entry.address is None else address_key(entry.address)
        entries.append(msgspec.structs.replace(entry, address=key))
    return tuple(entries)


async def taken_in(rows: Rows, take: Take, at_once: int) -> AsyncIterator[tuple[int, list[Problem]]]:
    """Take rows in, at most `at_once` together; yields each line's number, in order, with its problems.

    Rows of one id wait for each other. What `take` raises beside Invalid ends it all.
    """
    under_way: deque[tuple[int, asyncio.Task[list[Problem]]]] = deque()
    last: dict[str, asyncio.Task[list[Problem]]] = {}
    try:
        async for number, row in _each(rows):
            if len(under_way) >= at_once:
                line, task = under_way.popleft()
                yield line, await task
            name = _name(row)
            task = asyncio.create_task(_taken(row, take, last.get(name)))
            under_way.append((number, task))
            last = {known: one for known, one in last.items() if not one.done()} | {name: task}
        while under_way:
            line, task = under_way.popleft()
            yield line, await task
    finally:
        for _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)


async def _taken(row: Any, take: Take, earlier: asyncio.Task[list[Problem]] | None) -> list[Problem]:
    if earlier is not None:
        await asyncio.wait([earlier])
    if isinstance(row, str):
        return [("", row)]
    try:
        await take(row)
    except Invalid as bad:
        return bad.problems
    return []


async def _each(rows: Rows) -> AsyncIterator[tuple[int, Any]]:
    if isinstance(rows, AsyncIterable):
        async for pair in rows:
            yield pair
    else:
        for pair in rows:
            yield pair


def _name(row: Any) -> str:
    found = cast("Mapping[str, Any]", row).get("id") if isinstance(row, Mapping) else None
    return found if isinstance(found, str) else ""
