"""The people of an outage, one by one: medical priority on top, those whose door was knocked at below.

Four sections follow each other: medical priority, everybody else, and the visited of both. Within each, people are read from the lists
of where messages stand, a chunk at a time, so any number of them is gone through in the same memory.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import msgspec

from gateway.message import Attempt, Message, Why
from gateway.outages.board import Board
from gateway.outages.members import Members
from gateway.outages.nouns import Outage, Visit
from gateway.outages.visits import Visits
from gateway.standing import Standing, acknowledged, standing, told
from gateway.store.bulk import Bulk, Profile
from gateway.store.ids import place_of
from gateway.store.keys import PARTITIONS, of_customer, partition
from gateway.store.marks import Marks
from gateway.store.standing import Standings

ORDER: Final[tuple[Standing, ...]] = ("unreached", "told_only", "waiting", "suppressed", "reached")
"""Who needs somebody most comes first."""
SECTIONS: Final = ("m", "o", "v", "w")
VISITED: Final = ("v", "w")
NO_ADDRESS: Final = "no_address"
_CHUNK: Final = 200
_CURSOR: Final = re.compile(r"(m|o)\.([0-9]{1,4})\.([0-4])\.([0-9a-f]{2})\.([0-9a-z]{0,24})|(v|w)\.([!-~]{0,64})")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to list; None: whoever. `channel`: somebody tried them there."""

    state: str | None = None
    priority: bool | None = None
    visited: bool | None = None
    channel: str | None = None


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """One person of an outage, by the newest message to them."""

    customer: Profile
    message: Message
    state: Standing
    medical: bool
    visit: Visit | None

    @property
    def attempts(self) -> list[Attempt]:
        """What was tried."""
        return self.message.attempts

    @property
    def told(self) -> bool:
        """Whether a provider took the newest message."""
        return told(self.message)

    @property
    def acknowledged(self) -> bool:
        """Whether they answered the newest message."""
        return acknowledged(self.message)

    @property
    def why(self) -> Why | None:
        """Why they aren't reached, or what they wait for; None for who was told.

        The verdict's reason, else that of the first channel left out; not one they have no address for, if they have others.
        """
        verdict, held = self.message.verdict, self.message.held
        if self.state in ("reached", "told_only"):
            return None
        if self.state == "waiting":
            return None if held is None else Why(held.code, held.text)
        if verdict.code is not None and verdict.state != "pending":
            return Why(verdict.code, verdict.text or "")
        skipped = [one.why for one in self.message.skipped]
        return next(
            (why for why in skipped if why.code != NO_ADDRESS), None if self.attempts else next(iter(skipped), None)
        )


class Point(msgspec.Struct, frozen=True):
    """Where one is: section (of `SECTIONS`), which broadcast, which state, which partition, after which message.

    `visit` is the cursor within the visited.
    """

    section: str = "m"
    broadcast: int = 0
    state: int = 0
    number: int = 0
    after: str = ""
    visit: str | None = None

    @property
    def text(self) -> str:
        """As a cursor."""
        if self.section in VISITED:
            return f"{self.section}.{self.visit or ''}"
        return f"{self.section}.{self.broadcast}.{self.state}.{self.number:02x}.{self.after}"


def point(cursor: str | None) -> Point:
    """The place that a cursor names. Raises ValueError."""
    if cursor is None:
        return Point()
    found = _CURSOR.fullmatch(cursor)
    if found is None or int(found[4] or "0", 16) >= PARTITIONS:
        raise ValueError("must be the `next` of an earlier page.")
    if found[1] is None:
        return Point(found[6], visit=found[7] or None)
    return Point(found[1], int(found[2]), int(found[3]), int(found[4], 16), found[5])


