"""Broadcasts as a service: made, followed, steered."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from gateway.broadcasts.checking import message_of, problems
from gateway.broadcasts.jobs import Jobs
from gateway.broadcasts.nouns import (
    ALL,
    Audience,
    Broadcast,
    Differs,
    NewBroadcast,
    Over,
    Passed,
    Report,
    Retry,
    Standing,
)
from gateway.broadcasts.records import DAY_MS, Records, body_name, body_place, digest_of, made_id, source_name
from gateway.broadcasts.reporting import report
from gateway.delivery.crowd import Crowd
from gateway.delivery.drafts import Origin
from gateway.delivery.request import Rejected
from gateway.delivery.workbench import Kind
from gateway.message import Message, Mode
from gateway.people.groups import Group, Groups
from gateway.store.bodies import Bodies
from gateway.store.clock import Clock
from gateway.store.rosters import Rosters
from gateway.store.standing import Standings

_Told = Callable[[Broadcast], Broadcast | None]
Guard = Callable[[Broadcast], Awaitable[str | None]]
"""Why nobody more may be told by a broadcast, and what to do, in a sentence for people; None: they may."""
WAITS_MS: Final = 400 * DAY_MS
"""How long a broadcast may wait, scheduled or paused, until its list and its body are given up."""


class Broadcasts:
    """The service behind `/v1/broadcasts`, and under outages, invitations and announcements.

    Methods raise StoreUnavailable, and KeyError for an unknown broadcast.
    """

    def __init__(
        self,
        records: Records,
        jobs: Jobs,
        crowd: Crowd,
        groups: Groups,
        bodies: Bodies,
        rosters: Rosters,
        standings: Standings,
        clock: Clock,
    ) -> None:
        self._records = records
        self._jobs = jobs
        self._crowd = crowd
        self._groups = groups
        self._bodies = bodies
        self._rosters = rosters
        self._standings = standings
        self._clock = clock
        self.kinds: dict[str, Kind] = {"broadcast": jobs.conduct, "job": jobs.work}
        self.guards: dict[str, Guard] = {}
        """By the kind of broadcast."""

    async def create(self, mode: Mode, new: NewBroadcast, origin: Origin) -> Broadcast:
        """Accept a broadcast durably; the one that is there when it was asked for in the same words.

        Raises Rejected with all problems, Differs, NoRoom.
        """
        name = new.id or made_id(origin)
        words = digest_of(new)
        known = await self._known(mode, name, words)
        if known is not None:
            return known
        pattern, body, group = await self._checked(mode, new, origin.at)
        self._crowd.room(pattern.lane)
        people = None if new.audience.customers is None else tuple(dict.fromkeys(new.audience.customers))
        made = Broadcast(
            id=name,
            mode=mode,
            category=pattern.category,
            lane=pattern.lane,
            audience=new.audience if people is None else Audience(),
            reach=pattern.reach,
            created_at=origin.at,
            digest=words,
            kind=new.kind,
            listed=len(people) if people is not None else None if group is None else group.listed,
            where=new.audience.where if group is None else group.where,
            roster=None if group is None else group.roster,
            template=pattern.template,
            template_version=pattern.template_version,
            prompt=pattern.prompt,
            thread=new.thread,
            about=new.about,
            reference=new.reference,
            metadata=new.metadata,
            rate=new.rate,
            priority_first=new.priority_first,
            priority_rounds=new.priority_rounds,
            send_at=new.send_at,
            expires_at=new.expires_at,
            retry_of=new.retry_of,
            uncapped=new.uncapped,
        )
        return await self._stored(made, body, people)

    async def check(self, mode: Mode, new: NewBroadcast) -> None:
        """Raises Rejected with everything that is wrong with one; nothing is stored."""
        await self._checked(mode, new, self._clock.now())

    async def load(self, mode: Mode, name: str) -> Broadcast | None:
        """A broadcast; None when there is none of that id."""
        return await self._records.load(mode, name)

    async def state(self, mode: Mode, name: str) -> Report:
        """How it stands."""
        return await self.report(await self._own(mode, name))

    async def report(self, broadcast: Broadcast) -> Report:
        """How a broadcast stands that has been loaded."""
        jobs, counts, channels = await asyncio.gather(
            self._records.jobs_of(broadcast),
            self._standings.counts(broadcast.mode, broadcast.id),
            self._standings.by_channel(broadcast.mode, broadcast.id),
        )
        return report(broadcast, jobs, counts, channels, self._clock.now())

    async def page(
        self, mode: Mode, limit: int, cursor: str | None = None, *, kind: str = ""
    ) -> tuple[list[Broadcast], str | None]:
        """Broadcasts, newest first, of one kind or of all; and the next cursor. Raises ValueError for a bad cursor."""
        return await self._records.page(mode, kind, limit, cursor)

    async def pause(self, mode: Mode, name: str) -> Broadcast:
        """Nothing of it begins any more until it is resumed. Raises Over."""
        now = self._clock.now()

        def paused(found: Broadcast) -> Broadcast | None:
            if found.over:
                raise Over(name)
            return None if found.paused_at is not None else _ordered(found, paused_at=now)

        return await self._ordered(mode, name, paused)

    async def resume(self, mode: Mode, name: str) -> Broadcast:
        """Go on. Raises Over, Passed."""
        await self._guarded(await self._own(mode, name))

        def resumed(found: Broadcast) -> Broadcast | None:
            if found.over:
                raise Over(name)
            return None if found.paused_at is None else _ordered(found, paused_at=None)

        after = await self._ordered(mode, name, resumed)
        try:
            await self._guarded(after)
        except Passed:
            with contextlib.suppress(Over):
                await self.pause(mode, name)
            raise
        return after

    async def cancel(self, mode: Mode, name: str) -> Broadcast:
        """Nobody more is written to, and what has not begun is cancelled. Raises Over when it is done."""
        now = self._clock.now()

        def cancelled(found: Broadcast) -> Broadcast | None:
            if found.cancelled_at is not None:
                return None
            if found.ended_at is not None:
                raise Over(name)
            return _ordered(found, cancelled_at=now, cut=found.expanded_by != ALL)

        return await self._ordered(mode, name, cancelled)

    async def retry(self, mode: Mode, name: str, wanted: Retry, origin: Origin) -> Broadcast:
        """The same to those whose messages stand so: a new broadcast with `retry_of`. Raises Rejected, NoRoom, Passed."""
        old = await self._own(mode, name)
        self._crowd.room(old.lane)
        body = await self._bodies.load(body_place(self._records, old), source_name(old))
        if body is None:
            raise Rejected([("/id", "Its content has outlived its retention; make a new broadcast.")])
        standing = Standing(broadcasts=(old.id,), names=wanted.names, channel=wanted.channel, code=wanted.code)
        again = made_id(origin)
        words = hashlib.blake2b(msgspec.json.encode((old.id, wanted)), digest_size=20).digest()
        known = await self._known(mode, again, words)
        if known is not None:
            return known
        await self._guarded(old)
        made = msgspec.structs.replace(
            old,
            id=again,
            audience=Audience(standing=standing),
            created_at=origin.at,
            digest=words,
            listed=None,
            where=None,
            roster=None,
            send_at=None,
            expires_at=None,
            retry_of=old.id,
            paused_at=None,
            cancelled_at=None,
            cut=False,
            ended_at=None,
            first_by=0,
            expanded_by=0,
            ended_by=0,
            orders=1,
            carried=0,
        )
        stored = await self._stored(made, body, None)
        try:
            await self._guarded(stored)
        except Passed:
            # What makes it out of date looks for its broadcasts afterwards: either it found this one, or this finds it.
            with contextlib.suppress(Over):
                await self.cancel(mode, again)
            raise
        return stored

    async def _guarded(self, broadcast: Broadcast) -> None:
        guard = self.guards.get(broadcast.kind)
        why = None if guard is None else await guard(broadcast)
        if why is not None:
            raise Passed(why)

    async def _own(self, mode: Mode, name: str) -> Broadcast:
        found = await self._records.load(mode, name)
        if found is None:
            raise KeyError(name)
        return found

    async def _known(self, mode: Mode, name: str, words: bytes) -> Broadcast | None:
        found = await self._records.load(mode, name)
        if found is not None and found.digest != words:
            raise Differs(name)
        return found

    async def _checked(self, mode: Mode, new: NewBroadcast, at: int) -> tuple[Message, bytes, Group | None]:
        found = problems(new)
        group = None
        if new.audience.group is not None:
            group = await self._groups.load(new.audience.group)
            if group is None:
                found.append(("/audience/group", f"There is no group {new.audience.group!r}."))
        try:
            pattern, body = await self._crowd.pattern(mode, message_of(new), at)
        except Rejected as rejected:
            raise Rejected([*found, *rejected.problems]) from None
        if found:
            raise Rejected(found)
        return pattern, body, group

    async def _stored(self, made: Broadcast, body: bytes, people: tuple[str, ...] | None) -> Broadcast:
        """Keep what it needs first, and then itself: what is left of one that never came to be lapses."""
        now = self._clock.now()
        waits = max(0, made.begins - now) + WAITS_MS
        # By the words as well: of two at once that differ, each has a list of its own.
        own, group = f"{body_name(made)}:{made.digest.hex()}", made.roster
        if people is not None:
            made = msgspec.structs.replace(made, roster=own)
            await self._rosters.write(own, people, lives=waits)
        elif group is not None:
            # The group may be replaced or removed long before this one begins, or goes on.
            made = msgspec.structs.replace(made, roster=own)
            await self._rosters.copy(group, own, lives=waits)
        await self._bodies.store(body_place(self._records, made), source_name(made), body, waits)
        place = self._records.place(made.mode, made.id)
        if not await self._records.broadcasts.put(place, self._records.new(made), 0):
            try:
                known = await self._known(made.mode, made.id, made.digest)
            except Differs:
                if made.roster is not None:
                    await self._rosters.drop(made.roster)
                raise
            return made if known is None else known
        return made

    async def _ordered(self, mode: Mode, name: str, told: _Told) -> Broadcast:
        after = await self._records.change(mode, name, told, self._clock.now())
        await self._jobs.reconcile(after)
        return after


def _ordered(found: Broadcast, **changes: int | None) -> Broadcast:
    return msgspec.structs.replace(found, orders=found.orders + 1, **changes)
