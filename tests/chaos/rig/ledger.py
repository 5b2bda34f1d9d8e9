"""The reckoning after a run: what was promised to callers against what is on record and what the carriers counted."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from tests.chaos.rig.callers import Callers, Sent
from tests.chaos.rig.carrier import Carrier
from tests.chaos.rig.mailbox import Mailbox
from tests.support.running import Answer, ask, until

AT_ONCE: Final = 16
PATIENCE_S: Final = 60.0


class Spread(msgspec.Struct, frozen=True):
    """How some durations are spread, seconds."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    most: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of these values."""
        ranked = sorted(values)
        if not ranked:
            return cls()
        return cls(
            len(ranked), ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, len(ranked) * 99 // 100)], ranked[-1]
        )

    def __str__(self) -> str:
        return f"{self.p50:.2f} / {self.p99:.2f} / {self.most:.2f} s (n={self.count})" if self.count else "none"


class Reckoning(msgspec.Struct):
    """What came out. `faults` is empty when every promise was kept; each line of it names a message."""

    accepted: int = 0
    unanswered: int = 0
    verdicts: Counter[str] = msgspec.field(default_factory=Counter[str])
    held: int = 0
    copies: int = 0
    mails: int = 0
    repeats: int = 0
    unknowns: int = 0
    lateness: Spread = msgspec.field(default_factory=Spread)
    faults: list[str] = msgspec.field(default_factory=list[str])

    def figures(self) -> dict[str, object]:
        """What people look at first."""
        return {
            "accepted": self.accepted,
            "asked for, never answered": self.unanswered,
            **{f"verdict {name}": count for name, count in sorted(self.verdicts.items())},
            "held": self.held,
            "copies at the SMS carrier": self.copies,
            "copies at the mail relay": self.mails,
            "copies beyond the first, each explained by an unknown": self.repeats,
            "attempts with unknown outcome": self.unknowns,
            "fall-back lateness p50 / p99 / max": self.lateness,
            "promises broken": len(self.faults),
        }


