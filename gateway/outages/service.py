"""Outages as a service: begun, told of further, declared over.

What is to be sent is written down with the outage before it is sent, so that whoever dies in between does it again; the ids
of broadcasts follow from the request, so that a repeat sends nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.delivery.drafts import Origin
from gateway.delivery.request import Rejected
from gateway.message import Message, Mode
from gateway.outages.board import Board, Standing
from gateway.outages.course import Course
from gateway.outages.members import Members
from gateway.outages.nouns import Audience, Kind, Outage, Part, Said, Visit, mark_of, part_id
from gateway.outages.recipients import Recipients
from gateway.outages.records import ALL, STATES, written
from gateway.outages.visits import Visits
from gateway.store.clock import Clock
from gateway.store.things import Shelf

AREA: Final = "area"
MOST_OPEN: Final = 50
"""In more outages at once a call is not looked up."""


class Taken(Exception):
    """There is an outage of that id that was asked for in other words."""


class Over(Exception):
    """The outage has been resolved, or is being."""


class NewOutage(msgspec.Struct, frozen=True, kw_only=True):
    """An outage as asked for. `id` None: one is made. `by`: the API key's id."""

    title: str
    audience: Audience
    said: Said
    id: str | None = None
    by: str = ""


class Outages:
    """The service behind `/v1/outages`. Methods raise StoreUnavailable, and KeyError for an unknown outage."""

    def __init__(
        self,
        shelf: Shelf[Outage],
        board: Board,
        course: Course,
        members: Members,
        recipients: Recipients,
        visits: Visits,
        clock: Clock,
    ) -> None:
        self._shelf = shelf
        self._board = board
        self._course = course
        self._members = members
        self._visits = visits
        self._clock = clock
        self.recipients = recipients
        self.work = course.work

    async def check(self, mode: Mode, new: NewOutage) -> None:
        """Raises Rejected with everything that is wrong with one; nothing is stored."""
        made, notice = _made(mode, new, Origin(b"check", self._clock.now()))
        await self._course.check(made, notice, new.audience)

    async def begin(self, mode: Mode, new: NewOutage, origin: Origin) -> Outage:
        """Accept an outage and its notice; the one that is there when it was asked for in the same words. Raises Rejected with all problems, Taken, NoRoom."""
        made, notice = _made(mode, new, origin)
        name = made.id
        place, now = self._shelf.place(mode, name), self._clock.now()
        if await self._shelf.load(place) is None:
            await self._course.check(made, notice, new.audience)
            made.roster = await self._course.remember(new.audience, notice.mark)
        found = await self._shelf.change(place, lambda known: written(None, made, now) if known is None else None)
        if found is None or (found.parts[0].mark != notice.mark and found.digest != made.digest):
            raise Taken(name)
        if found.parts[0].mark != notice.mark:
            return found
        return await self._sent(found, notice.mark, new.audience)

    async def update(self, mode: Mode, name: str, said: Callable[[Outage], Said], origin: Origin) -> Outage:
        """News for the whole audience, in place of what has not gone out. Raises Rejected, Over, NoRoom."""
        return await self._add(mode, name, "update", said, origin)

    async def resolve(self, mode: Mode, name: str, said: Said | None, origin: Origin) -> Outage:
        """The all-clear to those who were told; `said` None: the built-in words. Raises Rejected, Over, NoRoom."""
        return await self._add(mode, name, "all_clear", lambda known: said or built_in(known), origin)

    async def load(self, mode: Mode, name: str) -> Outage:
        """An outage."""
        found = await self._shelf.load(self._shelf.place(mode, name))
        if found is None:
            raise KeyError(name)
        return found

    async def stands(self, outage: Outage) -> Standing:
        """How it stands."""
        return await self._board.standing(outage)

    async def page(
        self, mode: Mode, limit: int, cursor: str | None = None, *, state: str | None = None
    ) -> tuple[list[Outage], str | None]:
        """Outages, newest first, and the next cursor; of one state or of all."""
        if state is None:
            return await self._shelf.page(mode, ALL, limit, cursor)
        return await self._shelf.page(mode, STATES, limit, cursor, value=state)

    async def visited(self, outage: Outage, customer: str, by: str, note: str | None) -> Visit:
        """Somebody was at a person's door. Raises KeyError for who isn't in the outage."""
        if await self._members.newest(await self._members.sent(outage), customer) is None:
            raise KeyError(customer)
        return await self._visits.mark(outage, customer, by, note)

    async def open_for(self, mode: Mode, customer: str) -> list[tuple[Outage, Message]]:
        """The outages under way in which a person has a message, newest first, each with the newest message."""
        active, _ = await self._shelf.page(mode, STATES, MOST_OPEN, value="active")
        sent = await asyncio.gather(*(self._members.sent(outage) for outage in active))
        newest = await asyncio.gather(*(self._members.newest(some, customer) for some in sent))
        return [(outage, message) for outage, message in zip(active, newest, strict=True) if message is not None]

    async def _add(self, mode: Mode, name: str, kind: Kind, said: Callable[[Outage], Said], origin: Origin) -> Outage:
        mark, now = mark_of(origin.seed), self._clock.now()
        over = False
        before = await self.load(mode, name)
        if before.state == "active":
            wanted = Part(broadcast=part_id(name, origin.seed), kind=kind, at=origin.at, mark=mark, said=said(before))
            await self._course.check(before, wanted)

        def add(known: Outage | None) -> Any:
            nonlocal over
            over = False
            if known is None or any(part.mark == mark for part in known.parts):
                return None
            if known.state != "active":
                over = True
                return None
            at = max(origin.at, known.parts[-1].at + 1)
            part = Part(broadcast=part_id(name, origin.seed), kind=kind, at=at, mark=mark, said=said(known))
            changed = msgspec.structs.replace(known, parts=(*known.parts, part))
            if kind == "all_clear":
                changed = msgspec.structs.replace(changed, state="resolving", resolved_at=at)
            return written(known, changed, now)

        found = await self._shelf.change(self._shelf.place(mode, name), add)
        if found is None:
            raise KeyError(name)
        if over:
            raise Over(name)
        return await self._sent(found, mark)

    async def _sent(self, outage: Outage, mark: str, audience: Audience | None = None) -> Outage:
        """Send what has just been written down; where it can't be sent it has never been asked for."""
        try:
            return await self._course.send(outage, audience)
        except Rejected:
            await self._course.forget(outage, mark)
            raise


