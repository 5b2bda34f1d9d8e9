"""Short answers to what people write to steer us, sent by the channel and to the address they wrote from.

An answer is an ordinary message of category `reply`, so whatever keeps messages out keeps it out too. A machine that
answers each of our texts must not keep the two of us busy: the same answer goes to an address once in ten minutes, unless
another was given between, and a few a day are all it gets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import structlog

from gateway.customer import Address, Customer
from gateway.delivery.intake import Intake, NewMessage, NoRoom, Origin, Rejected
from gateway.message import Mode
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.customers import ONE_OFF, Customers
from gateway.store.scripts import Scripts

CATEGORY: Final = "reply"
WITHIN_S: Final = 3600
"""An answer that is later than that answers nothing."""
SAME_MS: Final = 600_000
DAY_MS: Final = 86_400_000
MOST_A_DAY: Final = 12

log = structlog.get_logger()


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote, and from where. `customer` None: nobody we know; `locale` is what such a stranger is answered in."""

    channel: str
    address: str
    customer: str | None = None
    locale: str | None = None


class AutoReplies:
    """Sends answers. All methods raise StoreUnavailable."""

    def __init__(self, intake: Intake, customers: Customers, scripts: Scripts, clock: Clock) -> None:
        self._intake = intake
        self._customers = customers
        self._scripts = scripts
        self._clock = clock

    async def send(
        self,
        mode: Mode,
        to: Sender,
        template: str,
        data: Mapping[str, Any],
        *,
        because: str,
        at: int,
        wrote_at: int | None = None,
        strangers: bool = True,
    ) -> str | None:
        """Answer once; the message's id, None when the address has been told the same or too much lately.

        `because` names what is answered, `at` (ms) is when it came: the same two make the same message, so a repeat sends
        nothing new. `wrote_at` opens a stranger's reply window on channels that have one. `strangers` False: nobody is
        answered who doesn't have the address as a customer.
        """
        if not await self.may_tell(to.address, f"{template}\0{to.locale or ''}\0{_essence(data)}", because):
            return None
        customer = await self._owner(to) or (await self._stranger(to, wrote_at) if strangers else None)
        if customer is None:
            return None
        new = NewMessage(
            category=CATEGORY,
            customer=customer.id,
            template=template,
            data=dict(data),
            reach={"channels": [to.channel], "within": WITHIN_S},
            only=(Address(to.channel, to.address),),
            metadata={"automatic": True},
        )
        seed = hashlib.blake2b(f"automatic\0{because}\0{template}".encode(), digest_size=16).digest()
        try:
            message, _ = await self._intake.accept(mode, new, Origin(seed, at))
        except (Rejected, NoRoom) as refused:
            # Settings may have taken the category or the template away; what was asked for is done all the same.
            log.warning("automatic_reply_refused", template=template, why=type(refused).__name__)
            return None
        return message.id

    async def may_tell(self, address: str, what: str, because: str) -> bool:
        """Count one answer to an address, once for whatever it answers; False when it has had the same or too many."""
        key = self._customers.address_key(address)
        marked = hashlib.blake2b(because.encode(), digest_size=16).digest()
        place = keys.address_told(key, what)
        last = await self._scripts.pipe.send("SET", keys.address_last_told(key), place, "GET", "PX", SAME_MS)
        if last is not None and last.decode() != place:
            # Something else was said since, so that one is news again.
            await self._scripts.pipe.send("DEL", last)
        before = await self._scripts.pipe.send("SET", place, marked, "NX", "GET", "PX", SAME_MS)
        if before is not None:
            return before == marked
        return await self._scripts.use(keys.address_uses("told", key), MOST_A_DAY, DAY_MS, marked.hex()) is None

    async def may_tell_again(self, address: str, what: str) -> None:
        """Things have changed since: the same answer is news again."""
        key = self._customers.address_key(address)
        await self._scripts.pipe.send("DEL", keys.address_told(key, what))

    async def _owner(self, to: Sender) -> Customer | None:
        """The customer who wrote, if the address is theirs."""
        found = await self._customers.load(to.customer) if to.customer is not None else None
        own = [] if found is None else [(one.channel, one.value) for one in found[0].addresses]
        return found[0] if found is not None and (to.channel, to.address) in own else None

    async def _stranger(self, to: Sender, wrote_at: int | None) -> Customer:
        """Whoever a message to that address alone is for."""
        made, _ = await self._customers.resolve((Address(to.channel, to.address),), to.locale, None, None)
        if wrote_at is None or not made.id.startswith(ONE_OFF) or made.wrote_at.get(to.channel, 0) >= wrote_at:
            return made

        def wrote(known: Customer) -> tuple[Customer, tuple[()]]:
            return msgspec.structs.replace(known, wrote_at={**known.wrote_at, to.channel: wrote_at}), ()

        return (await self._customers.change(made.id, wrote))[0]


def _essence(data: Mapping[str, Any]) -> str:
    """What makes one answer differ from another: a link is another one each time and says the same."""
    return repr(sorted((name, value) for name, value in data.items() if name != "link"))
