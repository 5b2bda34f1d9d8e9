"""The model of the store, watched: it writes down what is done to it and checks after each write what must always hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.message import Lane, Message
from gateway.store.changes import Change, Haul, Outcome
from gateway.store.keys import Partition
from tests.support.model import Model

_message = msgspec.msgpack.Decoder(Message)


class Event(msgspec.Struct, frozen=True):
    """One thing that happened: ms since the storm began, who did it, what, to which message or item, and the outcome."""

    at: int
    who: str
    what: str
    about: str = ""
    outcome: str = ""
    state: bytes = b""
    detail: str = ""

    def line(self) -> str:
        """As the log shows it."""
        return f"{self.at:>7} {self.who:<9} {self.what:<9} {self.about} {self.outcome} {self.detail}".rstrip()


def _marks(change: Change) -> str:
    claims = change.order is not None and not change.joins
    return " ".join(filter(None, ("claims" if claims else "", "done" if change.done else "")))


class Watched(Model):
    """A store with a memory. `asking`: whose command is being done."""

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__(now)
        self._began = now()
        self.asking = ""
        self.events: list[Event] = []
        self.broken: list[str] = []

    def note_down(self, who: str, what: str, about: str = "", outcome: str = "", *, detail: str = "") -> None:
        """Remember what somebody did."""
        self.events.append(Event(self.now() - self._began, who, what, about, outcome, detail=detail))

    def wrong(self, text: str) -> None:
        """Something that must always hold does not."""
        self.broken.append(text)
        self.note_down("ledger", "WRONG", detail=text)

    def _remember(self, what: str, about: str, outcome: str, state: bytes = b"", detail: str = "") -> None:
        self.events.append(Event(self.now() - self._began, self.asking, what, about, outcome, state, detail))

    def _check(self, at: Partition, message: str) -> None:
        """What lives will be looked at again."""
        fields = self.hashes.get(at.message(message))
        if fields is None or "d" in fields or "why" in fields:
            return
        if f"m:{message}" not in self.zsets.get(at.agenda(fields["l"].decode()), {}):
            self.wrong(f"{message} lives and stands on no agenda")

    def accept(self, at: Partition, message: str, change: Change, body: bytes, minute: str) -> Outcome:
        outcome = super().accept(at, message, change, body, minute)
        self._remember("accept", message, outcome, change.state, _marks(change))
        self._check(at, message)
        return outcome

    def commit(self, at: Partition, message: str, version: int, change: Change, minute: str) -> tuple[Outcome, int]:
        outcome = super().commit(at, message, version, change, minute)
        self._remember("commit", message, outcome[0], change.state, _marks(change))
        self._check(at, message)
        return outcome

    def begin(
        self, at: Partition, message: str, versions: tuple[int, int], change: Change, **more: Any
    ) -> tuple[Outcome, int]:
        outcome = super().begin(at, message, versions, change, **more)
        self._remember("begin", message, outcome[0], change.state, more["channel"])
        self._check(at, message)
        return outcome

    def take(
        self, number: int, lease: int, due: Mapping[Lane, int], permits: Mapping[str, tuple[int, int, int]], **more: Any
    ) -> Haul:
        haul = super().take(number, lease, due, permits, taker=self.asking, **more)
        for item in haul.items:
            self._remember("take", item.member[2:], item.channel or "wake")
        return haul

    def cancel(self, at: Partition, message: str, now: int) -> Outcome:
        outcome = super().cancel(at, message, now)
        self._remember("cancel", message, outcome)
        return outcome

    def note(self, at: Partition, item: str, state: bytes, keep: int) -> Outcome:
        outcome = super().note(at, item, state, keep)
        self._remember("note", item, outcome)
        return outcome

    def settle(self, at: Partition, member: str, state: bytes, keep: int) -> None:
        super().settle(at, member, state, keep)
        self._remember("settle", member[2:], "ok", state)

    def put_customer(
        self,
        at: Partition,
        customer: str,
        expected: int | None,
        state: bytes,
        ledger: Sequence[bytes],
        told: Sequence[bytes] = (),
        keep_told: int = 0,
    ) -> tuple[Outcome, int]:
        outcome = super().put_customer(at, customer, expected, state, ledger, told, keep_told)
        self._remember("customer", customer, outcome[0])
        return outcome

    def bury(self, at: Partition, member: str, reason: str) -> None:
        super().bury(at, member, reason)
        self.wrong(f"{member} went to the morgue: {reason}")

    def records(self) -> dict[str, Message]:
        """Every message as stored."""
        found: dict[str, Message] = {}
        for key, fields in self.hashes.items():
            _, kind, about = key.split(":", 2) if key.count(":") > 1 else ("", "", "")
            if kind == "m" and "s" in fields:
                found[about] = _message.decode(fields["s"])
        return found
