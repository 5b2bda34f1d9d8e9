"""The only place where parts are constructed and joined."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp
import structlog
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from gateway.channels import registry
from gateway.channels.base import Callback, Channel, Deps, Reply
from gateway.channels.twiml import voice_for
from gateway.content.content import Template
from gateway.content.files import BadTemplates
from gateway.content.files import load as read_templates
from gateway.customer import QuietHours
from gateway.delivery.callbacks import Callbacks
from gateway.delivery.desk import Desk
from gateway.delivery.drafts import Drafts
from gateway.delivery.effects import Effects
from gateway.delivery.follow import Follower
from gateway.delivery.gate import Gate
from gateway.delivery.housekeeping import Housekeeper
from gateway.delivery.inbound import Inbox
from gateway.delivery.intake import Intake
from gateway.delivery.limits import Limits
from gateway.delivery.meeting import Meeting
from gateway.delivery.metrics import Metrics
from gateway.delivery.pacing import Switchboard
from gateway.delivery.people import People
from gateway.delivery.receipts import Receipts
from gateway.delivery.room import Room
from gateway.delivery.sending import Sender
from gateway.delivery.words import Words
from gateway.delivery.workbench import Alone, Workbench
from gateway.delivery.worker import Worker
from gateway.links import Links
from gateway.message import Mode
from gateway.routing.policy import categories
from gateway.routing.route import Rules
from gateway.secret_box import purpose_key
from gateway.settings_types import BadSettings, Settings, Voice
from gateway.store.api_keys import ApiKeys
from gateway.store.clock import Clock
from gateway.store.connect import connect, warn_of_replicas
from gateway.store.customers import Customers
from gateway.store.idempotency import Idempotency
from gateway.store.installation import installation
from gateway.store.listing import Listing
from gateway.store.messages import Messages
from gateway.store.pipe import Replication
from gateway.store.roll import Roll
from gateway.store.scripts import Scripts
from gateway.store.templates import Templates
from gateway.store.upkeep import Upkeep
from gateway.web.acts import Board, PublicPages

CONNECTIONS: Final = 32
log = structlog.get_logger()


def rules_of(settings: Settings) -> Rules:
    """What routing obeys, from the settings. Raises BadSettings for a bad category."""
    try:
        table = categories(settings.categories)
    except ValueError as bad:
        raise BadSettings(str(bad).splitlines()) from bad
    quiet = settings.default_quiet_hours
    countries = settings.allowed_countries
    return Rules(
        categories=table,
        quiet_hours=None if quiet is None else QuietHours(_clock_time(quiet[0]), _clock_time(quiet[1])),
        time_zone=settings.default_time_zone,
        countries=None if countries is None else frozenset(countries),
        prefixes=tuple(name for name in countries or () if name.startswith("+")),
        team=frozenset(settings.team_addresses),
    )


def load_templates(folder: Path) -> Mapping[str, Template]:
    """The built-in templates and those of a folder. Raises BadSettings when one of them can't be used."""
    try:
        return read_templates(folder if folder.is_dir() else None)
    except BadTemplates as bad:
        raise BadSettings([str(problem) for problem in bad.problems]) from bad


def _clock_time(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


class Gateway:
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
        self.known_channels = registry.names()
        self.rules = rules_of(settings)
        self.channels: dict[Mode, Mapping[str, Channel]] = {
            "live": channels,
            "team": channels,
            "test": test_channels,
        }
        self._store(settings, pepper)
        self._delivery(settings, test_callback_base)

    def _store(self, settings: Settings, pepper: bytes) -> None:
        secret, old = settings.secret_key, settings.secret_key_old
        self.customers = Customers(self.scripts, self.clock, pepper)
        self.templates = Templates(self.scripts, self.clock, load_templates(settings.templates_dir))
        self.roll = Roll(self.scripts, self.clock, self.name)
        self.messages = Messages(
            self.scripts,
            self.clock,
            self.roll,
            keep_records=settings.retention_message_days,
            keep_content=settings.retention_content_days,
        )
        self.listing = Listing(self.scripts, self.messages)
        self.api_keys = ApiKeys(
            self.scripts,
            self.clock,
            purpose_key(secret, "api keys"),
            None if old is None else purpose_key(old, "api keys"),
        )
        self.idempotency = Idempotency(self.scripts, self.clock)
        self.links = Links(settings.public_url, secret, old, self.clock.now)
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)

    def _delivery(self, settings: Settings, test_callback_base: str) -> None:
        known = self.known_channels
        live = Switchboard(self.channels["live"], settings.channels, self.scripts, self.clock, "")
        test = Switchboard(self.channels["test"], {}, self.scripts, self.clock, "@test")
        self.boards: dict[Mode, Switchboard] = {"live": live, "team": live, "test": test}
        for post in {post.line: post for board in (live, test) for post in board.posts.values()}.values():
            self.metrics.watch(post.line, post.down, post.width)
        self.effects = Effects(self.customers, self.channels, self.clock)
        self.desk = Desk(self.messages, self.customers, self.rules, self.boards, self.effects, self.metrics, self.clock)
        self.words = Words(settings, self.links, self._speaks)
        self.follower = Follower(self.scripts, self.clock, [live, test], self.roll)
        self.housekeeper = Housekeeper(
            Upkeep(self.client, self.scripts),
            self.customers,
            self.clock,
            self.metrics,
            self.name,
            keep_records=settings.retention_message_days,
        )
        meeting, self.gate = Meeting(self.scripts), Gate()
        limits = Limits(settings.limits, self.scripts, self.clock, self.metrics, self.customers.address_key)
        self.sender = Sender(
            self.desk,
            self.words,
            self.boards,
            meeting,
            self.clock,
            lambda mode: test_callback_base if mode == "test" else settings.public_url,
            self.follower.rouse,
            self.gate,
            limits,
        )
        self.inbox = Inbox(
            self.scripts, self.desk, self.customers, self.clock, keep_content=settings.retention_content_days
        )
        self.receipts = Receipts(self.desk, meeting)
        self.room = Room(self.client, self.metrics)
        self.intake = Intake(
            self.desk,
            Drafts(self.desk, self.customers, self.templates, self.clock, known),
            self.words,
            self.clock,
            self.room,
            self.gate,
        )
        self.people = People(self.customers, self.clock, known_channels=known, categories=self.rules.categories)
        self.board = Board(live, settings, known, self.scripts, self.clock)
        self.pages = PublicPages(self.desk, self.words, self.inbox, self.customers, self.clock)
        self.callbacks, self.test_callbacks = (
            Callbacks(mode, self.channels[mode], self.receipts, self.inbox, self.sender, self.scripts)
            for mode in ("live", "test")
        )

    def _speaks(self, language: str) -> bool:
        own: Mapping[str, Voice] = self.settings.channels["voice"].voices if "voice" in self.settings.channels else {}
        return voice_for(language, own) is not None

    def worker(self, alone: Alone | None = None) -> Worker:
        """A worker of this process, not running yet. `alone`: works on what others did not survive."""
        boards = [self.boards["live"], self.boards["test"]]
        bench = Workbench(self.scripts, self.desk, self.sender, self.inbox, self.gate, alone)
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
