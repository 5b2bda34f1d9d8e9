"""Broadcasts on a real core: people made in a crowd, and what to wait for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from gateway.app import Gateway
from gateway.broadcasts.nouns import Audience, Broadcast, NewBroadcast, Report
from gateway.customer import Address, Customer
from gateway.message import Mode
from tests.support.core import Core, until
from tests.support.scripted import Scripted

_AT_ONCE = 200


async def crowd(gateway: Gateway, count: int, *, begins: str = "c", **attributes: Any) -> list[str]:
    """So many customers with a phone each, `c-0000` and on."""
    names = [f"{begins}-{n:04d}" for n in range(count)]
    for start in range(0, count, _AT_ONCE):
        await asyncio.gather(
            *(
                gateway.customers.write(
                    Customer(
                        id=name,
                        locale="en",
                        attributes=dict(attributes),
                        addresses=(Address("sms", f"+3069{abs(hash(begins)) % 900 + 100}{start + n:05d}"),),
                    ),
                    None,
                )
                for n, name in enumerate(names[start : start + _AT_ONCE])
            )
        )
    return names


def to(customers: Sequence[str] | None = None, *, category: str = "outage", **more: Any) -> NewBroadcast:
    """A broadcast to a list, or to what `audience` says."""
    fields: dict[str, Any] = {"audience": Audience(customers=tuple(customers or ())), "content": {"text": "News."}}
    return NewBroadcast(category=category, **(fields | more))


async def broadcast(gw: Core, new: NewBroadcast, mode: Mode = "live") -> Broadcast:
    """Accept one."""
    return await gw.gateway.broadcasts.create(mode, new, gw.gateway.intake.origin())


async def report(gw: Core, made: Broadcast) -> Report:
    """How it stands."""
    return await gw.gateway.broadcasts.state(made.mode, made.id)


async def when(gw: Core, made: Broadcast, holds: Callable[[Report], object]) -> Report:
    """How it stands once something holds for it."""
    last: list[Report] = []

    async def fits() -> bool:
        last[:] = [await report(gw, made)]
        return bool(holds(last[0]))

    await until(fits, seen=lambda: last)
    return last[0]


async def settled(gw: Core, made: Broadcast, expected: int) -> Report:
    """Once so many have been written to, and all of its jobs know that there are no more."""
    return await when(gw, made, lambda r: r.state != "expanding" and r.counts.told == expected)


def copies(channel: Scripted) -> Counter[str]:
    """How many messages each address was sent."""
    return Counter(out.to for out in channel.handed)
