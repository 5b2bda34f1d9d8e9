"""What is known of an address, whoever has it: who may own it, what was withdrawn from it, how healthy it is.

Addresses appear in Redis as keyed hashes only. Owners are *hints*, to be checked against the customer; each hint carries
a token of its own, so that taking back a hint never takes back a newer one of the same customer. Facts only grow or are
replaced by newer ones, so writers need no lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.customer import AddressHealth, ConsentEntry
from gateway.preferences.consent import lifts
from gateway.store import keys
from gateway.store.pipe import Pipe

_ENTRY: Final = msgspec.msgpack.Decoder(ConsentEntry)
_HEALTH: Final = msgspec.msgpack.Decoder(AddressHealth)
_TOKEN_BITS: Final = 52  # a score is a double: whole numbers are exact up to 53 bits

Hints = dict[str, int]
"""By address key, the token of a customer's hint."""


class Facts(msgspec.Struct, frozen=True):
    """What is stored with one address: consent entries, newest of each scope, and health by channel."""

    consents: tuple[ConsentEntry, ...] = ()
    health: dict[str, AddressHealth] = {}


async def ask(pipe: Pipe, *command: Any, durable: bool = False) -> Any:
    """The answer to one plain command. Raises StoreUnavailable when the server can't take it for now."""
    return await pipe.send(*command, durable=durable)


def scope(entry: ConsentEntry) -> tuple[str, str, str, str]:
    """Entries of one scope speak of the same things: only the newest of them counts."""
    return entry.channel, entry.category, entry.address or "", entry.state


def compacted(entries: Iterable[ConsentEntry]) -> tuple[ConsentEntry, ...]:
    """The newest entry of each scope (of equally old ones the first), oldest first."""
    newest: dict[tuple[str, str, str, str], ConsentEntry] = {}
    for entry in entries:
        known = newest.get(scope(entry))
        if known is None or entry.at > known.at:
            newest[scope(entry)] = entry
    return tuple(sorted(newest.values(), key=lambda entry: (entry.at, *scope(entry))))


def news(known: Iterable[ConsentEntry], entries: Iterable[ConsentEntry]) -> list[ConsentEntry]:
    """The entries that say more than is known: no known one of their scope is as new."""
    latest = {scope(entry): entry.at for entry in compacted(known)}
    return [entry for entry in compacted(entries) if entry.at > latest.get(scope(entry), -1)]


def in_force(entries: Sequence[ConsentEntry]) -> list[ConsentEntry]:
    """The withdrawals that no grant has lifted."""
    newest = compacted(entries)
    return [w for w in newest if w.state == "withdrawn" and not any(lifts(grant, w) for grant in newest)]


def needs_proof(entries: Sequence[ConsentEntry], entry: ConsentEntry) -> bool:
    """True when the entry has no proof and would lift a withdrawal in force: nobody but the person may do that."""
    return entry.proof is None and any(lifts(entry, withdrawal) for withdrawal in in_force(entries))


class Addresses:
    """The address index and the address facts."""

    def __init__(self, pipe: Pipe, pepper: bytes) -> None:
        self._pipe = pipe
        self._pepper = pepper

    def key(self, value: str) -> str:
        """The keyed hash of a normalised address; of e-mail addresses that differ in case alone it is the same."""
        plain = value.casefold() if "@" in value else value
        return hmac.new(self._pepper, plain.encode(), hashlib.sha256).hexdigest()[:32]

    # Owners

    async def hint(self, address_keys: Iterable[str], customer: str) -> Hints:
        """Note that the customer may own these addresses, each under a new token."""
        hints = {key: 1 + secrets.randbits(_TOKEN_BITS) for key in address_keys}
        await self._all(("ZADD", keys.address_owners(key), token, customer) for key, token in hints.items())
        return hints

    async def tokens(self, address_keys: Iterable[str], customer: str) -> Hints:
        """The tokens of the customer's hints at these addresses."""
        wanted = list(address_keys)
        found = await self._all(("ZSCORE", keys.address_owners(key), customer) for key in wanted)
        return {key: int(float(token)) for key, token in zip(wanted, found, strict=True) if token is not None}

    async def unhint(self, hints: Mapping[str, int]) -> None:
        """Take hints back, if they still stand under these tokens."""
        await self._all(("ZREMRANGEBYSCORE", keys.address_owners(key), token, token) for key, token in hints.items())

    async def hints(self, key: str) -> dict[str, int]:
        """Who may own an address, with the tokens of the hints."""
        found = await ask(self._pipe, "ZRANGE", keys.address_owners(key), 0, -1, "WITHSCORES")
        return {customer.decode(): int(float(token)) for customer, token in found}

    # Facts

    async def facts(self, address_keys: Iterable[str], now: int) -> dict[str, Facts]:
        """What is known of each address at `now` (ms)."""
        wanted = list(dict.fromkeys(address_keys))
        found = await self._all(("HGETALL", keys.address_facts(key)) for key in wanted)
        return {key: _facts(fields, now) for key, fields in zip(wanted, found, strict=True)}

    async def remember(self, key: str, entries: Sequence[ConsentEntry]) -> None:
        """Store consent entries with an address; what is older than they are in their scope goes."""
        if not entries:
            return
        place = keys.address_facts(key)
        pairs = [part for entry in entries for part in (_field(entry), msgspec.msgpack.encode(entry))]
        await ask(self._pipe, "HSET", place, *pairs, durable=True)
        fields: dict[bytes, bytes] = await ask(self._pipe, "HGETALL", place)
        stored = [_ENTRY.decode(blob) for field, blob in fields.items() if field.startswith(b"c:")]
        kept = {_field(entry) for entry in compacted(stored)}
        outdated = [_field(entry) for entry in stored if _field(entry) not in kept]
        if outdated:
            await ask(self._pipe, "HDEL", place, *outdated)

    async def mark(self, key: str, channel: str, health: AddressHealth | None) -> None:
        """Store an address's health on a channel; None lifts it. A doubt never hides a suppression that is in force."""
        place = keys.address_facts(key)
        if health is None:
            await ask(self._pipe, "HDEL", place, f"h:{channel}:suspect", f"h:{channel}:suppressed")
        else:
            await ask(self._pipe, "HSET", place, f"h:{channel}:{health.state}", msgspec.msgpack.encode(health))

    async def _all(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Commands that may leave together; all are answered before the first error is raised."""
        answers = await asyncio.gather(*(ask(self._pipe, *command) for command in commands), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers


def _field(entry: ConsentEntry) -> str:
    return f"c:{keys.digest(chr(0).join(scope(entry)))}:{entry.at}"


def _facts(fields: Mapping[bytes, bytes], now: int) -> Facts:
    consents = [_ENTRY.decode(blob) for field, blob in fields.items() if field.startswith(b"c:")]
    health: dict[str, AddressHealth] = {}
    for field in sorted(fields, reverse=True):
        if not field.startswith(b"h:"):
            continue
        # "suppressed" comes after "suspect" here, so it wins while it is in force.
        channel, found = field.decode()[2:].rpartition(":")[0], _HEALTH.decode(fields[field])
        if channel not in health or found.until is None or found.until > now:
            health[channel] = found
    return Facts(compacted(consents), health)
