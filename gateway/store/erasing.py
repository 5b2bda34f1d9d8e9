"""What an erasure does in Redis: the moment a customer leaves, the work that follows, and what is left in the end."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.customer import ConsentEntry
from gateway.message import LANES, NOBODY, Mode
from gateway.preferences.consent import in_force
from gateway.store import keys
from gateway.store.changes import Outcome
from gateway.store.clock import Clock
from gateway.store.customers import Going
from gateway.store.journal import KEEP_MS
from gateway.store.keys import Partition, of_customer, partition
from gateway.store.lua_source import load
from gateway.store.scripts import Scripts

MODES: Final[tuple[Mode, ...]] = ("live", "team", "test")
ERASED: Final = "(erased)"
"""The wording of a withdrawal that was kept: their own words could name the person."""
_PAGE: Final = 200
_USES: Final = ("live", "test", "page", "code3600000")
"""What is counted by a customer's id; of what follows, the uses name things that are out for them."""
_CODES: Final = "code86400000"
_INVITATIONS: Final = "wechat"
_TRACES: Final = (*MODES, "asked", "things", "codes", "invitations", "copies", "counts")
_ID: Final = re.compile(r"er(?P<place>[0-9a-f]{2})[0-9a-f]{24}")
_ENTRY: Final = msgspec.msgpack.Decoder(ConsentEntry)