class Ledger:
    """Reads the records by the API and compares."""

    def __init__(self, callers: Callers, carrier: Carrier, mailbox: Mailbox) -> None:
        self._callers = callers
        self._carrier = carrier
        self._mailbox = mailbox
        self.records: dict[str, dict[str, Any]] = {}

    async def _read(self, path: str) -> Answer:
        """One look by the API, repeated while it can't answer."""
        found: list[Answer] = []

        async def answered() -> bool:
            try:
                found[:] = [await ask(self._callers.http, self._callers.url, self._callers.key, "GET", path)]
            except (aiohttp.ClientError, TimeoutError):
                return False
            return found[0].status not in (429, 503)

        await until(answered, PATIENCE_S, lambda: found)
        return found[0]

    async def fetch(self, message: str) -> dict[str, Any] | None:
        """A record as it stands; None when the API knows no such message."""
        answer = await self._read(f"/v1/messages/{message}")
        if answer.status == 404:
            return None
        assert answer.status == 200, answer
        return answer.body

    async def _refresh(self, ids: Sequence[str], lost: set[str]) -> None:
        waiting = list(ids)

        async def work() -> None:
            while waiting:
                message = waiting.pop()
                found = await self.fetch(message)
                if found is None:
                    lost.add(message)
                else:
                    self.records[message] = found

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    async def drained(self, sent: Sequence[Sent], bound: float) -> set[str]:
        """Wait until every message is done, `bound` seconds beyond its deadline at most; ids that are lost."""
        lost: set[str] = set()

        async def settled() -> bool:
            left = [one for each in sent for one in each.ids if one not in lost and not self._ended(one)]
            await self._refresh(left, lost)
            now = time.time()
            return all(one in lost or self._ended(one) or self._overdue(one, now, bound) for one in left)

        await until(settled, 600.0, lambda: self._open(sent))
        return lost

    def _ended(self, message: str) -> bool:
        found = self.records.get(message)
        return found is not None and found["status"] == "done"

    def _overdue(self, message: str, now: float, bound: float) -> bool:
        found = self.records.get(message)
        return found is not None and now > _seconds(found["deadline"]) + bound

    def _open(self, sent: Sequence[Sent]) -> object:
        return [(one, self.records.get(one)) for each in sent for one in each.ids if not self._ended(one)][:3]

    async def reckon(self, sent: Sequence[Sent] | None = None, *, bound: float = 15.0) -> Reckoning:
        """Wait for the end of these messages (all, if None) and compare."""
        wanted = self._callers.sent if sent is None else sent
        lost = await self.drained(wanted, bound)
        await self._carrier.settled()
        # News that came with the last callbacks.
        await self._refresh([one for each in wanted for one in each.ids if one not in lost], lost)
        found = Reckoning()
        waiting = list(wanted)

        async def work() -> None:
            while waiting:
                await self._one(waiting.pop(), found, lost)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        found.lateness = Spread.of(late for each in wanted for late in self._late(each))
        return found

    async def _one(self, sent: Sent, found: Reckoning, lost: set[str]) -> None:
        say: Callable[[str], None] = lambda what: found.faults.append(f"{sent.reference}: {what}")  # noqa: E731 - one line
        if sent.refused is not None:
            say(f"refused: {sent.refused}")
        if len(sent.ids) > 1:
            say(f"a repeated request made another message: {sorted(sent.ids)}")
        known = await self._by_reference(sent.reference)
        if not sent.ids:
            found.unanswered += 1
            if len(known) > 1:
                say(f"one request made several messages: {known}")
            sent = msgspec.structs.replace(sent, ids=set(known))
            await self._refresh(known, lost)
        elif set(known) != sent.ids - lost:
            say(f"listed under its reference: {known}, answered: {sorted(sent.ids)}")
        strangers = self._carrier.by_reference.get(sent.reference, set[str]()) - sent.ids
        if strangers:
            say(f"copies of messages that nobody accepted: {strangers}")
        for message in sent.ids:
            found.accepted += 1
            if message in lost:
                say(f"{message} is lost")
            else:
                self._against_record(message, sent, found, say)

    async def _by_reference(self, reference: str) -> list[str]:
        answer = await self._read(f"/v1/messages?reference={reference}")
        assert answer.status == 200, answer
        return [one["id"] for one in answer.body["items"]]

    def _against_record(self, message: str, sent: Sent, found: Reckoning, say: Callable[[str], None]) -> None:
        record = self.records[message]
        if record["status"] == "done":
            found.verdicts[record["verdict"]["state"]] += 1
        elif record["held"] is not None:
            found.held += 1
        else:
            say(f"{message} has neither ended nor is it held: {record}")
        found.unknowns += sum("unknown" in one["times"] for one in record["attempts"])
        for what, copies, allowed in self._counts(record, sent.reference):
            found.repeats += max(0, copies - 1)
            if copies > allowed:
                say(f"{message} {what}: {copies} copies, {allowed} explained by {record['attempts']}")
        found.copies += self._carrier.by_message[message]
        found.mails += sum(self._mailbox.copies(sent.reference).values())

    def _counts(self, record: Mapping[str, Any], reference: str) -> Iterable[tuple[str, int, int]]:
        """What was sent, how many copies the carriers counted, and how many the record explains."""
        attempts: list[dict[str, Any]] = record["attempts"]
        rounds = {one["id"]: one["round"] for one in attempts}
        copies: Counter[int] = Counter()
        for attempt, count in self._carrier.by_attempt.get(record["id"], Counter[str]()).items():
            copies[rounds.get(attempt, 0)] += count
        for number, count in copies.items():
            yield f"sms, round {number}", count, 1 + _unknown(attempts, "sms", number) if number else 0
        for mail, count in self._mailbox.copies(reference).items():
            number = next((one["round"] for one in attempts if one["provider_id"] == mail), None)
            yield f"email {mail}", count, 1 + _unknown(attempts, "email", number)

    def _late(self, sent: Sent) -> Iterable[float]:
        """How late each step after the first began: after its predecessor's failure, or the end of its time."""
        for message in sent.ids:
            record = self.records.get(message)
            if record is not None:
                yield from _lateness(record)


def _unknown(attempts: Sequence[Mapping[str, Any]], channel: str, number: int | None) -> int:
    return sum(
        "unknown" in one["times"] for one in attempts if one["channel"] == channel and number in (None, one["round"])
    )


def _lateness(record: Mapping[str, Any]) -> Iterable[float]:
    attempts: list[dict[str, Any]] = record["attempts"]
    first = None
    for before, one in zip([None, *attempts], attempts, strict=False):
        step = one["round"], one["channel"]
        if before is not None and first is not None and step != (first["round"], first["channel"]):
            failed = before["times"].get("failed")
            ends = _seconds(first["times"]["started"]) + record["reach"]["step"]
            due = min(ends, _seconds(failed)) if failed is not None else ends
            yield _seconds(one["times"]["started"]) - due
        if first is None or step != (first["round"], first["channel"]):
            first = one


def _seconds(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()
