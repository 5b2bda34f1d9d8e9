"""Messages and changes for tests that speak to the scripts themselves."""

from __future__ import annotations

from typing import Any

from gateway.message import Message, Mode, Reach
from gateway.store.changes import Change, Outcome
from gateway.store.ids import new_id
from gateway.store.keys import Partition, of_customer
from gateway.store.scripts import Scripts

DAY_MS = 86_400_000
CUSTOMER = "c-1"
AT = of_customer(CUSTOMER)
MINUTE = AT.count("live", 0)


def message(n: int = 1, *, mode: Mode = "live", customer: str = CUSTOMER, at: int = 1_000, **more: Any) -> Message:
    """A message whose id no other n has."""
    fields: dict[str, Any] = {
        "category": "outage",
        "lane": "critical",
        "reach": Reach(until="delivered", within=3600, step=300),
        "created_at": at,
        "due_at": at,
    }
    return Message(id=new_id(mode, customer, at, b"seed", n), mode=mode, customer=customer, **{**fields, **more})


def change(**more: Any) -> Change:
    """A change that writes no index unless told to."""
    fields: dict[str, Any] = {"state": b"state", "lane": "critical", "wake": 10_000_000_000_000, "places": {}}
    fields |= {"keep_record": 90 * DAY_MS, "keep_body": 30 * DAY_MS, **more}
    return Change(**fields)


def line(channel: str = "sms", lane: str = "critical", at: Partition = AT) -> str:
    """A line of the partition the tests live in."""
    return at.line(channel, lane)


async def accept(scripts: Scripts, name: str, body: bytes = b"body", **more: Any) -> Outcome:
    """Let a message of that name in."""
    return await scripts.accept(AT, name, change(**more), body, MINUTE)


async def dump(client: Any) -> dict[str, Any]:
    """Everything in the store, to see that nothing changed."""
    found: dict[str, Any] = {}
    async for key in client.scan_iter(count=1000):
        found[key.decode()] = await client.dump(key)
    return found
