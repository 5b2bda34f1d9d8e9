"""What is known of an address, whoever has it: who may own it, what was withdrawn from it, how healthy it is.

Addresses appear in Redis as keyed hashes only. Owners are *hints*, to be checked against the customer; each hint carries
a token of its own, so that taking back a hint never takes back a newer one of the same customer. Facts only grow or are
replaced by newer ones, so writers need no lock.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.customer import AddressHealth, ConsentEntry
from gateway.preferences.consent import opens, says
from gateway.store import keys
from gateway.store.health import channels_in, health_in
from gateway.store.pipe import Pipe
from gateway.store.steps import Steps, alone

_ENTRY: Final = msgspec.msgpack.Decoder(ConsentEntry)
_TOKEN_BITS: Final = 52  # a score is a double: whole numbers are exact up to 53 bits

Hints = dict[str, int]
"""By address key, the token of a customer's hint."""


class Facts(msgspec.Struct, frozen=True):
    """What is stored with one address: consent entries, newest of each scope, and health by channel."""

    consents: tuple[ConsentEntry, ...] = ()
    health: dict[str, AddressHealth] = {}


NOTHING: Final = Facts()


async def ask(pipe: Pipe, *command: Any, durable: bool = False) -> Any:
    """The answer to one plain command. Raises StoreUnavailable when the server can't take it for now."""
    return await pipe.send(*command, durable=durable)


def scope(entry: ConsentEntry) -> tuple[str, str, str, str]:
    """Entries of one scope speak of the same things, from the same place: only the newest of them counts."""
    place = entry.address or (f"from {entry.source}" if entry.source else "")
    return entry.channel, entry.category, place, says(entry)


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


def needs_proof(entries: Sequence[ConsentEntry], entry: ConsentEntry) -> bool:
    """True when the entry has no proof and would lift a withdrawal in force: nobody but the person may do that."""
    return entry.proof is None and opens(entries, entry)


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

    def hint_steps(self, address_keys: Iterable[str], customer: str) -> Steps[Hints]:
        """Note that the customer may own these addresses, each under a new token."""
        hints = {key: 1 + secrets.randbits(_TOKEN_BITS) for key in sorted(address_keys)}
        yield [("ZADD", keys.address_owners(key), token, customer) for key, token in hints.items()]
        return hints

    def token_steps(self, address_keys: Iterable[str], customer: str) -> Steps[Hints]:
        """The tokens of the customer's hints at these addresses."""
        wanted = list(address_keys)
        found = yield [("ZSCORE", keys.address_owners(key), customer) for key in wanted]
        return {key: int(float(token)) for key, token in zip(wanted, found, strict=True) if token is not None}

    def unhint_steps(self, hints: Mapping[str, int]) -> Steps[None]:
        """Take hints back, if they still stand under these tokens."""
        yield [("ZREMRANGEBYSCORE", keys.address_owners(key), token, token) for key, token in hints.items()]

    async def hint(self, address_keys: Iterable[str], customer: str) -> Hints:
        """As `hint_steps`."""
        return await alone(self._pipe, self.hint_steps(address_keys, customer))

    async def tokens(self, address_keys: Iterable[str], customer: str) -> Hints:
        """As `token_steps`."""
        return await alone(self._pipe, self.token_steps(address_keys, customer))

    async def unhint(self, hints: Mapping[str, int]) -> None:
        """As `unhint_steps`."""
        await alone(self._pipe, self.unhint_steps(hints))

    async def hints(self, key: str) -> dict[str, int]:
        """Who may own an address, with the tokens of the hints."""
        found = await ask(self._pipe, "ZRANGE", keys.address_owners(key), 0, -1, "WITHSCORES")
        return {customer.decode(): int(float(token)) for customer, token in found}

    # Facts

    def fact_steps(self, address_keys: Iterable[str], now: int) -> Steps[dict[str, Facts]]:
        """What is known of each address at `now` (ms)."""
        wanted = list(dict.fromkeys(address_keys))
        found = yield [("HGETALL", keys.address_facts(key)) for key in wanted]
        return {key: _facts(fields, now) if fields else NOTHING for key, fields in zip(wanted, found, strict=True)}

    async def facts(self, address_keys: Iterable[str], now: int) -> dict[str, Facts]:
        """As `fact_steps`."""
        return await alone(self._pipe, self.fact_steps(address_keys, now))

    async def remember(self, key: str, entries: Sequence[ConsentEntry]) -> None:
        """Store consent entries with an address; what is older than they are in their scope goes."""
        if not entries:
            return
        place = keys.address_facts(key)
        pairs = [part for entry in entries for part in (_field(entry), msgspec.msgpack.encode(entry))]
        await ask(self._pipe, "HSET", place, *pairs, durable=True)
        fields: dict[bytes, bytes] = await ask(self._pipe, "HGETALL", place)
        stored = {field: _ENTRY.decode(blob) for field, blob in fields.items() if field.startswith(b"c:")}
        kept = compacted(stored.values())
        outdated = [field for field, entry in stored.items() if entry not in kept]
        if outdated:
            await ask(self._pipe, "HDEL", place, *outdated)


def _field(entry: ConsentEntry) -> str:
    return f"c:{keys.digest(chr(0).join(scope(entry)))}:{entry.at}"


def _facts(fields: Mapping[bytes, bytes], now: int) -> Facts:
    consents = [_ENTRY.decode(blob) for field, blob in fields.items() if field.startswith(b"c:")]
    health = {channel: health_in(fields, channel, now) for channel in channels_in(fields)}
    return Facts(compacted(consents), {channel: found for channel, found in health.items() if found is not None})