def _made(mode: Mode, new: NewOutage, origin: Origin) -> tuple[Outage, Part]:
    """An outage as it begins, and its notice."""
    name = new.id or f"o-{hmac.digest(origin.seed, b'outage', hashlib.sha256).hex()[:16]}"
    mark = mark_of(origin.seed)
    notice = Part(broadcast=part_id(name, origin.seed), kind="notice", at=origin.at, mark=mark, said=new.said)
    made = Outage(
        id=name,
        mode=mode,
        title=new.title,
        audience=new.audience if new.audience.customers is None else Audience(),
        created_at=origin.at,
        by=new.by,
        reach=new.said.reach,
        prompt=new.said.prompt,
        area=area if isinstance(area := new.said.data.get(AREA), str) else "",
        parts=(notice,),
        digest=_digest(new),
    )
    return made, notice


def _digest(new: NewOutage) -> bytes:
    """The same for two that ask for the same, whoever asks."""
    words = msgspec.json.encode((new.title, new.audience, new.said), order="deterministic")
    return hashlib.blake2b(words, digest_size=20).digest()


def built_in(outage: Outage) -> Said:
    """The all-clear when nobody has worded it. It names the place only where the notice did: the title is for operators."""
    return Said(template="outage-resolved", data={AREA: outage.area} if outage.area else {})
