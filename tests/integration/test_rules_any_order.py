"""Whatever comes in, in whatever order and however often: at most one message per rule and event, and none too many."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.support.core import Core, core, until
from tests.support.ruling import fall_due, rule, runs, sent, tell
from tests.support.scripted import Scripted

PEOPLE = 24
Told = tuple[str, str, int, str]
"""Type, id, seconds, order."""


def story(dice: random.Random) -> list[Told]:
    """What happens to one person."""
    placed = [("order.placed", f"o{n}", dice.randrange(6), dice.choice("ab")) for n in range(dice.randrange(1, 4))]
    paid = [("order.paid", f"p{n}", dice.randrange(6), dice.choice("ab")) for n in range(dice.randrange(3))]
    return placed + paid


async def test_any_order(redis_url: str, tmp_path: Path) -> None:
    dice = random.Random(4711)
    stories = {f"c{n}": story(dice) for n in range(PEOPLE)}
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await asyncio.gather(*(gw.person(name, sms=f"+30691234{n:04}") for n, name in enumerate(stories)))
        await rule(gw)
        start = gw.gateway.clock.now() - 60_000
        await asyncio.gather(*(live(gw, name, one, start, random.Random(name)) for name, one in stories.items()))
        gw.work()
        for run in await runs(gw, state="waiting"):
            await fall_due(gw, run)

        async def over() -> bool:
            return not any(run.live for run in await runs(gw))

        await until(over)
        for name, one in stories.items():
            wanted = sorted(
                id_ for type_, id_, at, order in one if type_ == "order.placed" and not paid_for(one, at, order)
            )
            acted = sorted(run.event.removeprefix(f"{name}-") for run in await runs(gw, customer=name, state="acted"))
            messages = await sent(gw, name)
            assert acted == wanted, (name, one)
            assert len(messages) == len(wanted), (name, one)
            assert len({message.about for message in messages}) == len(wanted)


def paid_for(one: list[Told], at: int, order: str) -> bool:
    return any(type_ == "order.paid" and when >= at and which == order for type_, _, when, which in one)


async def live(gw: Core, name: str, one: list[Told], start: int, dice: random.Random) -> None:
    """Tell a story with repeats, shuffled, some of it at once."""
    arrivals = one + dice.choices(one, k=3)
    dice.shuffle(arrivals)
    while arrivals:
        together, arrivals = arrivals[: dice.randrange(1, 4)], arrivals[dice.randrange(1, 2) :]
        await asyncio.gather(
            *(
                tell(gw, type_, f"{name}-{id_}", at=start + at * 1000, customer=name, order=order)
                for type_, id_, at, order in together
            )
        )
