"""Messages whose first channel stays silent, and the workers that must go on to the next: real but for their carriers.

Run as a process, `python -m benchmarks.silence REDIS_URL` is a worker whose two carriers take everything at once, in the
process itself, and never send a receipt: so the gateway alone is measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from benchmarks.process import fast
from gateway.app import Gateway
from gateway.channels.base import Absent, Accepted, Callback, Outbound, Reading, Traits, Unknown
from gateway.content.content import Body, Content
from gateway.customer import Address, Customer
from gateway.delivery.desk import Case
from gateway.delivery.words import pack
from gateway.message import LANES, Attempt, Held, Lane, Message
from gateway.routing.decide import apply
from gateway.routing.view import Next
from gateway.settings import load
from gateway.settings_types import ChannelSettings
from gateway.store.clock import Clock
from gateway.store.connect import connect
from gateway.store.ids import new_id
from gateway.store.installation import installation
from gateway.store.keys import PARTITIONS, of_customer, partition
from gateway.store.messages import Before
from gateway.store.scripts import Scripts

FIRST, SECOND = "sms", "email"
STEP_S: Final = 30
CUSTOMERS: Final = 64
CATEGORY: Final[dict[Lane, str]] = {"critical": "outage", "normal": "service", "bulk": "service"}
AT_ONCE: Final = 64
RAW_AT_ONCE: Final = 2_000
BODY: Final = pack(Body(content=Content(subject="News", text="The power is out in your street.")))
_encoder: Final = msgspec.msgpack.Encoder()


class Mute:
    """A carrier that takes everything and says nothing more."""

    traits = Traits(proves=frozenset(("accepted", "delivered", "read", "acknowledged")), timeout=5.0)

    def __init__(self, name: str) -> None:
        self.name = name
        self.taken = 0

    async def send(self, out: Outbound) -> Accepted:
        """Take it."""
        self.taken += 1
        return Accepted(provider_id=f"{self.name}-{out.message}-{out.attempt}")

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:  # noqa: ARG002 - the seam's names
        """Nobody asks."""
        return Unknown()

    async def recall(self, attempt: Attempt) -> None:
        """Nothing rings."""

    def read(self, call: Callback) -> Reading:
        """Nothing comes."""
        raise NotImplementedError(call.path)

    async def close(self) -> None:
        """Nothing is open."""


async def opened(redis_url: str) -> Gateway:
    """A gateway with two such carriers."""
    secret = "a secret of the benchmark alone, for nothing"  # noqa: S105 - it guards nothing
    given = {"REDIS_URL": redis_url, "SECRET_KEY": secret, "DEFAULT_QUIET_HOURS": "none"}
    settings = load({f"GATEWAY_{name}": value for name, value in given.items()}, Path("/nowhere"), command="bench")
    wide = ChannelSettings(concurrency=256)
    settings = msgspec.structs.replace(settings, channels={FIRST: wide, SECOND: wide})
    client = await connect(redis_url, max_connections=32)
    scripts, clock = Scripts(client), Clock()
    pepper = await installation(scripts, settings)
    channels: dict[str, Any] = {name: Mute(name) for name in (FIRST, SECOND)}
    gateway = Gateway(settings, client, aiohttp.ClientSession(), channels, {}, scripts, clock, pepper, "")
    await gateway.follower.once()
    return gateway


async def people(gateway: Gateway) -> list[Customer]:
    """Customers with an address on both channels."""
    made: list[Customer] = []
    for number in range(CUSTOMERS):
        addresses = (Address(FIRST, f"+3069{number:08d}"), Address(SECOND, f"c{number}@example.org"))
        customer = Customer(id=f"c-{number}", locale="en", addresses=addresses)
        await gateway.customers.write(customer, None)
        found = await gateway.customers.load(customer.id)
        assert found is not None
        made.append(found[0])
    return made


def _message(gateway: Gateway, customer: Customer, lane: Lane, n: int, at: int) -> Message:
    category = gateway.rules.categories[CATEGORY[lane]]
    return Message(
        id=new_id("live", customer.id, at, os.urandom(16), n),
        mode="live",
        customer=customer.id,
        category=CATEGORY[lane],
        lane=lane,
        reach=msgspec.structs.replace(category.reach(), step=STEP_S, within=86_400),
        created_at=at,
        due_at=at,
    )


async def silent(gateway: Gateway, them: Sequence[Customer], lanes: Sequence[Lane], ends: Sequence[int]) -> list[str]:
    """Store messages that the first channel has taken; the n-th one's step ends at `ends[n]`. Their ids."""
    made: list[str] = []
    numbered = enumerate(ends)

    async def some() -> None:
        for n, end in numbered:
            customer, began = them[n % len(them)], end - STEP_S * 1000
            message = _message(gateway, customer, lanes[n % len(lanes)], n, began)
            times = {"started": began, "accepted": began}
            message.attempts.append(
                Attempt(
                    id="a1",
                    channel=FIRST,
                    address=customer.addresses[0].value,
                    status="accepted",
                    provider_id=f"first-{message.id}",
                    times=times,
                )
            )
            await _store(gateway, customer, message)
            made.append(message.id)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return made


