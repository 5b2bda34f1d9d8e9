"""What the web layer needs from the rest of the gateway, as one typed protocol.

`gateway.app.Gateway` fulfils it; nothing here is constructed by the web layer itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, Protocol

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from gateway.channels.base import Rendered
from gateway.links import Links
from gateway.message import Lane, Level, Message, Mode
from gateway.prompts import Value
from gateway.settings import Settings
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts

if TYPE_CHECKING:
    from gateway.broadcasts.service import Broadcasts
    from gateway.cases.announcing import Announcements
    from gateway.cases.service import Cases
    from gateway.channels.base import Channel
    from gateway.delivery.callbacks import Callbacks
    from gateway.delivery.following import Question
    from gateway.delivery.inbox import InboundItems
    from gateway.delivery.intake import Intake
    from gateway.delivery.lookup import Lookup
    from gateway.delivery.metrics import Metrics
    from gateway.delivery.receipts import Receipts
    from gateway.delivery.replying import Replies
    from gateway.delivery.room import Room
    from gateway.delivery.thread import Threads
    from gateway.outages.service import Outages
    from gateway.people.groups import Groups
    from gateway.people.people import People
    from gateway.privacy.answers import AnswerEraser
    from gateway.privacy.erasures import Erasures
    from gateway.privacy.export import Holdings
    from gateway.routing.route import Rules
    from gateway.rules.acts import Act
    from gateway.rules.events import Events
    from gateway.rules.rulebook import Rulebook
    from gateway.rules.runs import Runs
    from gateway.rules.trial import Trial
    from gateway.selfservice.verification import Verification
    from gateway.selfservice.wechat_link import WeChatLinks
    from gateway.store.api_keys import ApiKeys
    from gateway.store.customers import Customers
    from gateway.store.idempotency import Idempotency
    from gateway.store.listing import Listing
    from gateway.store.messages import Messages
    from gateway.store.templates import Templates
    from gateway.surveys.results import Results
    from gateway.surveys.surveys import Surveys

ChannelCondition = Literal["up", "paced", "paused", "broken", "missing"]


class ChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """One channel as operators see it.

    `proves`: the levels it can prove. `waiting`: messages in its lines by priority. `reason`: why it isn't up, or is slow, for people.
    """

    name: str
    state: ChannelCondition
    reason: str | None = None
    proves: tuple[Level, ...] = ()
    waiting: dict[Lane, int] = {}


class ChannelBoard(Protocol):
    """The channels of this installation, and the operators' hand on them."""

    async def states(self) -> Sequence[ChannelState]:
        """Every channel, the missing ones too, in a stable order."""
        ...

    async def pause(self, name: str, reason: str, by: str) -> ChannelState | None:
        """Nothing new begins on the channel until it is resumed. None: there is no such channel."""
        ...

    async def resume(self, name: str, reason: str, by: str) -> ChannelState | None:
        """Undo a pause. None: there is no such channel."""
        ...


class Opened(msgspec.Struct, frozen=True):
    """A message behind a public link, with the words a person may read there (None: past their retention)."""

    message: Message
    words: Rendered | None


class Pages(Protocol):
    """What the public pages show and do."""

    async def load(self, message_id: str, via: str | None = None) -> Opened | None:
        """The message and its words in the customer's language; None when it is gone.

        `via`: the channel that brought the link, if that is known.
        """
        ...

    async def asked(self, message_id: str) -> Opened | None:
        """The message whose question a link asks by now: this one, or a newer one of its thread. None when it is gone."""
        ...

    async def answer(self, message_id: str, value: Value, words: str, via: str | None = None) -> Message | None:
        """Count an answer given on a page: `value` as the prompt has it, `words` as shown or typed. None: it is gone.

        `via`: the channel that brought the link, if that is known.
        """
        ...

    async def add_words(self, message_id: str, words: str) -> Message | None:
        """Keep words with the answer that counts. None: there is none, or the message is gone."""
        ...

    async def following(self, message: Message) -> Sequence[Question]:
        """What is still to be asked after a message's own question."""
        ...

    async def answer_following(self, message: Message, given: Mapping[str, tuple[Value, str]]) -> None:
        """Count answers to what follows: by the question's id the value, and the words as chosen or typed."""
        ...

    async def unsubscribe(self, message_id: str, wording: str) -> Message | None:
        """Withdraw the message's category on the channel of the link; harmless when repeated. None: it is gone."""
        ...


class Gateway(Protocol):
    """The whole gateway, as far as HTTP is concerned."""

    settings: Settings
    clock: Clock
    scripts: Scripts
    links: Links
    api_keys: ApiKeys
    idempotency: Idempotency
    intake: Intake
    inbound: InboundItems
    room: Room
    messages: Messages
    listing: Listing
    receipts: Receipts
    customers: Customers
    people: People
    groups: Groups
    broadcasts: Broadcasts
    outages: Outages
    templates: Templates
    registry: CollectorRegistry
    metrics: Metrics
    callbacks: Callbacks
    rules: Rules
    verification: Verification
    wechat_links: WeChatLinks
    erasures: Erasures
    answer_eraser: AnswerEraser
    holdings: Holdings
    threads: Threads
    lookup: Lookup
    operator_replies: Replies
    acts: dict[str, Act]
    rulebook: Rulebook
    runs: Runs
    events: Events
    trial: Trial
    cases: Cases
    surveys: Surveys
    survey_results: Results
    announcements: Announcements
    channels: dict[Mode, Mapping[str, Channel]]

    @property
    def known_channels(self) -> Sequence[str]:
        """Every channel that may be named here, whether or not its settings are there."""
        ...

    @property
    def board(self) -> ChannelBoard:
        """The channels, as operators see them."""
        ...

    @property
    def pages(self) -> Pages:
        """What stands behind the public links."""
        ...

    async def trouble(self) -> str | None:
        """Why messages are not being worked on (no worker has reported lately), or None."""
        ...


GATEWAY: Final = web.AppKey("GATEWAY", Gateway)
REQUEST_ID: Final = web.RequestKey("REQUEST_ID", str)
