"""What we do: take what is ready, ask what to do, record the attempt, send, commit.

A bell says which partition has something; besides, all of them are swept every 250 ms, so a lost bell costs a quarter
of a second at most. Permits and rate tokens are taken before work is, so nothing is handed out that could not go.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.delivery.desk import Desk
from gateway.delivery.inbound import Inbox
from gateway.delivery.pacing import Post, Switchboard
from gateway.delivery.sending import Sender
from gateway.message import SCHEMA, Lane
from gateway.store.clock import MOST_SKEW_MS, Clock
from gateway.store.keys import BELL, PARTITIONS, partition
from gateway.store.messages import Loaded, decode_taken, schema_of
from gateway.store.pipe import StoreUnavailable
from gateway.store.scripts import Scripts, Taken

DECIDING_LEASE_MS: Final = 10_000
SWEEP_MS: Final = 250
DECIDING_MOST: Final = 256
TAKES_BEFORE_MORGUE: Final = 3
FINISH_S: Final = 30.0
REPORT_MS: Final = 2_000

Alone = Callable[[int, Taken], Awaitable[str | None]]
"""Works on a record of a partition where it can harm nothing else; why it belongs in the morgue, or None."""

log = structlog.get_logger()


class Worker:
    """One worker process's loop over all partitions. `alone`: for records that others did not survive."""

    def __init__(
        self,
        client: Redis,
        scripts: Scripts,
        clock: Clock,
        desk: Desk,
        sender: Sender,
        inbox: Inbox,
        boards: Sequence[Switchboard],
        report: Callable[[], Awaitable[None]],
        alone: Alone | None = None,
    ) -> None:
        self._client: Any = client  # redis-py's own types are partly unknown
        self._scripts = scripts
        self._clock = clock
        self._desk = desk
        self._sender = sender
        self._inbox = inbox
        self._report = report
        self._alone = alone
        self._reported = 0
        self._posts: dict[str, tuple[Switchboard, Post]] = {p.line: (b, p) for b in boards for p in b.posts.values()}
        self._rung: set[int] = set()
        self._more: set[int] = set()
        self._hungry: set[str] = set()
        self._due: dict[int, int] = dict.fromkeys(range(PARTITIONS), 0)
        self._swept = 0
        self._first = 0
        self._wake = asyncio.Event()
        self._working: set[asyncio.Task[None]] = set()
        self._deciding = 0
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop` is called; then finish what is under way, in 30 seconds at most.

        What isn't finished by then is left as it is on record: leases run out, and others go on with it.
        """
        listener = asyncio.create_task(self._listen())
        try:
            while not self._stopping:
                await self._once()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._pause())
                self._wake.clear()
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)
            if self._working:
                _, late = await asyncio.wait(self._working, timeout=FINISH_S)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping = True
        self._wake.set()

    def _pause(self) -> float:
        """Seconds until something falls due or the next sweep."""
        now = self._clock.now()
        next_look = min(*self._due.values(), self._swept + SWEEP_MS)
        return max(0.001, (next_look - now) / 1000)

    async def _once(self) -> None:
        now = self._clock.now()
        sweep = now - self._swept >= SWEEP_MS
        if abs(self._clock.skew()) > MOST_SKEW_MS:
            self._swept = now
            return
        rung, self._rung = self._rung, set()
        more, self._more = self._more, set()
        rung |= set(range(PARTITIONS)) if sweep else {n for n, due in self._due.items() if due <= now}
        hungry, self._hungry = self._hungry, set()
        try:
            await self._round(rung, more, hungry, sweep=sweep)
            self._first = (self._first + 1) % PARTITIONS
            if sweep:
                self._swept = now
                await self._tell(now)
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", error=str(away))
            self._swept = now
            self._due = dict.fromkeys(range(PARTITIONS), now + SWEEP_MS)

    async def _tell(self, now: int) -> None:
        if now - self._reported >= REPORT_MS:
            self._reported = now
            await self._report()

    async def _round(self, rung: set[int], more: set[int], hungry: set[str], *, sweep: bool) -> None:
        """Go through partitions: the `rung` ones whatever is open, since anything may have woken; `more` want permits."""
        granted: dict[str, list[int]] = {}
        for line, (board, post) in self._posts.items():
            wanted = sweep or post.rate is None or line in hungry
            granted[line] = list(await board.granted(post)) if wanted else [0, 0]
        for number in sorted(rung | more, key=lambda n: (n - self._first) % PARTITIONS):
            if number in rung or any(total > 0 for total, _ in granted.values()):
                await self._take(number, granted)
            else:
                self._more.add(number)
        for line, (board, post) in self._posts.items():
            await board.give_back(post, granted[line][0])

    async def _take(self, number: int, granted: dict[str, list[int]]) -> None:
        """Take what one partition has ready, and start working on it."""
        room = max(0, DECIDING_MOST - self._deciding)
        due: dict[Lane, int] = {"critical": room, "normal": room // 2, "bulk": room // 4}
        permits = {line: self._permit(max(0, total), max(0, rest)) for line, (total, rest) in granted.items()}
        haul = await self._scripts.take(number, DECIDING_LEASE_MS, due, permits)
        self._clock.read(haul.now)
        self._due[number] = haul.next_due if haul.next_due is not None else haul.now + SWEEP_MS
        for taken in haul.items:
            lane = self._start(number, taken)
            if taken.channel is not None:
                granted[taken.channel][0] -= 1
                granted[taken.channel][1] -= lane != "critical"
        # What isn't critical may have used up its share while the rest of the permits is kept for critical messages.
        used_up = {line for line, (total, _, _) in permits.items() if total > 0 and min(granted[line]) <= 0}
        self._hungry |= used_up
        if used_up or any(post.full for _, post in self._posts.values()) or len(haul.items) >= room // 4:
            self._more.add(number)

    def _permit(self, total: int, rest: int) -> tuple[int, int, int]:
        """A quarter of what isn't critical is kept for bulk; where that is less than one, every fourth round's one is."""
        return total, rest, rest // 4 or int(rest > 0 and self._first % 4 == 0)

    def _start(self, number: int, taken: Taken) -> Lane:
        try:
            lane: Lane = decode_taken(taken).lane if taken.member.startswith("m:") else "critical"
        except (msgspec.DecodeError, ValueError):
            lane = "normal"
        board, post = self._posts[taken.channel] if taken.channel is not None else (None, None)
        if board is not None and post is not None:
            board.began(post, lane)
        # What holds a permit may hang for as long as its provider does; it must not use up the room for deciding.
        self._deciding += post is None
        task = asyncio.get_running_loop().create_task(self._work(number, taken, post))
        self._working.add(task)

        def over(done: asyncio.Task[None]) -> None:
            self._working.discard(done)
            self._deciding -= post is None
            if board is not None and post is not None:
                board.ended(post, lane)
            if self._more:
                self._wake.set()

        task.add_done_callback(over)
        return lane

    async def work_one(self, number: int, taken: Taken) -> None:
        """Work on one taken record and nothing else."""
        await self._work(number, taken, self._posts[taken.channel][1] if taken.channel is not None else None)

    async def _work(self, number: int, taken: Taken, post: Post | None) -> None:
        try:
            if taken.member.startswith("m:") and schema_of(taken) > SCHEMA:
                return
            if taken.version < 0:
                await self._bury(number, taken, "The record has lost its version.")
            elif self._alone is not None and taken.takes >= TAKES_BEFORE_MORGUE:
                reason = await self._alone(number, taken)
                if reason is not None:
                    await self._bury(number, taken, reason)
            elif taken.member.startswith("m:"):
                await self._work_message(taken, post)
            else:
                await self._inbox.work(partition(number), taken)
        except msgspec.DecodeError as unreadable:
            await self._bury(number, taken, f"The record can't be read: {unreadable}")
        except (StoreUnavailable, RedisError) as away:
            log.warning("redis_unavailable", member=taken.member, error=str(away))
        except Exception:  # the one broad one: a bug becomes a visible record instead of a lost message
            log.exception("work_failed", member=taken.member)
            if taken.takes >= TAKES_BEFORE_MORGUE:
                await self._bury(number, taken, traceback.format_exc())

    async def _work_message(self, taken: Taken, post: Post | None) -> None:
        case = await self._desk.open(Loaded(decode_taken(taken), taken.version))
        if post is not None and await self._sender.turn(case, post):
            return
        await self._sender.decide_only(case)

    async def _bury(self, number: int, taken: Taken, reason: str) -> None:
        log.error("morgue", member=taken.member, reason=reason.splitlines()[-1])
        await self._scripts.bury(partition(number), taken.member, reason)

    async def _listen(self) -> None:
        """Hear the bells. When the connection breaks, the sweep goes on alone until it is back."""
        while True:
            try:
                async with self._client.pubsub() as bells:
                    await bells.subscribe(BELL)
                    async for note in bells.listen():
                        self._hear(note)
            except (RedisError, OSError) as away:
                log.warning("bell_lost", error=str(away))
                await asyncio.sleep(SWEEP_MS / 1000)

    def _hear(self, note: Mapping[str, Any]) -> None:
        if note["type"] == "message":
            _lane, number, lines = note["data"].decode().split(":")
            self._rung.add(int(number))
            self._hungry.update(lines.split(","))
            self._wake.set()
