"""What an outage has to do next: send what is written down, stop what is out of date, tell how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

import msgspec
import structlog

from gateway.broadcasts.nouns import ALL, Audience, Broadcast, Differs, NewBroadcast, Over, Standing
from gateway.broadcasts.service import Broadcasts
from gateway.delivery.drafts import Origin
from gateway.delivery.request import Rejected
from gateway.message import Mode
from gateway.outages.board import OF_OUTAGES, Board
from gateway.outages.nouns import Outage, Part, Said
from gateway.outages.records import DAY_MS, looked_at, removed, written
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.keys import Partition
from gateway.store.rosters import Rosters
from gateway.store.things import Place, Shelf, Written

CATEGORY: Final = "outage"
_SEED: Final = b"outage"
SETTLED_MS: Final = 10_000
"""The longest that an all-clear waits for what is under way."""
_PAGE: Final = 5_000
_ANYBODY: Final = "anybody"
"""Stands for an audience that has been checked already."""
_log = structlog.get_logger()


class Course:
    """Carries outages out. Every step may be repeated. Methods raise StoreUnavailable."""

    def __init__(
        self, shelf: Shelf[Outage], broadcasts: Broadcasts, rosters: Rosters, board: Board, clock: Clock, *, keep: int
    ) -> None:
        """`keep`: for how many days lists of people are kept, and outages after their end."""
        self._shelf = shelf
        self._broadcasts = broadcasts
        self._rosters = rosters
        self._board = board
        self._clock = clock
        self._keep = keep * DAY_MS

    async def remember(self, audience: Audience, mark: str) -> str | None:
        """Keep a list of people where an erasure finds them; the name of the list, None where the audience is none."""
        if audience.customers is None:
            return None
        name = f"outage-{mark}"
        await self._rosters.write(name, audience.customers, lives=self._keep)
        return name

    async def check(self, outage: Outage, part: Part, audience: Audience | None = None) -> None:
        """Raises Rejected with everything that is wrong with what is to be sent; nothing is stored."""
        await self._broadcasts.check(outage.mode, _broadcast(outage, part, audience or Audience(customers=(_ANYBODY,))))

    async def send(self, outage: Outage, audience: Audience | None = None) -> Outage:
        """Send what has been asked for and isn't sent yet, the oldest first. `audience`: of the notice, as just given.

        Raises Rejected, NoRoom.
        """
        for part in outage.parts:
            if part.said is None:
                continue
            earlier = await self._earlier(outage, part)
            if part.kind == "all_clear" and not await self._settled(outage, part, earlier):
                break
            given = audience if part.kind == "notice" else None
            new = _broadcast(outage, part, given or await self._audience(outage, part, earlier))
            # In other words it is there all the same: somebody of the list has been erased meanwhile.
            with contextlib.suppress(Differs):
                await self._broadcasts.create(outage.mode, new, Origin(_SEED, part.at))
            if part.kind == "update":
                # Who hasn't got what was said before gets only this: it finds nobody more, and takes their place.
                await self._order(self._broadcasts.pause, outage.mode, earlier)
            outage = await self._known_sent(outage, part)
        return outage

    async def forget(self, outage: Outage, mark: str) -> None:
        """Take back what turned out not to be sendable; an outage without its notice is none."""

        def less(known: Outage | None) -> Written[Outage] | None:
            if known is None:
                return None
            left = tuple(part for part in known.parts if part.mark != mark or part.said is None)
            if not left:
                return removed(known)
            resolving = any(part.kind == "all_clear" for part in left)
            changed = msgspec.structs.replace(known, parts=left)
            if not resolving and known.state == "resolving":
                changed = msgspec.structs.replace(changed, state="active", resolved_at=None)
            return written(known, changed, self._clock.now())

        await self._shelf.change(self._shelf.place(outage.mode, outage.id), less)

    async def work(self, at: Partition, taken: Taken) -> None:
        """Look at an outage that was taken from the agenda. Raises msgspec.DecodeError."""
        outage = self._shelf.taken(taken)
        try:
            outage = await self.send(outage)
        except Rejected as refused:
            # It was fine when it was asked for: its template or group has gone since.
            _log.warning("outage_not_sent", outage=outage.id, mode=outage.mode, problems=len(refused.problems))
            known = await self._shelf.load(Place(at.number, taken.member))
            pending = [] if known is None else [part for part in known.parts if part.said is not None]
            for part in pending[:1]:
                await self.forget(outage, part.mark)
            return
        now = self._clock.now()
        cleared = await self._clear(outage)
        seen = (await self._board.standing(outage)).counts
        over = outage.state == "resolving" and await self._all_clear_over(outage)

        def look(known: Outage | None) -> Written[Outage] | None:
            if known is None:
                return None
            if any(part.said is not None for part in known.parts):
                return written(known, known, now)
            known = msgspec.structs.replace(known, cleared=cleared)
            return looked_at(known, seen, now, over=over and known.state == "resolving", keep=self._keep)

        await self._shelf.change(Place(at.number, taken.member), look)

    async def _all_clear_over(self, outage: Outage) -> bool:
        part = outage.all_clear
        found = None if part is None else await self._broadcasts.load(outage.mode, part.broadcast)
        return found is not None and found.over

    async def _settled(self, outage: Outage, part: Part, earlier: Sequence[str]) -> bool:
        """Before the all-clear goes to those who were told, nobody more is told; or hardly anybody, after some time."""
        await self._order(self._broadcasts.cancel, outage.mode, earlier)
        if self._clock.now() > part.at + SETTLED_MS:
            return True
        for name in earlier:
            found = await self._broadcasts.load(outage.mode, name)
            if found is None or found.ended_at is not None:
                continue
            if found.expanded_by != ALL or await self._board.waiting(outage.mode, name):
                return False
        return True

    async def _earlier(self, outage: Outage, part: Part) -> list[str]:
        """Everything that was sent before, repeats included."""
        names = [one.broadcast for one in outage.parts if one.at < part.at]
        # By what they repeat, not by their time: one may have been asked for later and be there first.
        for one in await self._board.all_repeats(outage, outage.created_at):
            if one.retry_of in names:
                names.append(one.id)
        return names

    async def _clear(self, outage: Outage) -> int:
        """Once everybody has the newest message, what was said before is over; until when (ms) it is."""
        newest = outage.newest
        if outage.cleared < newest.at and newest.kind == "update" and newest.said is None:
            found = await self._broadcasts.load(outage.mode, newest.broadcast)
            if found is None or found.expanded_by != ALL:
                return outage.cleared
            await self._order(self._broadcasts.cancel, outage.mode, await self._earlier(outage, newest))
        return newest.at

    async def _order(self, give: Callable[[Mode, str], Awaitable[Broadcast]], mode: Mode, names: Iterable[str]) -> None:
        for name in names:
            with contextlib.suppress(Over, KeyError):
                await give(mode, name)

    async def _audience(self, outage: Outage, part: Part, earlier: Sequence[str]) -> Audience:
        if part.kind == "all_clear":
            return Audience(standing=Standing(broadcasts=tuple(earlier), names=("told",)))
        if outage.roster is None:
            return outage.audience
        people: list[str] = []
        while page := await self._rosters.merged(outage.roster, people[-1] if people else "", _PAGE):
            people += page
        return Audience(customers=tuple(people))

    async def _known_sent(self, outage: Outage, part: Part) -> Outage:
        def sent(known: Outage | None) -> Written[Outage] | None:
            if known is None:
                return None
            parts = tuple(
                msgspec.structs.replace(one, said=None) if one.broadcast == part.broadcast else one
                for one in known.parts
            )
            return written(known, msgspec.structs.replace(known, parts=parts), self._clock.now())

        found = await self._shelf.change(self._shelf.place(outage.mode, outage.id), sent)
        return outage if found is None else found


def _broadcast(outage: Outage, part: Part, audience: Audience) -> NewBroadcast:
    """A part of an outage as a broadcast. Medical priority goes first and is tried three rounds."""
    said = part.said or Said()
    return NewBroadcast(
        id=part.broadcast,
        audience=audience,
        category=CATEGORY,
        template=said.template,
        content=said.content,
        data=said.data,
        reach=said.reach,
        prompt=said.prompt,
        thread=outage.thread,
        priority_first=True,
        reference=outage.id,
        kind=OF_OUTAGES,
    )
