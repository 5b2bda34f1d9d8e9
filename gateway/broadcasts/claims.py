"""Of several retries at the same moment, which one writes to whom: the first that claims the message that is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.broadcasts.nouns import Broadcast
from gateway.broadcasts.records import Records, message_id
from gateway.store.keys import Partition
from gateway.store.marks import LIVES_MS
from gateway.store.scripts import Scripts
from gateway.store.stream import Command


class Claims:
    """Takes them, before a message is made. Methods raise StoreUnavailable."""

    def __init__(self, scripts: Scripts, records: Records) -> None:
        self._scripts = scripts
        self._records = records

    async def take(self, retry: Broadcast, at: Partition, wanted: Mapping[str, str]) -> set[str]:
        """Of these messages of one partition (each with its customer), those that are this retry's, now and ever after.

        Who was claimed by a retry that has ended without a message to them may be claimed again.
        """
        key = at.standing(retry.mode, retry.retry_of or "", "claimed")
        own: set[str] = set()
        fields = {old: old for old in wanted}
        while fields:
            holders = dict(zip(fields, await self._claim(key, list(fields.values()), retry.id), strict=True))
            own |= {old for old, holder in holders.items() if holder == retry.id}
            others = {old: holder for old, holder in holders.items() if holder != retry.id}
            fields = {old: f"{old}>{others[old]}" for old in await self._given_up(retry, at, others, wanted)}
        return own

    async def _claim(self, key: str, fields: Sequence[str], name: str) -> list[str]:
        """Who holds each of them: whoever was first."""
        await self._sent([("HSETNX", key, field, name) for field in fields])
        held, _ = await self._sent([("HMGET", key, *fields), ("PEXPIRE", key, LIVES_MS)])
        return [holder.decode() for holder in held]

    async def _sent(self, commands: Sequence[Command]) -> list[Any]:
        answers = await self._scripts.pipe.send_all([(command, False) for command in commands])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _given_up(
        self, retry: Broadcast, at: Partition, others: Mapping[str, str], wanted: Mapping[str, str]
    ) -> list[str]:
        names = sorted(set(others.values()))
        loaded = await asyncio.gather(*(self._records.load(retry.mode, name) for name in names))
        found = dict(zip(names, loaded, strict=True))
        free: list[str] = []
        for old, holder in others.items():
            other = found[holder]
            if other is None or (other.ended_at is not None and not await self._there(at, other, wanted[old])):
                free.append(old)
        return free

    async def _there(self, at: Partition, other: Broadcast, customer: str) -> bool:
        return bool(await self._scripts.pipe.send("EXISTS", at.message(message_id(other, customer))))
