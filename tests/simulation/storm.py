"""One storm: a few messages, or some dozens, and everything that may cross them, by one seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final, cast

import msgspec

from gateway.message import Message
from tests.simulation.callers import Rage
from tests.simulation.carriers import Habits
from tests.simulation.network import Troubles
from tests.simulation.sayings import Said
from tests.simulation.scale import Scale, scale_of
from tests.simulation.watched import Event
from tests.simulation.world import World, simulated
from tests.support.virtual import VirtualLoop

LONGEST_S: Final = 240.0


class Storm(msgspec.Struct):
    """What a storm left behind. `calm`: neither rests of channels nor lost answers of providers were on the programme."""

    seed: int
    scale: Scale
    calm: bool
    world: World
    said: list[Any]
    accepted: dict[str, Message]
    wrote: dict[str, Said] = {}
    """By its id, what people wrote."""
    healed_ms: int = 0
    """When all troubles had ended, ms since the storm's clock began."""

    @property
    def events(self) -> list[Event]:
        """Everything that happened, in order."""
        return self.world.store.events

    def log(self) -> str:
        """Everything that happened, a line each."""
        return "".join(event.line() + "\n" for event in self.events)


async def _at(after: float, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await asyncio.sleep(after)
    await act()


async def _fates(storm: Storm, random: Random, troubles: Troubles) -> None:
    """Processes die and come back, the store goes away and comes back; then everything is well."""
    world, scale, ends = storm.world, storm.scale, storm.scale.healed_s
    for _ in range(random.choice(scale.kills)):
        world.loop.call_later(random.random() * ends, _die, world, random)
    for _ in range(random.choice(scale.outages)):
        gone = random.random() * ends
        world.loop.call_later(gone, lambda: world.network.go(up=False))
        world.loop.call_later(min(ends, gone + random.random() * 6), lambda: world.network.go(up=True))
    await asyncio.sleep(ends)
    storm.healed_ms = world.loop.ms()
    world.network.go(up=True)
    for name in ("lost", "cut", "unheard", "stalls", "bells_lost"):
        setattr(troubles, name, 0.0)


def _die(world: World, random: Random) -> None:
    alive = [process for process in world.processes if process.alive]
    if alive:
        random.choice(alive).kill()
        world.loop.call_later(random.random() * 3, world.start, random.choice((0, 0, -4000, 4000)))


async def _rage(storm: Storm, random: Random, troubles: Troubles) -> None:
    world = storm.world
    world.start()
    world.start(ahead=random.choice((0, 3000, -3000, 60_000)))
    rage = Rage(world, random, storm.scale, calm=storm.calm)
    storm.accepted, storm.wrote = rage.accepted, rage.said
    quiet = msgspec.structs.replace(troubles)
    for name in quiet.__struct_fields__:
        setattr(world.network.troubles, name, getattr(Troubles(), name))
    await rage.move_in()
    for name in quiet.__struct_fields__:
        setattr(troubles, name, getattr(quiet, name))
    world.store.note_down("storm", "begins")
    acts = [asyncio.create_task(_at(random.random() * storm.scale.rage_s, act)) for act in rage.crowd()]
    fates = asyncio.create_task(_fates(storm, random, troubles)) if not storm.calm else None
    await asyncio.gather(*acts, *([fates] if fates else []))
    while world.loop.time() < LONGEST_S and not _over(storm):  # noqa: ASYNC110 - no part of a storm knows that it is the last
        await asyncio.sleep(0.5)


def _over(storm: Storm) -> bool:
    """Nothing is left to be done: no message lives, no callback is on its way, nothing stands on an agenda."""
    store = storm.world.store
    live = any(":m:" in key and "d" not in fields for key, fields in store.hashes.items())
    waits = any(":agenda:" in key for key in store.zsets)
    return not live and not waits and not storm.world.under_way


def storm(seed: int) -> Storm:
    """Run one storm to its end."""
    random = Random(seed)
    calm = seed % 4 == 0
    scale = scale_of(random)
    troubles, habits = _weather(random, calm=calm)
    loop, said = VirtualLoop(), cast("list[Any]", [])
    with simulated(random, scale, said):
        try:
            asyncio.set_event_loop(loop)
            world = World(loop, random, troubles, habits)
            made = Storm(seed, scale, calm, world, said, {})
            loop.run_until_complete(_rage(made, random, troubles))
        finally:
            _clear(loop)
    return made


def _weather(random: Random, *, calm: bool) -> tuple[Troubles, Habits]:
    if calm:
        return Troubles(), Habits(loud=False, vanishes=0, unheard=0)
    some: Callable[[float], float] = lambda most: random.choice((0.0, most * random.random()))  # noqa: E731 - two uses, one line
    troubles = Troubles(
        lost=some(0.03),
        cut=some(0.02),
        unheard=some(0.03),
        stalls=some(0.01),
        bells_lost=some(0.5),
        slow=random.choice((0.002, 0.02, 0.4)) * random.random(),
    )
    return troubles, Habits(
        refuses=some(0.4), vanishes=some(0.2), unheard=some(0.2), slow=random.choice((0.1, 0.3, 3.0))
    )


def _clear(loop: VirtualLoop) -> None:
    """End what still runs: a cancellation can get lost in wait_for on Python 3.11, so more than once."""
    for _ in range(5):
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    asyncio.set_event_loop(None)
    loop.close()
