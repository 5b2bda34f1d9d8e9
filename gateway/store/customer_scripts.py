"""The scripts that write what is kept of a customer, and how any script is called."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from gateway.store.changes import Outcome
from gateway.store.keys import Partition
from gateway.store.lua_source import NAMES, load
from gateway.store.pipe import Pipe, Replication
from gateway.store.stream import Command, size_of


class Caller:
    """The scripts on one server. `urgent` is a stream of commands of its own, for what is critical."""

    def __init__(self, client: Redis, replication: Replication | None = None) -> None:
        self.pipe = Pipe(client, replication=replication)
        self.urgent = Pipe(client, replication=replication)
        self.taker = secrets.token_hex(4)
        """Who takes, as others see it on a record: this process, this time."""
        self._shas: dict[str, str] = {}
        for name in NAMES:
            source = load(name)
            self._shas[name] = self.pipe.remember(source)
            self.urgent.remember(source)

    async def _run(
        self, name: str, keys: Sequence[str], args: Sequence[Any], *, urgent: bool = False, durable: bool = False
    ) -> list[Any]:
        command = self._call(name, keys, args)
        return await (self.urgent if urgent else self.pipe).send(*command, size=size_of(command), durable=durable)

    def _call(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Command:
        return "EVALSHA", self._shas[name], len(keys), *keys, *args

    async def confirm(self, at: Partition) -> None:
        """Wait until the replicas have what was written to a partition so far. Raises NotReplicated."""
        if self.pipe.replicated:
            await self.pipe.send(*self.proof(at), durable=True)

    @staticmethod
    def proof(at: Partition) -> Command:
        """A write of its own: after a mere read WAIT proves nothing."""
        return "SET", at.proof, 1, "PX", 1000

    async def close(self) -> None:
        """Take nothing more, and wait for what is under way."""
        await asyncio.gather(self.pipe.close(), self.urgent.close())


class CustomerScripts(Caller):
    """Customers' records, ledgers and timelines."""

    async def put_customer(
        self,
        at: Partition,
        customer: str,
        expected: int | None,
        state: bytes,
        ledger: Sequence[bytes],
        told: Sequence[bytes] = (),
        keep_told: int = 0,
    ) -> tuple[Outcome, int]:
        """Write a customer if the version is still `expected` (None: whatever it is; 0: none yet).

        `told`: new lines of the timeline, which are kept for `keep_told` ms.
        """
        command = self.put_command(at, customer, expected, state, ledger, told, keep_told)
        return put_answer(await self.pipe.send(*command, size=size_of(command), durable=True))

    def put_command(
        self,
        at: Partition,
        customer: str,
        expected: int | None,
        state: bytes,
        ledger: Sequence[bytes],
        told: Sequence[bytes] = (),
        keep_told: int = 0,
    ) -> Command:
        """What `put_customer` sends."""
        keys = [at.customer(customer), at.ledger(customer), at.customers, at.timeline(customer)]
        version = "" if expected is None else expected
        return self._call("customer", keys, [version, state, customer, len(ledger), keep_told, *ledger, *told])

    async def erase_customer(self, at: Partition, customer: str, version: int) -> Outcome:
        """Delete a customer's record, ledger and timeline if the version is still `version`."""
        keys = [at.customer(customer), at.ledger(customer), at.timeline(customer), at.customers]
        return (await self._run("erase", keys, [version, customer], durable=True))[0].decode()

    async def tell(self, at: Partition, customer: str, line: bytes, keep: int, once: str, known: int) -> Outcome:
        """Add a line to a customer's timeline, which keeps it for `keep` ms.

        `once`: what makes it the same line, however often it is told within `known` ms: then it is "seen". "gone": there
        is no such customer.
        """
        keys = [at.customer(customer), at.timeline(customer), at.noted(customer, once)]
        return (await self._run("tell", keys, [keep, known, line]))[0].decode()


def put_answer(answer: list[Any]) -> tuple[Outcome, int]:
    """What `put_customer` was answered."""
    return answer[0].decode(), int(answer[1])
