"""News of attempts and acknowledgements, into the record."""

from __future__ import annotations

from collections.abc import Iterable

import structlog

from gateway.channels.base import Reading
from gateway.delivery.desk import Case, Desk
from gateway.delivery.meeting import Meeting
from gateway.message import Message, Receipt
from gateway.news import absorb, final_verdict

log = structlog.get_logger()


class Receipts:
    """Takes in receipts, whatever they are known by."""

    def __init__(self, desk: Desk, meeting: Meeting) -> None:
        self._desk = desk
        self._meeting = meeting

    async def read(self, channel: str, reading: Reading) -> None:
        """Take in all receipts of a callback. Those of a provider id nobody knows yet are kept for ten minutes."""
        found: dict[str, list[Receipt]] = {}
        for message_id, receipt in reading.receipts:
            found.setdefault(message_id, []).append(receipt)
        for number, receipt in reading.by_provider_id:
            known = await self._meeting.whose(channel, number, receipt)
            if known is not None:
                found.setdefault(known[0], []).append(known[1])
        for message_id, receipts in found.items():
            await self.absorb(message_id, receipts)

    async def absorb(self, message_id: str, receipts: Iterable[Receipt]) -> Message | None:
        """Absorb receipts of one message; None when there is no such message. News that says nothing new writes nothing.

        A receipt under another id than the provider gave the attempt is about something else, whatever its link says.
        """
        news = tuple(receipts)
        case = await self._desk.reopen(message_id)
        if case is None:
            return None
        changes = [self._own(case.message, receipt) and absorb(case.message, receipt) for receipt in news]
        if not any(changes):
            return case.message

        def told(message: Message, _now: int) -> None:
            for receipt in news:
                if not _another(message, receipt):
                    absorb(message, receipt)

        settled = await self._desk.settle(case, told)
        return settled.message if settled is not None else None

    def _own(self, message: Message, receipt: Receipt) -> bool:
        attempt = message.attempt(receipt.attempt)
        if attempt is None or not _another(message, receipt):
            return True
        self._desk.metrics.of_another(attempt.channel)
        log.warning("news_of_another", message=message.id, attempt=attempt.id, channel=attempt.channel)
        return False

    async def acknowledge(self, message_id: str, by: str | None) -> Case | None:
        """Somebody says that the person knows. Counts once; later ones change nothing."""

        def told(message: Message, now: int) -> None:
            if message.acknowledged_at is None:
                message.acknowledged_at, message.acknowledged_by = now, by
                if message.closing is not None:
                    message.verdict = final_verdict(message)

        return await self._desk.update(message_id, told)


def _another(message: Message, receipt: Receipt) -> bool:
    attempt = message.attempt(receipt.attempt)
    known = attempt.provider_id if attempt is not None else None
    return known is not None and receipt.provider_id is not None and receipt.provider_id != known
