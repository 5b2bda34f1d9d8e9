"""What must have reached a replica before anybody is told of it, each as one act on a store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Final

from gateway.customer import Address, ConsentEntry, Customer
from gateway.store.clock import Clock
from gateway.store.connect import connect
from gateway.store.customers import Customers
from gateway.store.idempotency import Fresh, Idempotency
from gateway.store.keys import partition
from gateway.store.pipe import NotReplicated, Replication
from gateway.store.scripts import Scripts
from tests.support.changes import change
from tests.support.core import PHONE

WAIT_S: Final = 0.2
ONE: Final = Replication(1, WAIT_S)
KEY = "an-idempotency-key"
STOP = ConsentEntry(channel="sms", category="*", state="withdrawn", way="keyword", wording="STOP", at=1_700_000_000_000)
MARIA = Customer(id="maria", addresses=(Address("sms", PHONE),))


@contextlib.asynccontextmanager
async def scripts_on(url: str, replication: Replication | None = ONE) -> AsyncGenerator[Scripts]:
    """Scripts over connections that have written nothing yet."""
    client = await connect(url, max_connections=8)
    made = Scripts(client, replication)
    try:
        yield made
    finally:
        await made.close()
        await client.aclose()


async def claim(scripts: Scripts) -> object:
    return await Idempotency(scripts, Clock()).claim("live", KEY, b"digest")


async def finished(scripts: Scripts) -> object:
    store = Idempotency(scripts, Clock())
    claimed = await store.claim("live", KEY, b"digest")
    if isinstance(claimed, Fresh):
        await store.finish("live", KEY, b"digest", claimed, 202, b"{}")
    return claimed


async def accept(scripts: Scripts) -> object:
    return await scripts.accept(partition(0), "m1", change(), b"body", "{x}count")


async def note(scripts: Scripts) -> object:
    return await scripts.note(partition(0), "item", b"state", 60_000)


async def cancel(scripts: Scripts) -> object:
    if not scripts.pipe.replicated:
        await accept(scripts)
    return await scripts.cancel(partition(0), "m1", 1)


async def acknowledged(act: Callable[[Scripts], Awaitable[object]], scripts: Scripts) -> None:
    """Until the replica, which is there, has said so: on a busy machine that can take longer than anybody waits."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(NotReplicated):
                await act(scripts)
                return


def customers(scripts: Scripts) -> Customers:
    return Customers(scripts, Clock(), b"pepper")


async def profile(scripts: Scripts) -> object:
    return await customers(scripts).write(MARIA, None)


async def withdraw(scripts: Scripts) -> object:
    return await customers(scripts).withdraw("sms", PHONE, [STOP])


async def in_a_crowd(scripts: Scripts) -> object:
    """As an import writes them: many customers whose commands leave together."""
    some = [Customer(id=f"c{n}", addresses=(Address("sms", PHONE),)) for n in range(5)]
    done = await customers(scripts).upsert_many([(one.id, lambda _, one=one: (one, [STOP])) for one in some])
    for one in done:
        if isinstance(one, Exception):
            raise one
    return done
