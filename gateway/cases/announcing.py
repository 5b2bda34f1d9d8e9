"""“You said, we did”: everybody who was hit by the same fault hears that it was mended, once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gateway.broadcasts.nouns import ALL, Audience, Broadcast, NewBroadcast
from gateway.broadcasts.service import Broadcasts
from gateway.cases import machine
from gateway.cases.nouns import Case
from gateway.cases.records import cause_key
from gateway.cases.service import Cases
from gateway.cases.words import phrase
from gateway.delivery.drafts import Origin
from gateway.delivery.request import Rejected
from gateway.message import Mode

TEMPLATE: Final = "case-resolved-announcement"
AT_ONCE: Final = 32
PATIENCE: Final = 3.0
"""Seconds to wait for a small announcement to be handed over, so that the answer says how many were told."""
_LOOK: Final = 0.05


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Whose cases: exactly one of a list of ids, a root cause, an outage."""

    cases: tuple[str, ...] | None = None
    root_cause: str | None = None
    outage: str | None = None


class Announced(msgspec.Struct, frozen=True):
    """What an announcement came to: the broadcast, how many people it goes to, how many of them were told by now."""

    broadcast: str
    people: int
    told: int


class Announcements:
    """Tells the customers of many cases at once."""

    def __init__(self, cases: Cases, broadcasts: Broadcasts) -> None:
        self._cases = cases
        self._broadcasts = broadcasts

    async def announce(
        self,
        mode: Mode,
        choice: Choice,
        origin: Origin,
        *,
        by: str,
        content: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        patience: float = PATIENCE,
    ) -> Announced:
        """Tell each customer of these cases once. `content`; else the built-in words with `data`, or with what the cases say.

        Again with the same origin it is the same announcement. Raises Rejected, NoRoom, StoreUnavailable.
        """
        cases = await self._chosen(mode, choice)
        people = tuple(sorted({case.customer for case in cases if case.customer is not None}))
        if not people:
            given = next(name for name in Choice.__struct_fields__ if getattr(choice, name) is not None)
            raise Rejected(
                [(f"/{given}", "Nobody would be told: there is no such case of anybody who is still known.")]
            )
        mark = hashlib.blake2b(origin.seed + b"announcement", digest_size=10).hexdigest()
        new = NewBroadcast(
            id=f"announcement-{mark}",
            audience=Audience(customers=people),
            category="service",
            kind="announcement",
            template=TEMPLATE if content is None else None,
            data=data or _said(cases) if content is None else {},
            content=content,
        )
        made = await self._created(mode, new, origin)
        await _all(
            [functools.partial(self._mark, mode, case.id, made.id, by) for case in cases if case.customer is not None]
        )
        number = made.listed or len(people)
        return Announced(made.id, number, await self._told(mode, made.id, number, patience))

    async def _created(self, mode: Mode, new: NewBroadcast, origin: Origin) -> Broadcast:
        """The broadcast; of a request that was broken off, as it was begun, whatever cases there are by now."""
        begun = await self._broadcasts.load(mode, new.id or "")
        return begun or await self._broadcasts.create(mode, new, origin)

    async def _chosen(self, mode: Mode, choice: Choice) -> list[Case]:
        if choice.root_cause is not None:
            return await self._cases.having(mode, "cause", cause_key(choice.root_cause))
        if choice.outage is not None:
            return await self._cases.having(mode, "outage", choice.outage)
        names = dict.fromkeys(choice.cases or ())
        found = [await self._cases.get(mode, name) for name in names]
        missing = [n for n, case in enumerate(found) if case is None]
        if missing:
            raise Rejected([(f"/cases/{n}", "There is no such case.") for n in missing])
        return [case for case in found if case is not None]

    async def _mark(self, mode: Mode, case: str, broadcast: str, by: str) -> None:
        with contextlib.suppress(machine.NotNow):  # its customer has been erased in this very moment
            await self._cases.change(mode, case, lambda found, now: machine.announced(found, broadcast, now, by))

    async def _told(self, mode: Mode, broadcast: str, people: int, patience: float) -> int:
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while True:
            report = await self._broadcasts.state(mode, broadcast)
            told = report.counts.told
            settled = report.broadcast.expanded_by == ALL and not report.counts.waiting
            if told >= people or settled or report.broadcast.over or loop.time() > end:
                return told
            await asyncio.sleep(_LOOK)


def _said(cases: Sequence[Case]) -> dict[str, Any]:
    """What was said and done, as the newest case with a root cause has it."""
    newest = next((case for case in cases if case.root_cause is not None and case.customer is not None), None)
    if newest is None:
        raise Rejected(
            [("/content", "is needed: none of these cases has been resolved, so nothing says what was done.")]
        )
    told = {"said": newest.subject, "done": newest.action, "cause": newest.root_cause}
    return {name: phrase(words) for name, words in told.items() if words is not None}


async def _all(jobs: Sequence[Callable[[], Any]]) -> None:
    for n in range(0, len(jobs), AT_ONCE):
        await asyncio.gather(*(job() for job in jobs[n : n + AT_ONCE]))
