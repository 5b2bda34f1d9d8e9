"""Many records of one partition at once, for lists of any length: nobody with a single command stands behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.customer import Address
from gateway.message import Message
from gateway.store.keys import Partition
from gateway.store.messages import decode
from gateway.store.scripts import Scripts
from gateway.store.stream import Command


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """As much of a customer's record as says who and where they are; the rest is passed over unread."""

    id: str
    name: str | None = None
    addresses: tuple[Address, ...] = ()
    attributes: dict[str, Any] = {}


_decoder: Final = msgspec.msgpack.Decoder(Profile)


class Bulk:
    """Reads them. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts

    async def messages(self, at: Partition, ids: Sequence[str]) -> list[Message]:
        """Those of a partition's messages that are there, in their order."""
        found = await self._all([("HMGET", at.message(one), "s", "sup", "can") for one in ids])
        return [
            decode(state, *("" if mark is None else mark.decode() for mark in marks))
            for state, *marks in found
            if state is not None
        ]

    async def profiles(self, at: Partition, ids: Sequence[str]) -> list[Profile | None]:
        """Customers of a partition, in the order of their ids; None for who is none."""
        found = await self._all([("HGET", at.customer(one), "s") for one in ids])
        return [None if state is None else _decoder.decode(state) for state in found]

    async def _all(self, commands: Sequence[Command]) -> list[Any]:
        answers = await self._scripts.pipe.send_all([(command, False) for command in commands]) if commands else []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers
