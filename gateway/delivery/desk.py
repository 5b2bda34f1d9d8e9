"""Where a message is worked on: load the facts, take in news, ask `decide`, commit; again if somebody else was faster.

News is monotone, so absorbing it once more after a conflict leads to the same record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from gateway.customer import Customer
from gateway.delivery.effects import Effects
from gateway.delivery.halts import Halts
from gateway.delivery.metrics import Metrics
from gateway.delivery.pacing import Switchboard
from gateway.message import Message, Mode, RouteStep, Verdict
from gateway.routing.ahead import explained
from gateway.routing.decide import apply, decide
from gateway.routing.fallback import expire_leases
from gateway.routing.policy import Category
from gateway.routing.route import Rules
from gateway.routing.view import Next, View
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.messages import Before, Loaded, Messages

TRIES: Final = 50
News = Callable[[Message, int], None]
"""Changes a message by what has become known; must be safe to apply again to a fresh copy."""

log = structlog.get_logger()


class Case(msgspec.Struct):
    """A message on the desk with what a decision needs."""

    message: Message
    version: int
    before: Before
    customer: Customer
    customer_version: int
    cap_uses: Mapping[str, Sequence[int]] = {}


class Desk:
    """Works on one message at a time, for whoever has news of it."""

    def __init__(
        self,
        messages: Messages,
        customers: Customers,
        rules: Rules,
        boards: Mapping[Mode, Switchboard],
        effects: Effects,
        metrics: Metrics,
        clock: Clock,
        halts: Halts,
    ) -> None:
        self.messages = messages
        self.customers = customers
        self.rules = rules
        self.boards = boards
        self.effects = effects
        self.metrics = metrics
        self.clock = clock
        self.halts = halts

    def category(self, message: Message) -> Category:
        """The rules of a message's category. Raises KeyError when the settings no longer know it."""
        return self.rules.categories[message.category]

    async def open(self, loaded: Loaded) -> Case:
        """Put a message on the desk. A customer who is gone leaves a message without addresses."""
        found = await self.customers.load(loaded.message.customer)
        if found is not None and not meant_for(loaded.message, found[0]):
            found = None
        customer, version = found if found is not None else (Customer(id=loaded.message.customer), 0)
        message = loaded.message
        if found is None:
            message.addresses = ()
        uses: Mapping[str, Sequence[int]] = {}
        if not message.attempts and not message.done:
            uses = await self.messages.cap_uses(message, self.rules.caps_of(message.category))
        return Case(message, loaded.version, Before.of(message), addressed(message, customer), version, uses)

    async def reopen(self, message_id: str) -> Case | None:
        """The message as it stands now; None when it is gone, or nobody's any more: nothing is news to it."""
        loaded = await self.messages.load(message_id)
        if loaded is not None and loaded.message.erased:
            self.metrics.too_late()
            return None
        return None if loaded is None else await self.open(loaded)

    def decide(self, case: Case) -> Next:
        """What the message should do now."""
        now = self.clock.now()
        expire_leases(case.message, now)
        return decide(self._view(case), now)

    def route(self, case: Case, following: Next) -> tuple[RouteStep, ...]:
        """The route of a decision as people are shown it."""
        return explained(self._view(case), following.route, self.clock.now())

    def _view(self, case: Case) -> View:
        states = self.boards[case.message.mode].states()
        halted = self.halts.holds(case.message)
        return View(case.message, case.customer, states, self.rules, case.cap_uses, halted)

    async def write(self, case: Case, following: Next) -> bool:
        """Commit a decision; False when somebody else was faster (or the message is gone) and nothing was written."""
        now = self.clock.now()
        was = case.message.verdict
        claims = self.claims(case.message, following, now)
        apply(case.message, following, now)
        case.message.claimed = case.message.claimed or claims
        # First: whoever dies after the commit has told everything, and what is told twice counts once.
        await self.effects.told(case.before, case.message, case.customer)
        outcome, version = await self.messages.commit(case.before, case.message, case.version, following, claims=claims)
        if outcome != "ok":
            return False
        before, case.before, case.version = case.before, Before.of(case.message), version
        if was.state == "pending" and case.message.done:
            self._measure(case.message)
        await self.boards[case.message.mode].over(case.message)
        self.effects.follow(before, case.message, newly_done=was.state == "pending")
        return True

    def _measure(self, message: Message) -> None:
        verdict = message.verdict
        self.metrics.ended(message.category, verdict.state, verdict.code)
        if verdict.state == "reached" and verdict.at is not None:
            self.metrics.reached(message.category, verdict.channel, (verdict.at - message.due_at) / 1000)

    @staticmethod
    def claims(message: Message, following: Next, now: int) -> bool:
        """A message of a thread takes the older ones' place once, when it falls due and is not suppressed."""
        closing: Verdict | None = following.closing
        suppressed = closing is not None and closing.state in ("suppressed", "cancelled")
        return message.thread is not None and not message.claimed and now >= message.due_at and not suppressed

    async def settle(self, case: Case, news: News) -> Case | None:
        """Apply news to a message on the desk and commit, reloading as often as needed; None when it is gone."""
        current: Case | None = case
        for _ in range(TRIES):
            if current is None:
                return None
            news(current.message, self.clock.now())
            if await self.write(current, self.decide(current)):
                return current
            current = await self.reopen(case.message.id)
        raise RuntimeError(f"message {case.message.id} could not be committed in {TRIES} tries")

    async def update(self, message_id: str, news: News) -> Case | None:
        """Load a message, apply news, decide, commit; None when there is no such message."""
        case = await self.reopen(message_id)
        return None if case is None else await self.settle(case, news)


def meant_for(message: Message, customer: Customer) -> bool:
    """Whether a customer is the one the message was accepted for, and not one who was given that id afterwards."""
    return message.born in (0, customer.created_at)


def addressed(message: Message, customer: Customer) -> Customer:
    """The person as this message sees them: what a one-off recipient was given counts before what is stored."""
    if message.locale is not None:
        wishes = msgspec.structs.replace(customer.preferences, language=None)
        customer = msgspec.structs.replace(customer, locale=message.locale, preferences=wishes)
    return customer if message.time_zone is None else msgspec.structs.replace(customer, time_zone=message.time_zone)
