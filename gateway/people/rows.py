"""Customers in bulk: what a row is, and many of them taken in at once, in order for who watches."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any, Generic, TypeVar, cast

import msgspec

from gateway.customer import Chooser, ConsentEntry, Preferences
from gateway.people.parse import PROFILE, Profile, Reading

Rows = Iterable[tuple[int, Any]] | AsyncIterable[tuple[int, Any]]
"""Line numbers with rows; a text in place of a row says why there is none."""
T = TypeVar("T")
Take = Callable[[Sequence[Any]], Awaitable[Sequence[T]]]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One customer of a file. Entries bound to an address name it by its keyed hash; `chooser` of the preferences."""

    id: str
    profile: Profile
    preferences: Preferences | None
    chooser: Chooser
    consents: tuple[ConsentEntry, ...]


def read_row(reading: Reading, raw: Any, address_key: Callable[[str], str]) -> Row:
    """Read a row: `id`, the profile's fields, `preferences`, `preferences_by`, `consents`. Raises Invalid."""
    body = reading.object("", raw, ("id", *PROFILE, "preferences", "preferences_by", "consents"))
    customer = reading.customer_id("/id", body.get("id"))
    profile = reading.profile({name: body[name] for name in PROFILE if name in body})
    given = body.get("preferences")
    preferences = None if given is None else reading.preferences(given, "/preferences")
    chooser = body.get("preferences_by") or "business"
    if chooser not in ("person", "business"):
        reading.wrong("/preferences_by", 'must be "person" or "business"')
    entries = _consents(reading, body.get("consents"), profile, address_key)
    reading.done()
    return Row(id=customer, profile=profile, preferences=preferences, chooser=chooser, consents=entries)


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
        named = {name: value for name in ("address", "source") if (value := getattr(entry, name)) is not None}
        for name in (name for name, value in named.items() if value not in values):
            reading.wrong(f"/consents/{index}/{name}", "must be one of the row's addresses, in its normal form")
        keyed = {name: address_key(value) for name, value in named.items()}
        entries.append(msgspec.structs.replace(entry, **keyed))
    return tuple(entries)


async def taken_in(rows: Rows, take: Take[T], at_once: int) -> AsyncIterator[tuple[int, T]]:
    """Take rows in by batches of at most `at_once`, two of them under way; yields each line's number, in order, with what
    `take` says of its row. A batch is what has come by then, so that nobody waits for one to fill.

    Rows of one id follow each other. What `take` raises ends it all; what `rows` raises does so once the rows before it
    are in.
    """
    under_way: deque[_Batch[T]] = deque()
    try:
        async for numbers, batch in _batches(rows, at_once):
            names = {_name(row) for row in batch}
            while len(under_way) > 1 or any(not names.isdisjoint(one.names) for one in under_way):
                for told in await under_way.popleft().landed():
                    yield told
            under_way.append(_Batch(numbers, names - {""}, asyncio.ensure_future(take(batch))))
        while under_way:
            for told in await under_way.popleft().landed():
                yield told
    finally:
        for one in under_way:
            one.taking.cancel()
        await asyncio.gather(*(one.taking for one in under_way), return_exceptions=True)


class _Batch(msgspec.Struct, Generic[T], frozen=True):
    numbers: list[int]
    names: set[str]
    taking: asyncio.Future[Sequence[T]]

    async def landed(self) -> list[tuple[int, T]]:
        return list(zip(self.numbers, await self.taking, strict=True))


async def _batches(rows: Rows, most: int) -> AsyncIterator[tuple[list[int], list[Any]]]:
    """Rows that may be taken in together: no id stands twice among them."""
    numbers: list[int] = []
    batch: list[Any] = []
    names: set[str] = set()
    ended: Exception | None = None
    async with contextlib.aclosing(_arriving(rows)) as arriving:
        while ended is None:
            try:
                number, row, more = await anext(arriving)
            except Exception as broken:  # noqa: BLE001 - raised below, once the rows before it are in
                ended = broken
                break
            if _name(row) in names:
                yield numbers, batch
                numbers, batch, names = [], [], set()
            numbers.append(number)
            batch.append(row)
            names |= {_name(row)} - {""}
            if len(batch) >= most or not more:
                yield numbers, batch
                numbers, batch, names = [], [], set()
    if batch:
        yield numbers, batch
    if not isinstance(ended, StopAsyncIteration):
        raise ended


async def _arriving(rows: Rows) -> AsyncGenerator[tuple[int, Any, bool]]:
    """Each row, and whether the next one is there already."""
    if not isinstance(rows, AsyncIterable):
        for number, row in rows:
            yield number, row, True
        return
    source = aiter(rows)
    coming = asyncio.ensure_future(anext(source))
    try:
        while True:
            try:
                number, row = await coming
            except StopAsyncIteration:
                return
            coming = asyncio.ensure_future(anext(source))
            await asyncio.sleep(0)
            yield number, row, coming.done()
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


def _name(row: Any) -> str:
    found = cast("Mapping[str, Any]", row).get("id") if isinstance(row, Mapping) else None
    return found if isinstance(found, str) else ""
