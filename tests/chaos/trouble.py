"""Carries a schedule out: each fault is done, lasts, and is mended again; what recovers is timed."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tests.chaos.rig import Act, Copy, Link, Manner, Member, Odds, World
from tests.chaos.schedule import Fault, Kind
from tests.support.running import until

RECOVERY_S: Final = 120.0
TRAP_S: Final = 30.0
BAD: Final = (
    Manner(answer="drop"),
    Manner(twice=True),
    Manner(taken=False, answer=429),
    Manner(taken=False, answer=503),
    Manner(answer=503),
    Manner(delay=1.0, twice=True),
    Manner(news=("failed",)),
    Manner(news=("sent",)),
)


class Trouble:
    """Breaks a world by schedule. `done`: how often what happened; `recoveries`: seconds from a kill to the next send."""

    def __init__(self, world: World, faults: Sequence[Fault], seed: int, needle: str) -> None:
        self.done: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.recoveries: list[float] = []
        self.now: list[str] = []
        self._world = world
        self._faults = faults
        self._roll = random.Random(seed)
        self._needle = needle
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._means: dict[Kind, Callable[[Fault], Awaitable[None]]] = {
            "kill worker": lambda fault: self._kill(self._of(world.fleet.workers, fault)),
            "kill at a step": self._kill_at_step,
            "kill api": lambda fault: self._kill(self._of(world.fleet.apis, fault)),
            "kill redis": self._kill_redis,
            "stop worker": lambda fault: self._stop(self._of(world.fleet.workers, fault)),
            "stop api": lambda fault: self._stop(self._of(world.fleet.apis, fault)),
            "freeze worker": lambda fault: self._freeze(self._of(world.fleet.workers, fault), fault),
            "freeze redis": self._freeze_redis,
            "freeze carrier": self._freeze_carrier,
            "cut redis connections": self._cut,
            "lossy redis": lambda fault: self._lossy(list(world.to_store.values()), fault, 0.02),
            "lossy callers": lambda fault: self._lossy([world.front], fault, 0.1),
            "lossy carrier": lambda fault: self._lossy([world.to_carrier, world.to_relay], fault, 0.1),
            "slow redis": self._slow,
            "carrier hangs": lambda fault: self._carrier(lambda _copy: Manner(answer="hang", news=()), fault),
            "carrier answers badly": lambda fault: self._carrier(self._badly(), fault),
            "carrier down": lambda fault: self._down(world.to_carrier, fault),
            "relay down": lambda fault: self._down(world.to_relay, fault),
            "relay answers badly": self._relay,
        }

    async def run(self) -> None:
        """All of it; returns when the last fault has been mended."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in self._faults:
                await asyncio.sleep(max(0.0, begun + fault.at - time.monotonic()))
                group.create_task(self._one(fault))

    async def _one(self, fault: Fault) -> None:
        # Two faults of one kind come one after the other, so that neither mends the other's.
        async with self._locks[fault.kind.partition(" ")[2]]:
            self.done[fault.kind] += 1
            self.now.append(fault.kind)
            try:
                await self._means[fault.kind](fault)
            finally:
                self.now.remove(fault.kind)

    @staticmethod
    def _of(members: Sequence[Member], fault: Fault) -> Member:
        return members[fault.target % len(members)]

    async def _recovered(self, at: float) -> None:
        """Time how long it takes until something is sent again."""
        carrier, mailbox = self._world.carrier, self._world.mailbox
        await until(lambda: max(carrier.last_at, mailbox.last_at) > at + 0.02, RECOVERY_S)
        self.recoveries.append(min(one for one in (carrier.last_at, mailbox.last_at) if one > at) - at)

    async def _kill(self, member: Member) -> None:
        at = time.monotonic()
        if member.kill():
            await self._recovered(at)
            await member.wait_ready()

    async def _kill_at_step(self, fault: Fault) -> None:
        try:
            async with asyncio.timeout(TRAP_S), self._world.trap(fault.step, self._needle) as trap:
                await asyncio.shield(trap.sprung)
        except TimeoutError:
            self.steps[f"{fault.step} (not reached)"] += 1
            return
        self.steps[fault.step] += 1
        await self._recovered(time.monotonic())
        if trap.victim is not None:
            await trap.victim.wait_ready()

    async def _kill_redis(self, fault: Fault) -> None:
        at = time.monotonic()
        await self._world.store.kill()
        await asyncio.sleep(fault.seconds / 4)
        await self._world.store.start()
        await self._recovered(at)

    async def _stop(self, member: Member) -> None:
        lives = len(member.exits)
        if member.terminate():
            await until(lambda: len(member.exits) > lives, 60, member.last_words)
            await member.wait_ready()

    async def _freeze(self, member: Member, fault: Fault) -> None:
        member.freeze()
        await asyncio.sleep(fault.seconds)
        member.thaw()

    async def _freeze_redis(self, fault: Fault) -> None:
        self._world.store.freeze()
        await asyncio.sleep(fault.seconds)
        self._world.store.thaw()

    async def _freeze_carrier(self, fault: Fault) -> None:
        self._world.to_carrier.freeze()
        await asyncio.sleep(fault.seconds)
        self._world.to_carrier.thaw()

    async def _cut(self, _fault: Fault) -> None:
        for link in self._world.to_store.values():
            link.cut()

    async def _slow(self, fault: Fault) -> None:
        links = list(self._world.to_store.values())
        for link in links:
            link.lag = 0.02
        await asyncio.sleep(fault.seconds)
        for link in links:
            link.lag = 0.0

    async def _lossy(self, links: Sequence[Link], fault: Fault, share: float) -> None:
        acts = {Act.CUT: share, Act.HALF: share, Act.SWALLOW: 2 * share, Act.STALL: share / 10}
        for link in links:
            link.fault = Odds(self._roll.random, acts)
        await asyncio.sleep(fault.seconds)
        for link in links:
            link.fault = None

    def _badly(self) -> Callable[[Copy], Manner]:
        manners = itertools.cycle(BAD)
        return lambda _copy: next(manners)

    async def _carrier(self, manner: Callable[[Copy], Manner], fault: Fault) -> None:
        async with self._locks["manner"]:
            usual, self._world.carrier.manner = self._world.carrier.manner, manner
            await asyncio.sleep(fault.seconds)
            self._world.carrier.manner = usual

    async def _relay(self, fault: Fault) -> None:
        answers = itertools.cycle(("250 OK", "451 later", "drop", "250 OK"))
        usual = self._world.mailbox.answer
        self._world.mailbox.answer = lambda _reference: next(answers)
        await asyncio.sleep(fault.seconds)
        self._world.mailbox.answer = usual

    async def _down(self, link: Link, fault: Fault) -> None:
        await link.shut()
        await asyncio.sleep(fault.seconds)
        await link.open()
