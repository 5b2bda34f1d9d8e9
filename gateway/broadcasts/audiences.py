"""Who an audience is: conditions on attributes, and pages of people in each partition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from gateway.broadcasts.nouns import Broadcast, Standing
from gateway.message import NOBODY, Message
from gateway.standing import by_channel
from gateway.store.customers import ONE_OFF
from gateway.store.glances import Glance, Glances
from gateway.store.keys import Partition
from gateway.store.marks import Marks
from gateway.store.messages import Messages
from gateway.store.rosters import Rosters
from gateway.store.standing import Standings

MOST_CONDITIONS: Final = 20
MOST_VALUES: Final = 1_000
PRIORITY: Final = "medical_priority"
Fits = Callable[[Mapping[str, Any]], bool]


def where_problems(where: Mapping[str, Any], at: str) -> list[tuple[str, str]]:
    """What is wrong with a condition that stands at the pointer `at`."""
    if not where:
        return [(at, "needs at least one attribute.")]
    if len(where) > MOST_CONDITIONS:
        return [(at, f"may name {MOST_CONDITIONS} attributes at most.")]
    found: list[tuple[str, str]] = []
    for name, wanted in where.items():
        place = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        values = cast("list[Any]", wanted) if isinstance(wanted, list) else [wanted]
        if not 1 <= len(values) <= MOST_VALUES:
            found.append((place, f"needs 1 to {MOST_VALUES} values."))
        elif not all(isinstance(value, str | int | float | bool) for value in values):
            found.append((place, "must be a string, a number, true or false, or a list of these."))
    return found


def fits(where: Mapping[str, Any]) -> Fits:
    """The test of a condition: every attribute has its value, or one of the list's; one that is a list holds one of them.

    True and 1 are two values, and so are "1" and 1; 1 and 1.0 are one.
    """
    wanted = [
        (name, {_key(value) for value in (cast("list[Any]", values) if isinstance(values, list) else [values])})
        for name, values in where.items()
    ]

    def test(attributes: Mapping[str, Any]) -> bool:
        return all(not values.isdisjoint(_keys(attributes.get(name))) for name, values in wanted)

    return test


def _key(value: str | float | bool) -> tuple[str, str | float]:  # noqa: FBT001 - a value as it stands
    if isinstance(value, str):
        return "string", value
    return ("truth" if isinstance(value, bool) else "number"), value


def _keys(value: Any) -> list[tuple[str, str | float]]:
    plain = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [_key(one) for one in plain if isinstance(one, str | int | float | bool)]


class Item(msgspec.Struct, frozen=True):
    """One id that was looked at: `cursor` goes on after it. `person`: who is meant; None: nobody. `known`: it is a customer's.

    `counted`: what the message that is tried again counts for, as in `standing.by_channel`.
    """

    cursor: str
    person: Glance | None
    known: bool = True
    counted: frozenset[str] = frozenset()


class Audiences:
    """Reads audiences page by page. Methods raise StoreUnavailable."""

    def __init__(
        self, glances: Glances, rosters: Rosters, standings: Standings, messages: Messages, marks: Marks
    ) -> None:
        self._glances = glances
        self._rosters = rosters
        self._standings = standings
        self._messages = messages
        self._marks = marks

    async def page(self, broadcast: Broadcast, at: Partition, cursor: str, limit: int) -> list[Item]:
        """The next ids of one partition, at most `limit`; none: that was all."""
        if broadcast.audience.standing is not None:
            return await self._standing(broadcast, broadcast.audience.standing, at, cursor, limit)
        if broadcast.roster is not None:
            names = await self._rosters.page(at, broadcast.roster, cursor, limit)
            people = await self._glances.at(at, names)
            return [Item(name, one, one is not None) for name, one in zip(names, people, strict=True)]
        return await self._where(broadcast, at, cursor, limit)

    async def total(self, broadcast: Broadcast, at: Partition) -> int:
        """How many ids of one partition there are to look at."""
        wanted = broadcast.audience.standing
        if wanted is not None:
            counts = [await self._standings.count_in(at, broadcast.mode, b, n) for b, n in _sources(wanted)]
            return sum(counts)
        if broadcast.roster is not None:
            return await self._rosters.count_in(at, broadcast.roster)
        return await self._glances.count(at)

    async def _where(self, broadcast: Broadcast, at: Partition, cursor: str, limit: int) -> list[Item]:
        names = await self._glances.page(at, cursor, limit)
        test = fits(broadcast.where or {})
        asked = [name for name in names if not name.startswith(ONE_OFF)]
        people = dict(zip(asked, await self._glances.at(at, asked), strict=True))
        found: list[Item] = []
        for name in names:
            one = people.get(name)
            found.append(Item(name, one if one is not None and test(one.attributes) else None))
        return found

    async def _standing(
        self, broadcast: Broadcast, wanted: Standing, at: Partition, cursor: str, limit: int
    ) -> list[Item]:
        """The cursor is "<which of the lists>:<message>"."""
        number, _, after = cursor.partition(":")
        sources = _sources(wanted)
        for n in range(int(number or 0), len(sources)):
            of, name = sources[n]
            ids = await self._standings.members(at, broadcast.mode, of, name, after, limit)
            after = ""
            if ids:
                loaded = await self._messages.load_many(ids)
                names = [_whose(one.message if one is not None else None, wanted) for one in loaded]
                if broadcast.retry_of == of:
                    again = await self._marks.among(at, broadcast.mode, of, "renewed", ids)
                    names = [None if one in again else name for one, name in zip(ids, names, strict=True)]
                people = await self._glances.at(at, [name or "" for name in names])
                counted = [frozenset[str]() if one is None else by_channel(one.message) for one in loaded]
                return [
                    Item(f"{n}:{one}", person if whose is not None else None, whose is None or person is not None, what)
                    for one, whose, person, what in zip(ids, names, people, counted, strict=True)
                ]
        return []


def _sources(wanted: Standing) -> Sequence[tuple[str, str]]:
    return [(broadcast, name) for broadcast in wanted.broadcasts for name in wanted.names]


def _whose(message: Message | None, wanted: Standing) -> str | None:
    """The person of a message, if it is one of those meant."""
    if message is None or message.customer.startswith(NOBODY):
        return None
    if wanted.channel is not None and wanted.channel not in {a.channel for a in message.attempts}:
        return None
    codes = {message.verdict.code, *(one.why.code for one in message.skipped)}
    return None if wanted.code is not None and wanted.code not in codes else message.customer
