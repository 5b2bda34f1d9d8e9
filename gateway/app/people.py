"""The third stage: what people do themselves and may ask for, and the doors through which they come."""

from __future__ import annotations

import functools

from gateway.app.core import Core
from gateway.delivery.callbacks import Callbacks
from gateway.delivery.following import Following, Questions
from gateway.delivery.inbound import Heard, Inbox
from gateway.delivery.inbox import InboundItems
from gateway.delivery.lookup import Lookup, LookupPart
from gateway.delivery.replying import Replies
from gateway.delivery.thread import Threads
from gateway.people.groups import Groups
from gateway.people.people import People
from gateway.privacy.answers import AnswerEraser
from gateway.privacy.copies import CopyEraser
from gateway.privacy.erasures import Erasures
from gateway.privacy.export import Holdings
from gateway.privacy.messages import MessageEraser
from gateway.privacy.things import Concern, ThingEraser, shown
from gateway.privacy.words import WordEraser
from gateway.secret_box import purpose_key
from gateway.selfservice.autoreply import AutoReplies
from gateway.selfservice.commands import Commands
from gateway.selfservice.ivr_service import phone_menu
from gateway.selfservice.kindness import Kindness
from gateway.selfservice.verification import Verification
from gateway.selfservice.wechat_link import WeChatLinks
from gateway.settings_types import Settings
from gateway.store.erasing import Erasing
from gateway.store.inbound_index import InboundIndex
from gateway.store.journal import Journal
from gateway.store.mine import Mine
from gateway.store.rosters import Rosters
from gateway.store.waking import Waking
from gateway.web.acts import Board, PublicPages


class ForPeople(Core):
    """Self-service, privacy, and the pages and callbacks that lead there."""

    def join_people(self, settings: Settings, pepper: bytes) -> None:
        """Make it. `pepper` keys the hashes of customers' ids."""
        self.concerns: dict[str, Concern] = {}
        self.mine = Mine(self.scripts)
        self.rosters = Rosters(self.scripts)
        self.groups = Groups(self.scripts, self.rosters, self.clock)
        self.people = People(
            self.customers,
            self.clock,
            known_channels=self.known_channels,
            categories=self.rules.categories,
            rouse=Waking(self.scripts, self.messages, self.clock).rouse,
        )
        self.inbound = InboundItems(
            self.scripts, self.customers, self.timeline, self.clock, keep=settings.retention_content_days
        )
        self.replies = AutoReplies(self.intake, self.customers, self.scripts, self.clock)
        commands = Commands(
            self.people, self.customers, self.replies, self.templates, self.links, settings, self.channels["live"]
        )
        wechat, name = self.channels["live"].get("wechat"), settings.brand.name or ""
        self.wechat_links = WeChatLinks(wechat, self.customers, self.replies, self.scripts, self.clock, name)
        self.heard: list[Heard] = []
        kindness = Kindness(self.replies, self.customers, self.listing, self.scripts, self.clock, settings)
        self.inbox = Inbox(
            self.scripts,
            self.desk,
            self.customers,
            self.clock,
            self.inbound,
            commands.steer,
            commands.farewell,
            self.wechat_links.scanned,
            self.heard,
            kindness.thank,
        )
        self.board = Board(self.boards["live"], settings, self.known_channels, self.scripts, self.clock)
        codes_key, customers = purpose_key(settings.secret_key, "codes"), self.customers
        self.verification = Verification(
            self.scripts, self.clock, self.intake, codes_key, customers.address_key, customers.lift
        )
        self.following: dict[str, Following] = {}
        questions = Questions(self.following)
        self.pages = PublicPages(self.desk, self.words, self.inbox, self.customers, self.clock, questions)
        menu = phone_menu(self.desk, self.words, self.people, self.inbox, self.inbound, settings, self.channels["live"])
        self.callbacks, self.test_callbacks = (
            Callbacks(mode, self.channels[mode], self.receipts, self.inbox, self.speaker, self.scripts, menu)
            for mode in ("live", "test")
        )
        self.erasures = self._erasures(settings, pepper)
        held = functools.partial(shown, self.mine, self.concerns, self.rosters)
        self.threads = Threads(
            self.timeline,
            self.messages,
            self.inbound,
            self.customers,
            settings.default_locale,
            settings.default_time_zone,
        )
        self.operator_replies = Replies(
            self.intake, self.customers, self.threads, self.boards, self.known_channels, self.clock
        )
        self.lookup_parts: dict[str, LookupPart] = {}
        self.lookup = Lookup(self.customers, self.threads, self.inbound, self.lookup_parts, self.clock)
        self.holdings = Holdings(self.people, self.messages, self.listing, self.inbound, self.threads, settings, held)

    def _erasures(self, settings: Settings, pepper: bytes) -> Erasures:
        store = Erasing(self.scripts, self.clock, pepper)
        self.answer_eraser = AnswerEraser(store, self.idempotency)
        stages = (
            MessageEraser(store, self.desk, self.clock),
            self.answer_eraser,
            WordEraser(store, InboundIndex(self.scripts), self.inbound, self.customers, self.clock),
            ThingEraser(store, self.concerns, self.rosters),
            CopyEraser(store, self.channels, self.clock),
        )
        return Erasures(
            store,
            Journal(self.scripts.urgent, settings.data_dir, pepper),
            self.customers,
            self.clock,
            sorted({counted.key for name in self.rules.categories for counted in self.rules.caps_of(name)}),
            stages,
            keep_records=settings.retention_message_days,
        )
