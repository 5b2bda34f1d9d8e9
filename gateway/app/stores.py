"""The first stage: the rules from the settings, and all that is kept in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import aiohttp
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from gateway.channels.base import Channel
from gateway.content.content import Template
from gateway.content.files import BadTemplates
from gateway.content.files import load as read_templates
from gateway.customer import QuietHours
from gateway.delivery.metrics import Metrics
from gateway.links import Links
from gateway.message import Mode
from gateway.routing.policy import categories, shared_caps
from gateway.routing.route import Rules
from gateway.secret_box import purpose_key
from gateway.settings_types import BadSettings, Settings
from gateway.store.api_keys import ApiKeys
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.idempotency import Idempotency
from gateway.store.listing import Listing
from gateway.store.messages import Messages
from gateway.store.roll import Roll
from gateway.store.scripts import Scripts
from gateway.store.standing import Standings
from gateway.store.templates import Templates
from gateway.store.timeline import Timeline


def rules_of(settings: Settings) -> Rules:
    """What routing obeys, from the settings. Raises BadSettings for a bad category or cap."""
    try:
        table = categories(settings.categories)
        caps = shared_caps(settings.caps, table)
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
        caps=caps,
    )


def load_templates(folder: Path) -> Mapping[str, Template]:
    """The built-in templates and those of a folder. Raises BadSettings when one of them can't be used."""
    try:
        return read_templates(folder if folder.is_dir() else None)
    except BadTemplates as bad:
        raise BadSettings([str(problem) for problem in bad.problems]) from bad


def _clock_time(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


class Stores:
    """What stands when a process begins, and the stores over it."""

    settings: Settings
    client: Redis
    session: aiohttp.ClientSession
    scripts: Scripts
    clock: Clock
    name: str
    known_channels: tuple[str, ...]
    rules: Rules
    channels: dict[Mode, Mapping[str, Channel]]

    def join_stores(self, settings: Settings, pepper: bytes) -> None:
        """Make them. `pepper` keys the hashes of addresses. Raises BadSettings for templates that can't be used."""
        secret, old = settings.secret_key, settings.secret_key_old
        self.customers = Customers(self.scripts, self.clock, pepper, keep_timeline=settings.retention_timeline_days)
        self.templates = Templates(self.scripts, self.clock, load_templates(settings.templates_dir))
        self.roll = Roll(self.scripts, self.clock, self.name)
        self.messages = Messages(
            self.scripts,
            self.clock,
            self.roll,
            keep_records=settings.retention_message_days,
            keep_content=settings.retention_content_days,
            keep_timeline=settings.retention_timeline_days,
        )
        self.standings = Standings(self.scripts)
        self.timeline = Timeline(self.scripts, self.clock, keep=settings.retention_timeline_days)
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
