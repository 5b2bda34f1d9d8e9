"""The last stage: a process's parts, opened and closed together."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import Mapping
from typing import Final

import aiohttp
from redis.asyncio import Redis

from gateway.app.reacting import Reacting
from gateway.app.stores import rules_of
from gateway.channels import registry
from gateway.channels.base import Callback, Channel, Deps, Reply
from gateway.delivery.workbench import Alone, Workbench
from gateway.delivery.worker import Worker
from gateway.settings_types import Settings
from gateway.store.clock import Clock
from gateway.store.connect import connect, warn_of_replicas
from gateway.store.installation import installation
from gateway.store.pipe import Replication
from gateway.store.scripts import Scripts

CONNECTIONS: Final = 32


class Gateway(Reacting):
    """All parts of one process, joined. Make one with `open`, end it with `close`."""

    def __init__(
        self,
        settings: Settings,
        client: Redis,
        session: aiohttp.ClientSession,
        channels: Mapping[str, Channel],
        test_channels: Mapping[str, Channel],
        scripts: Scripts,
        clock: Clock,
        pepper: bytes,
        test_callback_base: str,
    ) -> None:
        self.settings = settings
        self.client = client
        self.session = session
        self.scripts = scripts
        self.clock = clock
        self.name = secrets.token_hex(4)
        self.known_channels = tuple(registry.names())
        self.rules = rules_of(settings)
        self.channels = {
            "live": channels,
            "team": channels,
            "test": test_channels,
        }
        self.join_stores(settings, pepper)
        self.join_core(settings, test_callback_base)
        self.join_people(settings, pepper)
        self.join_engines(settings)
        self.join_rules(settings)

    def worker(self, alone: Alone | None = None) -> Worker:
        """A worker of this process, not running yet. `alone`: works on what others did not survive."""
        boards = [self.boards["live"], self.boards["test"]]
        bench = Workbench(self.scripts, self.desk, self.sender, self.kinds, self.followers, self.gate, alone)
        gone = functools.partial(self.metrics.mended, "taken")
        return Worker(self.client, self.scripts, self.clock, bench, boards, self.roll.report, gone)

    async def handle(self, channel: str, callback: Callback) -> Reply:
        """Take in a provider's callback. Raises Forged or Malformed."""
        return await self.callbacks.handle(channel, callback)

    async def trouble(self) -> str | None:
        """Why messages are not being worked on, or None."""
        return await self.roll.trouble()

    @classmethod
    async def open(
        cls, settings: Settings, redis_url: str, *, test_settings: Settings | None = None, test_callback_base: str = ""
    ) -> Gateway:
        """Connect and join everything. `test_settings`: where the look-alikes for test keys stand (None: as the live ones).

        Raises BadSettings, and redis' ConnectionError when the server can't be reached.
        """
        async with contextlib.AsyncExitStack() as opened:
            client = await connect(redis_url, max_connections=CONNECTIONS)
            opened.push_async_callback(client.aclose)
            replication = Replication(settings.redis_replicas, settings.redis_replica_timeout)
            scripts, clock = Scripts(client, replication), Clock()
            await warn_of_replicas(client, replication)
            pepper = await installation(scripts, settings)
            timeout = aiohttp.ClientTimeout(total=30, connect=5)
            session = aiohttp.ClientSession(
                timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=0)
            )
            opened.push_async_callback(session.close)
            deps = Deps(session, client, clock.now)
            channels = registry.build(settings, deps)
            test_channels = channels if test_settings is None else registry.build(test_settings, deps)
            base = test_callback_base or settings.public_url
            gateway = cls(settings, client, session, channels, test_channels, scripts, clock, pepper, base)
            await gateway.follower.once()
            await gateway.room.once()
            opened.pop_all()
        return gateway

    async def close(self) -> None:
        """Give back every connection."""
        await self.effects.close()
        await self.scripts.close()
        live, test = self.channels["live"], self.channels["test"]
        everything = {id(c): c for c in (*live.values(), *test.values())}
        await asyncio.gather(*(channel.close() for channel in everything.values()))
        await self.session.close()
        await self.client.aclose()
