"""What people take back, and give back, by what they write or press: the lines of the ledger, and where they bind.

STOP binds the address it came from, whoever owns it. What is closed on every channel binds each owner as a person, and
names the address it was said at, so that a START from there lifts it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from gateway.channels.base import Inbound
from gateway.customer import ConsentEntry, Customer
from gateway.numbers import is_phone_channel
from gateway.preferences.consent import ANY, LIFTED, closed_by, in_force, says
from gateway.store.clock import Clock
from gateway.store.customers import Customers

_WAYS: Final = {"text": "keyword", "opt_out": "keyword", "opt_in": "keyword", "key": "key_press"}


class Withdrawals:
    """Writes down opt-outs and what lifts them. Done again with the same item they change nothing."""

    def __init__(self, customers: Customers, clock: Clock) -> None:
        self._customers = customers
        self._clock = clock

    async def dated(self, inbound: Inbound, customer: str | None = None) -> Inbound:
        """The item, said no earlier than any grant that is on record by now: asked once, when it comes in.

        `customer`: whoever it was said by, who may not have the address.
        """
        key = self._customers.address_key(inbound.sender)
        bound = await self._customers.having(key)
        found = await self._customers.load(customer) if customer is not None else None
        held = [entry for owner in (*bound, *(found or ())[:1]) for entry in owner.consents]
        held += await self._customers.bound([inbound.sender])
        granted = [entry.at for entry in held if entry.state == "granted"]
        return msgspec.structs.replace(inbound, at=max(inbound.at or self._clock.now(), *granted, 0))

    async def close(self, inbound: Inbound, channel: str, category: str = ANY, customer: str | None = None) -> None:
        """Take back consent: for the address on its own channel (a telephone number: by text and by call), or on all ("*").

        Another channel isn't reached at this address, so it is closed for the `customer`, if we know who writes; and so is
        every channel, for one who writes from an address that isn't theirs on record.
        """
        entry = self.entry(inbound, channel, category, "withdrawn")
        bound = list[str]()
        if channel == ANY or self._reached_here(channel, inbound.channel):
            bound = await self._customers.withdraw(inbound.channel, inbound.sender, [entry])
        if customer is not None and entry.address is None and customer not in bound:
            await self._for_person(customer, entry)

    async def lift(self, inbound: Inbound, category: str | None = None, customer: str | None = None) -> bool:
        """Give back what the same address has closed, and nothing else; whether there was anything, now or the first time.

        `category` None: what was closed whatever a message is about; else what was closed of that category by name.
        `customer`: whoever writes, who may not have the address. Following again gives back what leaving has closed.
        """
        key = self._customers.address_key(inbound.sender)
        held = list(await self._customers.bound([inbound.sender]))
        closed, stopped = set(closed_by(held, key)), _stopped(held, key)
        owners = await self._customers.owners(inbound.sender)
        apart = [customer] if customer is not None and customer not in owners else []
        theirs = dict[str, set[tuple[str, str]]]()
        for owner in (*owners, *apart):
            found = await self._customers.load(owner)
            if found is not None:
                theirs[owner] = set(closed_by(found[0].consents, key))
                closed |= theirs[owner]
                stopped |= _stopped(found[0].consents, key)
                held += found[0].consents
        wanted = sorted(pair for pair in closed if pair[1] == (category or ANY))
        if inbound.kind == "follow":
            wanted = [pair for pair in wanted if pair not in stopped]
        here = [pair for pair in wanted if pair[0] == ANY or self._reached_here(pair[0], inbound.channel)]
        if here:
            entries = [self.entry(inbound, *pair, "granted") for pair in here]
            await self._customers.withdraw(inbound.channel, inbound.sender, entries)
        for owner, pairs in theirs.items():
            for pair in wanted:
                if pair in pairs and (owner in apart or pair not in here):
                    await self._for_person(owner, self.entry(inbound, *pair, "granted"))
        return bool(wanted) or any(one == self.entry(inbound, one.channel, one.category, "granted") for one in held)

    def entry(
        self, inbound: Inbound, channel: str, category: str, state: Literal["granted", "withdrawn"]
    ) -> ConsentEntry:
        """The line of the ledger that an item makes; the same whenever it is made."""
        key = self._customers.address_key(inbound.sender)
        bound = channel != ANY and self._reached_here(channel, inbound.channel)
        return ConsentEntry(
            channel=channel,
            category=category,
            state=state,
            way=("" if state == "withdrawn" else LIFTED) + f"{inbound.channel}_{_WAYS.get(inbound.kind, inbound.kind)}",
            wording=inbound.text or inbound.kind,
            at=inbound.at or self._clock.now(),
            address=key if bound else None,
            source=None if bound else key,
        )

    @staticmethod
    def _reached_here(channel: str, own: str) -> bool:
        """Whether a channel goes to the very address that somebody wrote from."""
        return channel == own or (is_phone_channel(channel) and is_phone_channel(own))

    async def _for_person(self, customer: str, entry: ConsentEntry) -> None:
        def told(known: Customer) -> tuple[Customer, list[ConsentEntry]] | None:
            return None if entry in known.consents else (known, [entry])

        try:
            await self._customers.change(customer, told)
        except KeyError:
            return  # erased meanwhile


def _stopped(held: Sequence[ConsentEntry], key: str) -> set[tuple[str, str]]:
    """What was closed at an address, and is still, by more than leaving: (channel, category) pairs."""
    said = [entry for entry in in_force(held) if says(entry) != "left"]
    return set(closed_by(said, key))
