"""What is done with one thing that was taken, whatever becomes of it: a result, another try, or the morgue."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from gateway.delivery.desk import Desk
from gateway.delivery.gate import Gate
from gateway.delivery.post import Permit
from gateway.delivery.room import NoRoom
from gateway.delivery.sending import Sender
from gateway.message import SCHEMA, Lane, Message
from gateway.store.changes import Taken
from gateway.store.keys import Partition, partition
from gateway.store.messages import Loaded, decode_taken, schema_of
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts

FAILURES_BEFORE_MORGUE: Final = 3
REST_MS: Final = 10_000
"""How long a record rests after work on it has failed."""
ABANDONED_BEFORE_ALONE: Final = 2
"""How many workers may have taken a record and never come back before it is worked on where it harms nobody."""

Alone = Callable[[int, Taken], Awaitable[str | None]]
"""Works on a record of a partition where it can harm nothing else; why it belongs in the morgue, or None."""

Kind = Callable[[Partition, Taken], Awaitable[None]]
"""Works on one kind of members that aren't messages. Raises msgspec.DecodeError for a record that can't be read."""

Follower = Callable[[Message], Awaitable[None]]
"""Tells what a message serves (`Message.about`) that it was answered, has ended, or that its end was corrected; it reads
from the message what of it is new. It is called at least once for all news, now and then by two workers at once, so it
must be safe to repeat: ids of what it makes come from the message, and it compares before it writes. May raise NoRoom."""

log = structlog.get_logger()


class Workbench:
    """One process's bench. `kinds`: who works on what isn't a message, by the first part of its member. `alone`: for
    records that others did not survive. `followers`: who is told of messages, by the first part of what they are about.
    """

    def __init__(
        self,
        scripts: Scripts,
        desk: Desk,
        sender: Sender,
        kinds: Mapping[str, Kind],
        followers: Mapping[str, Follower],
        gate: Gate,
        alone: Alone | None,
    ) -> None:
        self._scripts = scripts
        self._desk = desk
        self._sender = sender
        self._kinds = kinds
        self._followers = followers
        self._gate = gate
        self._alone = alone
        self._in_hand: set[tuple[int, str, int]] = set()

    async def work(self, number: int, taken: Taken, permit: Permit | None) -> None:
        """Work on a member that partition `number` has handed out; whatever it is, it ends here."""
        this = number, taken.member, taken.version
        if this in self._in_hand:
            return  # its lease ran out while this process was busy with it; it has just been given another one
        self._in_hand.add(this)
        try:
            await self._work(number, taken, permit)
        except msgspec.DecodeError as unreadable:
            await self._bury(number, taken, f"The record can't be read: {unreadable}")
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", member=taken.member, error=str(away))
            await self._hand_back(number, taken)
        except NoRoom as full:
            log.warning("no_room", member=taken.member, error=full.detail)
            await self._hand_back(number, taken)
        except Exception:  # the one broad one: a bug becomes a visible record instead of a lost message
            log.exception("work_failed", member=taken.member)
            await self._failed(number, taken, traceback.format_exc())
        finally:
            self._in_hand.discard(this)

    async def _work(self, number: int, taken: Taken, permit: Permit | None) -> None:
        if taken.member.startswith("m:") and schema_of(taken) > SCHEMA:
            return
        if taken.version < 0:
            await self._bury(number, taken, "The record has lost its version.")
        elif self._alone is not None and taken.abandoned >= ABANDONED_BEFORE_ALONE:
            reason = await self._alone(number, taken)
            if reason is not None:
                await self._bury(number, taken, reason)
        elif taken.member.startswith("m:"):
            told = await self._told(decode_taken(taken))
            async with self._gate.turn(lane_of(taken)):
                await self._work_message(taken, permit, told=told)
        else:
            await self._kinds[taken.member.partition(":")[0]](partition(number), taken)

    async def _told(self, message: Message) -> bool:
        """Tell what the message serves, if that is owed. Before its turn in the gate: a follower takes turns itself."""
        if not message.owed or message.about is None:
            return False
        await self._followers[message.about.partition(":")[0]](message)
        return True

    async def _work_message(self, taken: Taken, permit: Permit | None, *, told: bool) -> None:
        case = await self._desk.open(Loaded(decode_taken(taken), taken.version))
        if told:
            # Cleared by the next commit, if nobody is faster: else there is news, and all of it is told again.
            case.message.owed = False
        if permit is not None and await self._sender.turn(case, permit):
            return
        await self._sender.decide_only(case)

    async def _failed(self, number: int, taken: Taken, reason: str) -> None:
        try:
            failures = await self._scripts.failed(partition(number), taken.member, REST_MS)
            if failures >= FAILURES_BEFORE_MORGUE:
                await self._bury(number, taken, reason)
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", member=taken.member, error=str(away))

    async def _hand_back(self, number: int, taken: Taken) -> None:
        """This process is alive: what it leaves unfinished must not look as if it had killed somebody."""
        try:
            await self._scripts.hand_back(partition(number), taken.member)
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", member=taken.member, error=str(away))

    async def _bury(self, number: int, taken: Taken, reason: str) -> None:
        log.error("morgue", member=taken.member, reason=reason.splitlines()[-1])
        await self._scripts.bury(partition(number), taken.member, reason)


def lane_of(taken: Taken) -> Lane:
    """The lane a taken member goes in; what people write to us is critical."""
    try:
        if taken.member.startswith("m:"):
            return decode_taken(taken).lane
        return "critical" if taken.member.startswith("i:") else "normal"
    except (msgspec.DecodeError, ValueError):
        return "normal"