class Erasing:
    """The store of erasures. All methods raise StoreUnavailable. `pepper` keys the hashes of customers' ids."""

    def __init__(self, scripts: Scripts, clock: Clock, pepper: bytes) -> None:
        self._pipe = scripts.urgent
        self._clock = clock
        self._pepper = pepper
        self._shas = {name: self._pipe.remember(load(name)) for name in ("forget", "progress", "scrub")}

    def who(self, customer: str) -> str:
        """The keyed hash of a customer's id, which matches whoever shows that id again."""
        return hashed(self._pepper, customer)

    def new_id(self, customer: str) -> str:
        """An id for an erasure, of the customer's own partition."""
        return f"er{of_customer(customer).number:02x}{secrets.token_hex(12)}"

    def nobody(self, customer: str) -> str:
        """A name that stands for the person in what is left of their messages: random, of the same partition."""
        while True:
            name = f"{NOBODY}{secrets.token_hex(8)}"
            if of_customer(name) is of_customer(customer):
                return name

    async def is_gone(self, customer: str) -> bool:
        """Whether there is no record of a customer."""
        return not await self._pipe.send("HEXISTS", of_customer(customer).customer(customer), "s")

    async def latest(self, customer: str) -> str | None:
        """The last erasure of a customer of that id, while its certificate is kept."""
        found = await self._pipe.send("GET", of_customer(customer).erased(self.who(customer)))
        return None if found is None else found.decode()

    async def read(self, erasure: str) -> tuple[bytes, int] | None:
        """An erasure's state and version; None when there is none of that id."""
        at = place_of(erasure)
        if at is None:
            return None
        state, version = await self._pipe.send("HMGET", at.member(f"e:{erasure}"), "s", "v")
        return None if state is None else (state, int(version))

    async def begin(self, going: Going, erasure: str, state: bytes, categories: Collection[str]) -> bool:
        """Delete the customer's record and start the erasure, in one step; False when the record has changed."""
        name, at = going.customer.id, of_customer(going.customer.id)
        handed = [(at.index(mode, "customer", name), at.traces(erasure, mode)) for mode in MODES]
        handed.append((at.asked(name), at.traces(erasure, "asked")))
        handed.append((at.mine(name), at.traces(erasure, "things")))
        handed.append((at.uses(_CODES, name), at.traces(erasure, "codes")))
        handed.append((at.uses(_INVITATIONS, name), at.traces(erasure, "invitations")))
        gone = [at.ledger(name), at.timeline(name), *(at.uses(scope, name) for scope in _USES)]
        gone += [at.awaiting(mode, name) for mode in MODES]
        gone += [at.cap(mode, name, category) for mode in MODES for category in categories]
        place = [at.customer(name), at.customers, at.member(f"e:{erasure}"), at.agenda("normal")]
        names = [*place, at.erased(self.who(name)), *(key for pair in handed for key in pair), *gone]
        args = [going.version, name, erasure, state, KEEP_MS, len(handed), f"normal:{at.number}:"]
        return await self._run("forget", names, args, durable=True) == "ok"

    async def progress(self, erasure: str, customer: str, version: int, state: bytes, wake: int | None) -> bool:
        """Store how far an erasure has got, and when to go on (None: it has ended); False when another was faster."""
        at = of_customer(customer)
        names = [at.member(f"e:{erasure}"), at.agenda("normal"), at.customer(customer)]
        names += [at.traces(erasure, kind) for kind in _TRACES]
        return (
            await self._run("progress", names, [erasure, version, state, "" if wake is None else wake, KEEP_MS]) == "ok"
        )

    async def hold(self, erasure: str, until: int) -> None:
        """Leave an erasure to whoever is at work on it, until a time (ms)."""
        at = place_of(erasure) or partition(0)
        await self._pipe.send("ZADD", at.agenda("normal"), "XX", until, f"e:{erasure}")

    async def restore(self, erasure: str, who: str, state: bytes) -> None:
        """Put back a certificate that an older state of Redis doesn't know."""
        at = place_of(erasure) or partition(0)
        record = at.member(f"e:{erasure}")
        await self._pipe.send("HSETNX", record, "v", 1)
        await self._pipe.send("HSET", record, "s", state, "d", 1)
        await self._pipe.send("PEXPIRE", record, KEEP_MS)
        await self._pipe.send("SET", at.erased(who), erasure, "PX", KEEP_MS, "NX")

    # What an erasure goes through

    async def messages(self, erasure: str, mode: Mode, after: str, most: int) -> list[str]:
        """Ids of messages that still name the person, in order."""
        at = place_of(erasure) or partition(0)
        low = f"({after}" if after else "-"
        found = await self._pipe.send("ZRANGE", at.traces(erasure, mode), low, "+", "BYLEX", "LIMIT", 0, most)
        return [member.decode() for member in found]

    async def through(self, erasure: str, mode: Mode, message: str) -> None:
        """A message has been gone through."""
        at = place_of(erasure) or partition(0)
        await self._pipe.send("ZREM", at.traces(erasure, mode), message)

    async def handed(self, erasure: str, kind: str) -> list[str]:
        """What was handed over of a kind.

        "asked", keys of answers kept for repeats; "things" of services; "codes", "invitations" that are out.
        """
        at = place_of(erasure) or partition(0)
        command = ("SMEMBERS",) if kind in ("asked", "things") else ("ZRANGE", 0, -1)
        found = await self._pipe.send(command[0], at.traces(erasure, kind), *command[1:])
        return sorted(member.decode() for member in found)

    async def drop_codes(self, erasure: str) -> None:
        """Codes that were given to the person, to be typed or to be scanned, prove nothing any more."""
        for name in await self.handed(erasure, "codes"):
            await self._pipe.send("DEL", keys.challenge(name))
        for token in await self.handed(erasure, "invitations"):
            await self._pipe.send("DEL", keys.invitation(token))

    async def live_items(self, at: Partition) -> AsyncIterator[tuple[str, bytes, bool]]:
        """Inbound items of a partition that nobody has worked off: member, state, and whether it is in the morgue."""
        for key in (at.agenda("critical"), at.morgue):
            cursor = 0
            while True:
                cursor, page = await self._pipe.send("ZSCAN", key, cursor, "MATCH", "i:*", "COUNT", _PAGE)
                for raw, _ in page:
                    name = str(raw, "utf-8")
                    state = await self._pipe.send("HGET", at.member(name), "s")
                    if state is not None:
                        yield name, state, key == at.morgue
                if int(cursor) == 0:
                    break

    async def drop_item(self, erasure: str, at: Partition, member: str, mode: Mode, listed: str, sender: str) -> None:
        """Delete an inbound item; that it has come in stays known for a while, so that a repeat isn't taken in again."""
        if await self._pipe.send("DEL", at.member(member)):
            await self._pipe.send("HINCRBY", (place_of(erasure) or at).traces(erasure, "counts"), "inbound", 1)
        await self._pipe.send("ZREM", at.morgue, member)
        for unlinked in (False, True):
            await self._pipe.send("ZREM", at.inbound(mode, unlinked=unlinked), listed)
        await self._pipe.send("ZREM", at.inbound_from(mode, sender), listed)

    async def scrub(
        self,
        erasure: str,
        at: Partition,
        message: str,
        version: int | None,
        state: bytes,
        *,
        thread: str | None = None,
        filed: Sequence[str] = (),
    ) -> Outcome:
        """Store what is left of a finished message, and delete its content; `version` None: all of it goes.

        `filed`: indexes and lines it is taken out of. "conflict": it has changed meanwhile.
        """
        names = [at.message(message), at.body(message), thread or f"{at.prefix}thread:none"]
        names += [at.traces(erasure, "counts"), at.morgue, *map(at.agenda, LANES), *filed]
        args = [message, "" if version is None else version, state]
        return await self._run("scrub", names, args)  # pyright: ignore[reportReturnType] - one of the script's words

    async def count(self, erasure: str, what: str, number: int) -> None:
        """Say how much of something was erased."""
        at = place_of(erasure) or partition(0)
        if number:
            await self._pipe.send("HSET", at.traces(erasure, "counts"), what, number)

    async def counts(self, erasure: str) -> dict[str, int]:
        """What was erased so far."""
        at = place_of(erasure) or partition(0)
        found: dict[bytes, bytes] = await self._pipe.send("HGETALL", at.traces(erasure, "counts"))
        return {what.decode(): int(number) for what, number in sorted(found.items())}

    async def put_copies(self, erasure: str, copies: Mapping[str, bytes]) -> None:
        """Remember what became of copies at providers, by attempt."""
        at = place_of(erasure) or partition(0)
        if copies:
            pairs = [part for pair in copies.items() for part in pair]
            await self._pipe.send("HSET", at.traces(erasure, "copies"), *pairs)

    async def new_copies(self, erasure: str, copies: Mapping[str, bytes]) -> None:
        """As `put_copies`; what is known of one already stays."""
        at = place_of(erasure) or partition(0)
        for name, state in copies.items():
            await self._pipe.send("HSETNX", at.traces(erasure, "copies"), name, state)

    async def copies(self, erasure: str) -> AsyncIterator[tuple[str, bytes]]:
        """The copies at providers, each once or more."""
        at, cursor = place_of(erasure) or partition(0), b"0"
        while True:
            cursor, page = await self._pipe.send("HSCAN", at.traces(erasure, "copies"), cursor, "COUNT", _PAGE)
            for name, state in page.items():
                yield name.decode(), state
            if int(cursor) == 0:
                return

    async def redact(self, address_key: str) -> int:
        """Of what is known of an address that nobody has any more, keep the withdrawals in force; how many."""
        place = keys.address_facts(address_key)
        fields: dict[bytes, bytes] = await self._pipe.send("HGETALL", place)
        said = {field: _ENTRY.decode(blob) for field, blob in fields.items() if field.startswith(b"c:")}
        kept = in_force(list(said.values()))
        bare = {field: _bare(entry) for field, entry in said.items() if entry in kept}
        if bare:
            pairs = [part for field, entry in bare.items() for part in (field, msgspec.msgpack.encode(entry))]
            await self._pipe.send("HSET", place, *pairs)
        gone = [field for field in fields if field not in bare]
        if gone:
            await self._pipe.send("HDEL", place, *gone)
        return len(bare)

    async def bindings(self, address_keys: Collection[str]) -> dict[str, list[ConsentEntry]]:
        """What goes on binding addresses, without words, by their keys."""
        found: dict[str, list[ConsentEntry]] = {}
        for key in address_keys:
            fields: dict[bytes, bytes] = await self._pipe.send("HGETALL", keys.address_facts(key))
            said = [_ENTRY.decode(blob) for field, blob in fields.items() if field.startswith(b"c:")]
            if kept := [_bare(entry) for entry in in_force(said)]:
                found[key] = kept
        return found

    async def _run(self, name: str, names: Sequence[str], args: Sequence[Any], *, durable: bool = False) -> str:
        size = sum(len(a) for a in args if isinstance(a, bytes)) + 300
        answer = await self._pipe.send(
            "EVALSHA", self._shas[name], len(names), *names, *args, size=size, durable=durable
        )
        return answer[0].decode()


def hashed(pepper: bytes, customer: str) -> str:
    """The keyed hash of a customer's id (HMAC-SHA256, 128 bits in hex)."""
    return hmac.digest(pepper, f"erased customer {customer}".encode(errors="surrogatepass"), hashlib.sha256).hex()[:32]


def place_of(erasure: str) -> Partition | None:
    """The partition of an erasure; None when it can't be the id of one."""
    match = _ID.fullmatch(erasure)
    number = int(match["place"], 16) if match is not None else keys.PARTITIONS
    return partition(number) if number < keys.PARTITIONS else None


def _bare(entry: ConsentEntry) -> ConsentEntry:
    """A withdrawal without words."""
    return ConsentEntry(
        channel=entry.channel,
        category=entry.category,
        state=entry.state,
        way=entry.way,
        wording=ERASED,
        at=entry.at,
        address=entry.address,
    )
