"""Every Redis key, in one place.

All keys of one customer share a hash tag, so one script can touch them together and a cluster can move them together.
Parts of keys that callers choose enter as digests, addresses as keyed hashes made elsewhere.
"""

from __future__ import annotations

import functools
import hashlib
import zlib
from typing import Final

from gateway.store.slots import tags

PARTITIONS: Final = 16
"""How many partitions a new installation gets; recorded at the first start and never changed after."""

THINGS: Final = frozenset(
    (
        "broadcast",
        "job",
        "outage",
        "survey",
        "response",
        "case",
        "rule",
        "run",
        "event",
        "journal",
        "group",
        "told",
        "visit",
        "invitation",
    )
)
"""The kinds of records that services keep (`store.things`)."""
BELL: Final = "gw:bell"
META: Final = "{meta}:installation"
API_KEYS: Final = "{meta}:keys"
CHANNELS: Final = "{meta}:channels"
TEMPLATES: Final = "{meta}:templates"
WORKERS: Final = "{meta}:workers"
THROTTLED: Final = "{meta}:throttled"
KEEPER: Final = "{meta}:keeper"
ERASURES: Final = "{meta}:erasures"
HALTED: Final = "{meta}:halted"


def partition_of(customer: str, partitions: int = PARTITIONS) -> int:
    """The partition everything of this customer lives in."""
    return zlib.crc32(customer.encode()) % partitions


def digest(text: str) -> str:
    """A caller-chosen text as a key part: 16 bytes of BLAKE2, in hex."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Partition:
    """The keys of one partition."""

    def __init__(self, number: int, partitions: int = PARTITIONS) -> None:
        self.number = number
        self.tag = tags(partitions)[number]
        self.prefix = f"{{{self.tag}}}:"
        self.events = f"{self.prefix}events"
        self.customers = f"{self.prefix}idx:customers"
        self.morgue = f"{self.prefix}line:morgue"
        self.proof = f"{self.prefix}proof"
        self.rosters = f"{self.prefix}rosters"

    def member(self, member: str) -> str:
        """The key of an agenda member such as "m:<id>" or "i:<id>"."""
        return self.prefix + member

    def message(self, message: str) -> str:
        """A message's record (hash)."""
        return f"{self.prefix}m:{message}"

    def body(self, message: str) -> str:
        """A message's content (string)."""
        return f"{self.prefix}b:{message}"

    def agenda(self, lane: str) -> str:
        """When each live thing must next be looked at (zset)."""
        return f"{self.prefix}agenda:{lane}"

    def line(self, channel: str, lane: str) -> str:
        """Who may go out on a channel, by time of acceptance (zset)."""
        return f"{self.prefix}line:{channel}:{lane}"

    def customer(self, customer: str) -> str:
        """A customer's record (hash)."""
        return f"{self.prefix}c:{digest(customer)}"

    def ledger(self, customer: str) -> str:
        """A customer's consent ledger (stream)."""
        return f"{self.prefix}ledger:{digest(customer)}"

    def timeline(self, customer: str) -> str:
        """What happened with a customer (stream)."""
        return f"{self.prefix}timeline:{digest(customer)}"

    def noted(self, customer: str, once: str) -> str:
        """That a line of a customer's timeline has been written (string)."""
        return f"{self.prefix}noted:{digest(customer + chr(0) + once)}"

    def cap(self, mode: str, customer: str, category: str) -> str:
        """Messages that count against a frequency cap (zset by time)."""
        return f"{self.prefix}cap:{mode}:{digest(customer)}:{category}"

    def uses(self, scope: str, customer: str) -> str:
        """Texts and calls to a customer that count against a limit (zset by time)."""
        return f"{self.prefix}uses:{scope}:{digest(customer)}"

    def thread(self, mode: str, customer: str, thread: str) -> str:
        """Live messages of a thread, by order (zset)."""
        return f"{self.prefix}thread:{mode}:{digest(customer + chr(0) + thread)}"

    def awaiting(self, mode: str, customer: str) -> str:
        """Messages of a customer with an open prompt, by time (zset)."""
        return f"{self.prefix}awaiting:{mode}:{digest(customer)}"

    def inbound_from(self, mode: str, address_key: str) -> str:
        """Inbound items from an address that belong to nobody yet, by time (zset, equal scores)."""
        return f"{self.prefix}inbound:{mode}:from:{address_key}"

    def inbound(self, mode: str, *, unlinked: bool) -> str:
        """Inbound items by time (zset, equal scores); `unlinked`: those that belong to nobody yet."""
        return f"{self.prefix}inbound:{mode}" + (":unlinked" if unlinked else "")

    def linked(self, customer: str) -> str:
        """Addresses that were linked to a customer without being theirs (set of keyed hashes)."""
        return f"{self.prefix}linked:{digest(customer)}"

    def seen(self, inbound: str) -> str:
        """That an inbound item has been noted (string)."""
        return f"{self.prefix}seen:{digest(inbound)}"

    def index(self, mode: str, name: str, value: str = "") -> str:
        """An index of message ids, in order of time (zset, equal scores)."""
        return f"{self.prefix}idx:{mode}:{name}" + (f":{digest(value)}" if value else "")

    def standing(self, mode: str, broadcast: str, name: str) -> str:
        """Messages of a broadcast that stand so (zset, equal scores)."""
        return f"{self.prefix}stand:{mode}:{name}:{digest(broadcast)}"

    def by_channel(self, mode: str, broadcast: str) -> str:
        """How many messages of a broadcast count for what on which channel (hash)."""
        return f"{self.prefix}bychannel:{mode}:{digest(broadcast)}"

    def people(self, mode: str, name: str, thread: str) -> str:
        """Of a thread's broadcasts: the people who were "told", and who have "acknowledged", by any of them (hash)."""
        return f"{self.prefix}people:{mode}:{name}:{digest(thread)}"

    def listed(self, mode: str, name: str, value: str = "") -> str:
        """A list of things of services, by time (zset, equal scores)."""
        return f"{self.prefix}list:{mode}:{name}" + (f":{digest(value)}" if value else "")

    def mine(self, customer: str) -> str:
        """Things that speak of a customer, wherever they are (set)."""
        return f"{self.prefix}mine:{digest(customer)}"

    def roster(self, name: str) -> str:
        """The people of this partition on a list that somebody has drawn up (zset, equal scores)."""
        return f"{self.prefix}roster:{name}"

    def tally(self, mode: str, name: str, value: str) -> str:
        """Counts that a service keeps of its things (hash)."""
        return f"{self.prefix}tally:{mode}:{name}:{digest(value)}"

    def invited(self, mode: str, survey: str) -> str:
        """Who was asked to a survey, by keyed hash, and in which invitation last (hash)."""
        return f"{self.prefix}invited:{mode}:{digest(survey)}"

    def asked(self, customer: str) -> str:
        """Requests whose kept answers speak of a customer (set, 24 h)."""
        return f"{self.prefix}asked:{digest(customer)}"

    def erased(self, token: str) -> str:
        """Where the erasure of a customer is found, by a keyed hash of their id (string)."""
        return f"{self.prefix}erased:{token}"

    def traces(self, erasure: str, kind: str) -> str:
        """What an erasure has still to go through."""
        return f"{self.prefix}traces:{erasure}:{kind}"

    def health(self, name: str) -> str:
        """Addresses that are "suspect" or "suppressed", by since when; "due": by when to look at them again (zsets)."""
        return f"{self.prefix}idx:health:{name}"

    def count(self, mode: str, now: int) -> str:
        """Counters of one minute (hash)."""
        return f"{self.prefix}count:{mode}:{now // 60000}"


