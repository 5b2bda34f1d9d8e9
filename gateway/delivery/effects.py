"""What news of a message means outside of it: an address's health, a mirrored opt-out, calls to be ended.

What is learnt of an address is written *before* the message is committed: a worker that dies between the two leaves news
that is told again, or a fact that stands without its record, but never a record whose facts are lost. Facts name the
attempt they come from, so they count once however often they are written, also when the commit loses to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from gateway.channels.base import Channel
from gateway.customer import ConsentEntry, Customer, Evidence
from gateway.message import Attempt, Fault, Message, Mode
from gateway.routing.health import ALIVE, counts
from gateway.routing.retry import REMEDIES
from gateway.store.customers import Customers
from gateway.store.messages import Before, told
from gateway.store.pipe import StoreFull

RECALL_S: Final = 20.0
"""How long the end of a call may take when the gateway stops."""

log = structlog.get_logger()


class Effects:
    """Carries out what a change asks for outside of the message."""

    def __init__(self, customers: Customers, channels: Mapping[Mode, Mapping[str, Channel]]) -> None:
        self._customers = customers
        self._channels = channels
        self._recalls: set[asyncio.Task[None]] = set()

    async def told(self, before: Before, message: Message, customer: Customer) -> None:
        """Write down what attempts teach of their addresses, before the message that says so is committed.

        Raises StoreUnavailable. Test messages teach nothing.
        """
        if message.mode == "test":
            return
        for attempt in message.attempts:
            changed = before.told.get(attempt.id) != told(attempt) or _spoke_too_soon(attempt, message, customer)
            if changed and attempt.address:
                try:
                    await self._judge(message, attempt, customer)
                except StoreFull:
                    # The message must go on all the same, or nothing would ever end and give room.
                    log.warning("address_news_not_taken", message=message.id, attempt=attempt.id)

    def follow(self, before: Before, message: Message, *, newly_done: bool) -> None:
        """End the calls that a committed change has made needless."""
        if message.done:
            for attempt in message.attempts:
                # A call may be taken after the end, when it was being asked for meanwhile: it must not ring either.
                if newly_done or before.attempts.get(attempt.id) in ("started", "unknown"):
                    self._end_call(message, attempt)

    async def _judge(self, message: Message, attempt: Attempt, customer: Customer) -> None:
        channel, address = attempt.channel, attempt.address
        if attempt.status == "failed" and attempt.fault is not None:
            if REMEDIES[attempt.fault].address == "opted_out":
                await self._customers.withdraw(channel, address, [_blocked(attempt)])
            elif counts(attempt.fault):
                await self._customers.learn(channel, address, _evidence(message, attempt, attempt.fault))
        elif customer.watched(channel, address) is not None:
            if attempt.status == "delivered":
                await self._customers.learn(channel, address, _evidence(message, attempt, ALIVE))
            elif attempt.answered_by is not None:
                await self._customers.proved(channel, address, attempt.started_at)

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


def _evidence(message: Message, attempt: Attempt, fault: Fault | str) -> Evidence:
    """What an attempt says of its address. The time is the news' own, so that telling it again is no news."""
    status = "failed" if fault else "delivered"
    return Evidence(
        ref=f"{message.id}/{attempt.id}",
        at=attempt.times.get(status, attempt.started_at),
        fault=str(fault),
        provider_code=attempt.provider_code if fault else None,
        bounce=attempt.bounce if fault else None,
    )


def _spoke_too_soon(attempt: Attempt, message: Message, customer: Customer) -> bool:
    """Whether an attempt that got through is held against its address: told by a worker who then lost the swap."""
    known = customer.watched(attempt.channel, attempt.address)
    return attempt.status == "delivered" and known is not None and f"{message.id}/{attempt.id}" in known.refs


def _blocked(attempt: Attempt) -> ConsentEntry:
    return ConsentEntry(
        channel=attempt.channel,
        category="*",
        state="withdrawn",
        way="provider_block",
        wording=f"The provider reported that the person blocked us (code {attempt.provider_code}).",
        at=attempt.times.get("failed", attempt.started_at),
    )
