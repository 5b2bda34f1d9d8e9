"""The store's scripts for customers' records, in Python."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.store.changes import Outcome
from gateway.store.keys import Partition
from tests.support.model_shared import Shared


class People(Shared):
    """A server that knows customers' records."""

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
        """Write a customer if the version is the expected one."""
        self.lapse()
        record = at.customer(customer)
        version = int(self.hget(record, "v") or 0)
        if expected is not None and expected != version:
            return "conflict", version
        self.hset(record, v=version + 1, s=state)
        self.ends.pop(record, None)
        self.zadd(at.customers, 0, customer)
        for entry in ledger:
            self.streams.setdefault(at.ledger(customer), []).append({"e": entry})
        self.write_lines(at.timeline(customer), told, keep_told)
        return "ok", version + 1

    def tell(self, at: Partition, customer: str, line: bytes, keep: int, once: str, known: int) -> Outcome:
        """Add a line to a customer's timeline, once."""
        self.lapse()
        if self.hget(at.customer(customer), "s") is None:
            return "gone"
        mark = at.noted(customer, once)
        if mark in self.strings:
            return "seen"
        self.strings[mark] = b"1"
        self.expire(mark, known)
        self.write_lines(at.timeline(customer), [line], keep)
        return "ok"

    def erase_customer(self, at: Partition, customer: str, version: int) -> Outcome:
        """Delete a customer's record and what hangs on it if the version is the expected one."""
        self.lapse()
        if int(self.hget(at.customer(customer), "v") or 0) != version:
            return "conflict"
        for key in (at.customer(customer), at.ledger(customer), at.timeline(customer)):
            self.delete(key)
        self.zrem(at.customers, customer)
        return "ok"