@functools.cache
def partition(number: int) -> Partition:
    """The keys of partition `number`."""
    return Partition(number)


def line_name(mode: str, channel: str) -> str:
    """The name of a channel's line: test messages wait apart, because their carriers are look-alikes."""
    return f"{channel}@test" if mode == "test" else channel


def of_customer(customer: str) -> Partition:
    """The keys of the partition a customer lives in."""
    return partition(partition_of(customer))


def idempotency(mode: str, key: str) -> str:
    """What was made for an Idempotency-Key (hash, 24 h)."""
    return f"{{i:{digest(mode + key)}}}"


def address_owners(address_key: str) -> str:
    """Customers that may own an address: hints (zset, scores are tokens)."""
    return f"{{a:{address_key}}}:owners"


def address_facts(address_key: str) -> str:
    """What is known of an address whoever owns it: withdrawals and health (hash)."""
    return f"{{a:{address_key}}}:facts"


def address_link(address_key: str) -> str:
    """The customer whose texts come from this address, though it isn't stored as theirs (string)."""
    return f"{{a:{address_key}}}:linked"


def address_told(address_key: str, what: str) -> str:
    """What made us answer an address in that way lately (string, minutes)."""
    return f"{{a:{address_key}}}:told:{digest(what)}"


def address_last_told(address_key: str) -> str:
    """The key of the answer that an address was given last (string, minutes)."""
    return f"{{a:{address_key}}}:told-last"


def address_uses(scope: str, address_key: str) -> str:
    """Texts and calls to an address that count against a limit (zset by time)."""
    return f"{{a:{address_key}}}:uses:{scope}"


def uses(scope: str, of: str) -> str:
    """Texts and calls to a country, or to numbers that begin alike, that count against a limit (zset by time)."""
    return f"{{uses:{scope}:{of}}}"


def invitation(token: str) -> str:
    """Whom a code stands for that is to be scanned, and who has scanned it (string, minutes)."""
    return f"{{l:{digest(token)}}}"


def provider_id(channel: str, number: str) -> str:
    """Where a provider's id meets our attempt (string)."""
    return f"{{x:{digest(channel + chr(0) + number)}}}"


def early_news(channel: str, number: str) -> str:
    """News under a provider's id that nobody had told us yet (list)."""
    return f"{provider_id(channel, number)}:early"


def callback_mark(mode: str, channel: str, mark: str) -> str:
    """The body that came with a callback's nonce (string, as long as its signature holds)."""
    return f"{{n:{digest(chr(0).join((mode, channel, mark)))}}}"


def challenge(name: str) -> str:
    """A code that is out, to prove an address (hash, minutes)."""
    return f"{{v:{digest(name)}}}"


def rate(channel: str) -> str:
    """A channel's token bucket (hash)."""
    return f"{{rate:{channel}}}"


def pace(broadcast: str) -> str:
    """The token bucket of a broadcast that has a pace of its own (hash)."""
    return f"{{rate:broadcast:{broadcast}}}"


def calls(channel: str) -> str:
    """Running calls of a channel, and seats kept for some, by when they are over at the latest (zset)."""
    return f"{{rate:{channel}}}:calls"
