"""What follows from a commit outside the message: an address's health, a mirrored opt-out, calls to be ended.

Each is safe to do twice, and none holds up the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from gateway.channels.base import Channel
from gateway.customer import Address, AddressHealth, ConsentEntry, Customer
from gateway.message import Attempt, Fault, Message, Mode
from gateway.routing.retry import REMEDIES
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.messages import Before

DAY_MS: Final = 86_400_000
SUPPRESSED_FOR_MS: Final = 180 * DAY_MS
SUSPECT_FOR_MS: Final = 30 * DAY_MS
RECALL_S: Final = 20.0
"""How long the end of a call may take when the gateway stops."""
DOUBTS_ALLOWED: Final = {Fault.DOUBTFUL_ADDRESS: 1, Fault.MAILBOX_FULL: 5, Fault.UNREACHABLE: 10}
"""After how many doubts within a month an address is no longer used."""

log = structlog.get_logger()


class Effects:
    """Carries out what a committed change asks for."""

    def __init__(self, customers: Customers, channels: Mapping[Mode, Mapping[str, Channel]], clock: Clock) -> None:
        self._customers = customers
        self._channels = channels
        self._clock = clock
        self._recalls: set[asyncio.Task[None]] = set()

    async def follow(self, before: Before, message: Message, customer: Customer, *, newly_done: bool) -> None:
        """Look at what changed between `before` and the committed message."""
        if message.mode != "test":
            for attempt in message.attempts:
                failed_before = before.attempts.get(attempt.id) == "failed"
                if attempt.status == "failed" and attempt.fault is not None and not failed_before:
                    await self._judge(attempt, attempt.fault, customer)
        if message.done:
            for attempt in message.attempts:
                # A call may be taken after the end, when it was being asked for meanwhile: it must not ring either.
                if newly_done or before.attempts.get(attempt.id) in ("started", "unknown"):
                    self._end_call(message, attempt)

    async def _judge(self, attempt: Attempt, fault: Fault, customer: Customer) -> None:
        remedy, now = REMEDIES[fault], self._clock.now()
        if remedy.address == "opted_out":
            entry = ConsentEntry(
                channel=attempt.channel,
                category="*",
                state="withdrawn",
                way="provider_block",
                wording=f"The provider reported that the person blocked us (code {attempt.provider_code}).",
                at=now,
            )
            await self._customers.withdraw(attempt.channel, attempt.address, [entry])
        elif remedy.address == "suppress":
            health = AddressHealth("suppressed", remedy.text, now, now + SUPPRESSED_FOR_MS)
            await self._customers.mark(attempt.channel, attempt.address, health)
        elif remedy.address == "suspect":
            await self._doubt(attempt, fault, customer, now)

    async def _doubt(self, attempt: Attempt, fault: Fault, customer: Customer, now: int) -> None:
        earlier = customer.health_of(Address(attempt.channel, attempt.address), now)
        count = 1 + (earlier.count if earlier is not None else 0)
        state = "suppressed" if count > DOUBTS_ALLOWED[fault] else "suspect"
        health = AddressHealth(state, REMEDIES[fault].text, now, now + SUSPECT_FOR_MS, count)
        await self._customers.mark(attempt.channel, attempt.address, health)

    def _end_call(self, message: Message, attempt: Attempt) -> None:
        """Have a call that rings ended, beside all else: its provider may take its time."""
        channel = self._channels[message.mode].get(attempt.channel)
        rings = attempt.status in ("accepted", "sent") and attempt.answered_by is None and not attempt.ended
        if channel is not None and channel.traits.recalls and rings and attempt.provider_id is not None:
            task = asyncio.get_running_loop().create_task(channel.recall(attempt))
            self._recalls.add(task)
            task.add_done_callback(self._recalled)

    def _recalled(self, task: asyncio.Task[None]) -> None:
        self._recalls.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            log.error("recall_failed", exc_info=bug)

    async def close(self) -> None:
        """Wait for calls that are being ended."""
        if self._recalls:
            await asyncio.wait(self._recalls, timeout=RECALL_S)
