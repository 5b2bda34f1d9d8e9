"""All of it together: a gateway of several processes, its Redis, a carrier, a mail relay, callers, and links between them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import aiohttp

from gateway.store.data_dir import socket_url
from tests.chaos.rig.callers import Callers
from tests.chaos.rig.carrier import Carrier
from tests.chaos.rig.installation import SETTINGS, limits, new_key
from tests.chaos.rig.ledger import Ledger, Reckoning
from tests.chaos.rig.links import Link, opened
from tests.chaos.rig.mailbox import Mailbox
from tests.chaos.rig.processes import Fleet, Member, StoreServer
from tests.chaos.rig.redis_link import RedisLink
from tests.chaos.rig.steps import ApiStep, Step, Trap
from tests.support.commands import environment
from tests.support.ports import free_ports
from tests.support.running import HOST

TRAP_SECONDS: Final = 60.0


class World:
    """What a test of chaos works with.

    `store`: the Redis (None when the test brought its own). `front`: where callers and callbacks find the API.
    `to_carrier`, `to_relay`: the links on the way out. `to_store`: each member's own link to Redis, by its name.
    """

    def __init__(
        self,
        fleet: Fleet,
        store: StoreServer | None,
        carrier: Carrier,
        mailbox: Mailbox,
        callers: Callers,
        links: dict[str, Link],
        to_store: dict[str, RedisLink],
    ) -> None:
        self.fleet = fleet
        self._store = store
        self.carrier = carrier
        self.mailbox = mailbox
        self.callers = callers
        self.ledger = Ledger(callers, carrier, mailbox)
        self.front = links["front"]
        self.to_carrier = links["carrier"]
        self.to_relay = links["relay"]
        self.to_store = to_store

    @property
    def store(self) -> StoreServer:
        """The rig's own Redis. Raises AssertionError when there is none."""
        assert self._store is not None
        return self._store

    @property
    def worker(self) -> Member:
        """The first worker."""
        return self.fleet.workers[0]

    @property
    def api(self) -> Member:
        """The first process of the API."""
        return self.fleet.apis[0]

    @contextlib.asynccontextmanager
    async def trap(
        self, step: Step | ApiStep, needle: str, *members: Member, freeze: bool = False
    ) -> AsyncGenerator[Trap]:
        """Lay a trap, and at the end of the block wait until it has sprung.

        One of `members` (the workers, or the processes of the API, if none is named) dies when a message whose
        reference begins with `needle` comes to the step; `freeze`: it is stopped instead (SIGSTOP). Raises AssertionError when none did.
        """
        everyone = self.fleet.apis if isinstance(step, ApiStep) else self.fleet.workers
        made = Trap(step, needle, self.carrier, freeze=freeze)
        with made.laid(self.to_store, list(members or everyone)):
            yield made
            try:
                await asyncio.wait_for(asyncio.shield(made.sprung), TRAP_SECONDS)
            except TimeoutError:
                raise AssertionError(f"nothing came to the step {step!r}") from None

    async def reckon(self, *needles: str, bound: float = 15.0) -> Reckoning:
        """Wait for the end of all messages whose reference begins with one of these (all, if none), and compare.

        `bound`: how many seconds beyond its deadline a message may take to be done.
        """
        sent = [one for one in self.callers.sent if not needles or one.reference.startswith(needles)]
        assert sent, "nothing was sent"
        return await self.ledger.reckon(sent, bound=bound)


@contextlib.asynccontextmanager
async def world(
    folder: Path,
    *,
    workers: int = 1,
    apis: int = 1,
    seed: int = 0,
    timeout: float = 1.0,
    redis_url: str | None = None,
    toml: str = "",
    warm: bool = True,
    **settings: object,
) -> AsyncGenerator[World]:
    """A running world. `timeout`: how long a provider may take, seconds. `redis_url`: another Redis than the rig's own,
    reached without links. `toml`: more for the settings' file; `warm`: processes start without importing everything anew; `settings`: more variables, without their prefix.
    """
    async with contextlib.AsyncExitStack() as stack:
        store: StoreServer | None = None
        if redis_url is None:
            store = StoreServer()
            stack.push_async_callback(store.end)
            await store.start()
        carrier = await stack.enter_async_context(Carrier().open())
        mailbox = await stack.enter_async_context(Mailbox().open())
        ports = free_ports(apis)
        links = {
            "front": Link(lambda: [(HOST, port) for port in ports]),
            "carrier": Link(lambda: [(HOST, carrier.port)]),
            "relay": Link(lambda: [(HOST, mailbox.port)]),
        }
        for link in links.values():
            await stack.enter_async_context(opened(link))
        (folder / "gateway.toml").write_text(limits(timeout) + toml)
        secret = secrets.token_hex(32)
        given = {
            **SETTINGS,
            "SECRET_KEY": secret,
            "PUBLIC_URL": links["front"].url,
            "TWILIO_API_BASE": links["carrier"].url,
            "SMTP_URL": f"smtp://{HOST}:{links['relay'].port}?starttls=never",
            "BOUNCE_PORT": 0,
            **settings,
        }
        to_store: dict[str, RedisLink] = {}

        async def member(name: str, roles: str, port: int = 0) -> Member:
            url = redis_url
            if store is not None:
                at = store.socket
                link = to_store[name] = RedisLink(lambda: [at])
                await stack.enter_async_context(opened(link))
                url = link.redis_url
            return Member(name, roles, folder, environment(folder, **given, HTTP_PORT=port, REDIS_URL=url), warm=warm)

        fleet = Fleet(
            [await member(f"api-{n}", "api,callbacks", port) for n, port in enumerate(ports)],
            [await member(f"worker-{n}", "worker") for n in range(workers)],
        )
        stack.push_async_callback(fleet.end)
        key, _ = await asyncio.gather(new_key(redis_url or _own(store), secret), fleet.start())
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=10), connector=aiohttp.TCPConnector(limit=0, force_close=False)
            )
        )
        callers = Callers(http, links["front"].url, key, random.Random(seed))
        yield World(fleet, store, carrier, mailbox, callers, links, to_store)


def _own(store: StoreServer | None) -> str:
    assert store is not None
    return socket_url(store.socket)


async def sent_many(world: World, group: str, count: int, category: str = "outage", **more: Any) -> None:
    """Send `count` messages at once, with the references `group`-0 and so on, and wait for their answers."""
    await asyncio.gather(*(world.callers.send(f"{group}-{n}", category, **more) for n in range(count)))
