"""The second stage: the delivery core, from accepting a message to what is learnt of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.app.stores import Stores
from gateway.channels.twiml import voice_for
from gateway.delivery import workbench
from gateway.delivery.asking import Asker
from gateway.delivery.crowd import Crowd
from gateway.delivery.desk import Desk
from gateway.delivery.drafts import Drafts
from gateway.delivery.effects import Effects
from gateway.delivery.follow import Follower
from gateway.delivery.gate import Gate
from gateway.delivery.halts import Halts
from gateway.delivery.housekeeping import Housekeeper
from gateway.delivery.intake import Intake
from gateway.delivery.limits import Limits
from gateway.delivery.meeting import Meeting
from gateway.delivery.pacing import Switchboard
from gateway.delivery.receipts import Receipts
from gateway.delivery.room import Room
from gateway.delivery.sending import Sender
from gateway.delivery.speaking import Speaker
from gateway.delivery.words import Words
from gateway.message import Mode
from gateway.settings_types import Settings, Voice
from gateway.store.upkeep import Upkeep


class Core(Stores):
    """What gets messages to people. `followers`: who is told of messages, by the kind of what they are about."""

    followers: dict[str, workbench.Follower]

    def join_core(self, settings: Settings, test_callback_base: str) -> None:
        """Make it. `test_callback_base`: where look-alikes of the carriers call back."""
        live = Switchboard(self.channels["live"], settings.channels, self.scripts, self.clock, "")
        test = Switchboard(self.channels["test"], {}, self.scripts, self.clock, "@test")
        self.boards: dict[Mode, Switchboard] = {"live": live, "team": live, "test": test}
        for post in {post.line: post for board in (live, test) for post in board.posts.values()}.values():
            self.metrics.watch(post.line, post.down, post.width)
        self.followers = {}
        self.effects = Effects(self.customers, self.channels)
        self.halts = Halts(self.scripts)
        self.desk = Desk(
            self.messages,
            self.customers,
            self.rules,
            self.boards,
            self.effects,
            self.metrics,
            self.clock,
            self.halts,
        )
        self.words = Words(settings, self.links, self._speaks)
        self.follower = Follower(self.scripts, self.clock, [live, test], self.roll, self.halts)
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
        self.speaker = Speaker(
            self.desk,
            self.words,
            self.boards,
            self.clock,
            lambda mode: test_callback_base if mode == "test" else settings.public_url,
        )
        asker = Asker(self.desk, self.speaker, self.boards, meeting, self.clock, self.gate)
        self.sender = Sender(
            self.desk,
            self.speaker,
            asker,
            self.boards,
            meeting,
            self.clock,
            self.follower.rouse,
            self.gate,
            limits,
        )
        self.receipts = Receipts(self.desk, meeting)
        self.room = Room(self.client, self.metrics)
        drafts = Drafts(self.desk, self.customers, self.templates, self.clock, self.known_channels)
        self.intake = Intake(self.desk, drafts, self.words, self.clock, self.room, self.gate)
        self.crowd = Crowd(self.messages, drafts, self.clock, self.room, self.gate)

    def _speaks(self, language: str) -> bool:
        own: Mapping[str, Voice] = self.settings.channels["voice"].voices if "voice" in self.settings.channels else {}
        return voice_for(language, own) is not None