async def _store(gateway: Gateway, customer: Customer, message: Message) -> None:
    following = gateway.desk.decide(Case(message, 0, Before(), customer, 1))
    apply(message, following, gateway.clock.now())
    await gateway.messages.accept(message, following, BODY, claims=False)


async def held(gateway: Gateway, them: Sequence[Customer], count: int, until: int) -> None:
    """Store messages that wait for the end of quiet hours, all at one moment (ms). Quickly: they differ by their ids alone."""
    client: Any = gateway.client
    now = gateway.clock.now()
    for number, customer in enumerate(them):
        at = of_customer(customer.id)
        message = _message(gateway, customer, "normal", number, now)
        why = Held(until, "quiet_hours", "It is within the customer's quiet hours.", now)
        apply(message, Next(status="held", wake_at=until, deadline=until + 86_400_000, held=why), now)
        state, own = _encoder.encode(message), message.id.encode()
        share = range(number, count, len(them))
        for start in range(0, len(share), RAW_AT_ONCE):
            pipe = client.pipeline(transaction=False)
            ids = [new_id("live", customer.id, now, b"held", n) for n in share[start : start + RAW_AT_ONCE]]
            for name in ids:
                pipe.hset(at.message(name), mapping={"v": 1, "s": state.replace(own, name.encode()), "l": message.lane})
                pipe.set(at.body(name), BODY)
            pipe.zadd(at.agenda(message.lane), {f"m:{name}": until for name in ids})
            await pipe.execute()


async def lateness(gateway: Gateway, ids: Sequence[str]) -> list[int]:
    """By how much (ms) each one's second attempt began after its first step's end; raises when one has none."""
    found: list[int] = []
    for loaded in await gateway.messages.load_many(list(ids)):
        assert loaded is not None
        first, second = loaded.message.attempts[:2]
        assert second.channel == SECOND
        found.append(second.started_at - first.started_at - STEP_S * 1000)
    return found


async def waiting(gateway: Gateway, lanes: Sequence[Lane] = LANES) -> int:
    """How many messages are still to be looked at within their steps."""
    client: Any = gateway.client
    soon = gateway.clock.now() + 1000 * STEP_S * 100
    agendas = [partition(n).agenda(lane) for n in range(PARTITIONS) for lane in lanes]
    return sum([await client.zcount(agenda, "-inf", soon) for agenda in agendas])


async def begun(gateway: Gateway, ids: Sequence[str], look: Callable[[], Any]) -> None:
    """Wait until each has begun its second attempt; `look` is awaited between two looks."""
    left = list(ids)
    while left:
        loaded = await gateway.messages.load_many(left[:500])
        left = [name for name, one in zip(left, loaded, strict=False) if one and len(one.message.attempts) < 2] + left[
            500:
        ]
        await look()


async def work(redis_url: str) -> None:
    """Be a worker until SIGTERM."""
    gateway = await opened(redis_url)
    worker = gateway.worker()
    follow = asyncio.create_task(gateway.follower.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    print("working", flush=True)
    await worker.run()
    follow.cancel()
    await gateway.close()


if __name__ == "__main__":
    fast(work(sys.argv[1]))