class Recipients:
    """Reads them. Methods raise StoreUnavailable."""

    def __init__(
        self,
        board: Board,
        members: Members,
        standings: Standings,
        marks: Marks,
        bulk: Bulk,
        visits: Visits,
    ) -> None:
        self._board = board
        self._members = members
        self._marks = marks
        self._standings = standings
        self._bulk = bulk
        self._visits = visits

    async def page(
        self, outage: Outage, wanted: Wanted, limit: int, cursor: str | None
    ) -> tuple[list[Recipient], str | None]:
        """At most `limit` people after `cursor`, and the next cursor. Raises ValueError for one that isn't ours."""
        found: list[Recipient] = []
        last: Point | None = None
        async for one, at in self.each(outage, wanted, point(cursor)):
            if len(found) == limit:
                return found, None if last is None else last.text
            found.append(one)
            last = at
        return found, None

    async def each(
        self, outage: Outage, wanted: Wanted, start: Point | None = None
    ) -> AsyncIterator[tuple[Recipient, Point]]:
        """Everybody in order, each with the place to go on from. Who moves meanwhile may come twice, or not at all."""
        begin = start or Point()
        for section in SECTIONS[SECTIONS.index(begin.section) :]:
            at = begin if section == begin.section else Point(section)
            pairs = self._visited(outage, wanted, at) if section in VISITED else self._section(outage, wanted, at)
            async for pair in pairs:
                yield pair

    async def _section(self, outage: Outage, wanted: Wanted, begin: Point) -> AsyncIterator[tuple[Recipient, Point]]:
        """Medical priority or everybody else, by broadcast, state and partition; who was visited stands further below."""
        medical = begin.section == "m"
        if wanted.visited is True or wanted.priority not in (None, medical):
            return
        names = await self._board.names(outage)
        for place in _places(begin, len(names), wanted.state):
            async for messages in self._messages_at(outage, names[place.broadcast], place):
                for one in await self._people(outage, messages, wanted, medical=medical):
                    if one.visit is None:
                        yield one, msgspec.structs.replace(place, after=one.message.id)

    async def _messages_at(self, outage: Outage, broadcast: str, place: Point) -> AsyncIterator[list[Message]]:
        """A chunk at a time, all of one partition, the messages that count for somebody of this section at one place."""
        at, mode, after, state = partition(place.number), outage.mode, place.after, ORDER[place.state]
        medical = place.section == "m"
        while ids := await self._standings.members(at, mode, broadcast, "first" if medical else state, after, _CHUNK):
            after = ids[-1]
            gone = await self._marks.among(at, mode, broadcast, "renewed", ids)
            if not medical:
                gone |= await self._marks.among(at, mode, broadcast, "first", ids)
            found = await self._bulk.messages(at, [one for one in ids if one not in gone])
            yield [message for message in found if not message.erased and standing(message) == state]

    async def _visited(self, outage: Outage, wanted: Wanted, begin: Point) -> AsyncIterator[tuple[Recipient, Point]]:
        medical = begin.section == "v"
        if wanted.visited is False or wanted.priority not in (None, medical):
            return
        sent = await self._members.sent(outage)
        cursor = begin.visit
        while True:
            visits, cursor = await self._visits.page(outage, _CHUNK, cursor)
            for visit in visits:
                message = await self._members.newest(sent, visit.customer)
                if message is None or wanted.state not in (None, standing(message)):
                    continue
                if await self._first(message) == medical:
                    for one in await self._people(outage, [message], wanted, medical=medical):
                        yield one, Point(begin.section, visit=self._visits.cursor(visit))
            if cursor is None:
                return

    async def _first(self, message: Message) -> bool:
        place, broadcast = place_of(message.id), message.broadcast
        if place is None or broadcast is None:
            return False
        return bool(await self._marks.among(place[1], message.mode, broadcast, "first", [message.id]))

    async def _people(
        self, outage: Outage, messages: Sequence[Message], wanted: Wanted, *, medical: bool
    ) -> list[Recipient]:
        fitting = [
            message
            for message in messages
            if wanted.channel is None or any(a.channel == wanted.channel for a in message.attempts)
        ]
        if not fitting:
            return []
        names = [message.customer for message in fitting]
        customers = await self._bulk.profiles(of_customer(names[0]), names)
        visits = await self._visits.of(outage, names)
        return [
            Recipient(customer=known, message=message, state=standing(message), medical=medical, visit=visit)
            for message, known, visit in zip(fitting, customers, visits, strict=True)
            if known is not None
        ]


def _places(begin: Point, broadcasts: int, state: str | None) -> Iterator[Point]:
    """Every place of a section from `begin` on, the states that are wanted alone."""
    states = [n for n, name in enumerate(ORDER) if state in (None, name)]
    first = begin.state, begin.broadcast, begin.number
    for here in itertools.product(states, range(broadcasts), range(PARTITIONS)):
        if here >= first:
            yield begin if here == first else Point(begin.section, here[1], here[0], here[2])
