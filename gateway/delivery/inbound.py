"""What people send us: noted at once, worked off by the worker.

Opt-out words always win. Else the words steer us (help, a language, an order of channels), or are an answer if they fit
the newest open question of the person who was last written to at that address; else they stay with the person for
somebody to read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import structlog

from gateway.channels.base import Inbound
from gateway.customer import ConsentEntry, Customer
from gateway.delivery.answers import Answers
from gateway.delivery.desk import Desk
from gateway.delivery.inbox import InboundItems, Item, Listed
from gateway.delivery.withdrawals import Withdrawals
from gateway.message import Mode
from gateway.numbers import country_of
from gateway.preferences.consent import ANY
from gateway.preferences.keywords import Keyword, understand
from gateway.prompts import Prompt, opt_out_key
from gateway.store.changes import Outcome, Taken
from gateway.store.clock import Clock
from gateway.store.customers import ONE_OFF, Customers
from gateway.store.keys import Partition, digest, of_customer
from gateway.store.scripts import Scripts

__all__ = ["Farewell", "Inbox", "Item", "Steering"]

DAY_MS: Final = 86_400_000
REPEATS_KNOWN_MS: Final = 3 * DAY_MS
CONSENT: Final = frozenset(("stop", "stop_all", "start"))
OPTED_OUT: Final = frozenset(("opt_out", "unfollow"))

Steering = Callable[[Item, Keyword], Awaitable[str | None]]
"""Does what a keyword asks for and says so to the person: the outcome, or None when it asks for nothing of us. Withdrawals
have been written before it is called. May be called again with the same item."""
Linking = Callable[[Inbound], Awaitable[str | None]]
"""Joins whoever scanned a code with the person it stands for: their id, or None for a code that joins nobody. May be
called again with the same item."""
Farewell = Callable[[Inbound, Keyword], Awaitable[str | None]]
"""The words for a person whose withdrawal has just been written, to go back with the answer to their own message."""

Heard = Callable[[str, Listed], Awaitable[None]]
"""Told of words of a customer that are neither an answer nor a keyword, with the item as it is listed. May be called again
with the same item; an exception has it worked off again."""
Thanking = Callable[[str, Listed, Prompt | None], Awaitable[None]]
"""Says to that customer that their words were heard; the prompt is what waits for an answer of theirs, if anything does."""

log = structlog.get_logger()


class Inbox:
    """Notes inbound items and works them off.

    `steering`, `farewell` and `linking` are what customers can do for themselves; without them only consent and answers
    are read. `heard`: who reads what else people write, asked for at each item; `thanking`: who says so to them.
    """

    def __init__(
        self,
        scripts: Scripts,
        desk: Desk,
        customers: Customers,
        clock: Clock,
        items: InboundItems,
        steering: Steering | None = None,
        farewell: Farewell | None = None,
        linking: Linking | None = None,
        heard: Sequence[Heard] = (),
        thanking: Thanking | None = None,
    ) -> None:
        self._scripts = scripts
        self._desk = desk
        self._customers = customers
        self._clock = clock
        self._items = items
        self._steering = steering
        self._farewell = farewell
        self._linking = linking
        self._heard = heard
        self._thanking = thanking
        self._withdrawals = Withdrawals(customers, clock)
        self.answers = Answers(desk, clock)

    async def note(self, mode: Mode, inbound: Inbound) -> Outcome:
        """Keep an item, once however often it is delivered; "seen" when it was here before."""
        at, number = self._place(mode, inbound)
        item = Item(mode=mode, inbound=await self._dated(mode, inbound))
        return await self._scripts.note(at, number, msgspec.msgpack.encode(item), REPEATS_KNOWN_MS)

    def _place(self, mode: Mode, inbound: Inbound) -> tuple[Partition, str]:
        """The partition of an item, and the digest that tells its repeats."""
        number = digest(f"{mode}\0{inbound.channel}\0{inbound.id}")
        return of_customer(self._customers.address_key(inbound.sender)), number

    async def _dated(self, mode: Mode, inbound: Inbound) -> Inbound:
        """Who takes consent back does so now, even if a clock says that a grant on record was later."""
        closes = inbound.kind in (*OPTED_OUT, "key") or self._stop(inbound) is not None
        if mode != "live" or not closes:
            return inbound
        return await self._withdrawals.dated(inbound, await self._whose(inbound))

    async def at_once(self, mode: Mode, inbound: Inbound) -> str | None:
        """Obey a withdrawal that has been noted, before its sender is answered; what to tell them with that answer.

        The worker obeys it again, to no effect. Nothing is said where messages of that channel may still come, or where
        the channel itself has said it.
        """
        word = self._stop(inbound)
        if mode != "live" or not (word is not None or await self._closes(inbound)):
            return None
        # As it was noted first: a repeat of it may come after a START, and undoes none.
        noted = await self._items.noted(*self._place(mode, inbound))
        if noted is not None and noted.outcome == "new":
            await self._withdraw(noted.inbound, word, await self._whose(noted.inbound))
        if self._farewell is None or word is None or word.category is not None or word.channels:
            return None
        return await self._farewell(inbound, word)

    async def work(self, at: Partition, taken: Taken) -> None:
        """Work off a noted item. Raises msgspec.DecodeError when it can't be read."""
        item = msgspec.msgpack.decode(taken.state, type=Item)
        item.outcome = await self._understand(item)
        log.info("inbound", item=taken.member, channel=item.inbound.channel, outcome=item.outcome)
        listed = Listed(await self._items.file(at, taken.member, item), item)
        if item.mode == "live" and item.inbound.kind == "text" and item.customer is not None:
            await self._pass_on(item.customer, listed)
        await self._scripts.settle(at, taken.member, msgspec.msgpack.encode(item), self._items.keep_ms)

    async def _pass_on(self, customer: str, listed: Listed) -> None:
        """Words for somebody to read: to whoever has to do with them, and thanks to the person."""
        outcome = listed.item.outcome
        if outcome not in ("linked", "doubtful") or customer.startswith(ONE_OFF):
            return
        for heard in self._heard:
            await heard(customer, listed)
        if self._thanking is not None and outcome == "linked":
            asked = await self.answers.asked(listed.item.mode, listed.item.inbound, customer)
            await self._thanking(customer, listed, await self.answers.open(asked))

    async def _understand(self, item: Item) -> str:
        inbound = item.inbound
        item.customer = await self._whose(inbound)
        live = item.mode == "live"
        if live and inbound.kind == "scan" and self._linking is not None:
            item.customer = await self._linking(inbound) or item.customer
        if live:
            await self.opened_window(inbound, item.customer)
            if inbound.kind != "unfollow":
                await self._customers.proved(inbound.channel, inbound.sender, inbound.at or self._clock.now())
            if await self._consent(inbound, item.customer):
                return "answer" if await self._answers_too(item) else "consent"
        if inbound.kind not in ("text", "key"):
            return inbound.kind
        asked = await self.answers.asked(item.mode, inbound, item.customer)
        steers = live and inbound.kind == "text"
        word = self._word(inbound, open_prompt=await self.answers.open(asked) is not None) if steers else None
        return await self._steered(item, word, asked) if word is not None else await self._else(item, asked)

    async def _answers_too(self, item: Item) -> bool:
        """Whether what a provider takes for its own START is the answer to an open question: "yes" is among its words."""
        if item.inbound.kind != "opt_in":
            return False
        asked = await self.answers.asked(item.mode, item.inbound, item.customer)
        return await self.answers.open(asked) is not None and await self.answers.gave(
            item.inbound, asked, late=False, texts=False
        )

    async def _steered(self, item: Item, word: Keyword, asked: list[str]) -> str:
        """A keyword: consent always, a command unless it is one of the answers to choose from."""
        inbound = item.inbound
        if word.kind == "start" and not await self._withdrawals.lift(inbound, word.category, item.customer):
            sure = self._word(inbound, open_prompt=True)
            if sure != word:
                return await self._else(item, asked)  # "yes", and there was nothing to undo
        if word.kind in ("stop", "stop_all"):
            await self._withdraw(inbound, word, item.customer)
        elif word.kind != "start" and await self.answers.gave(
            inbound, asked, late=False, texts=word.kind == "doubtful"
        ):
            return "answer"
        if word.kind == "doubtful":
            return "doubtful"
        done = await self._steering(item, word) if self._steering is not None else None
        if word.kind in CONSENT:
            return "consent"
        return done or await self._else(item, asked)

    async def _else(self, item: Item, asked: list[str]) -> str:
        """An answer, or words for somebody to read."""
        if await self.answers.gave(item.inbound, asked, late=False) or await self.answers.gave(
            item.inbound, asked, late=True
        ):
            return "answer"
        return "unlinked" if item.customer is None or item.customer.startswith(ONE_OFF) else "linked"

    async def _whose(self, inbound: Inbound) -> str | None:
        """The only customer who has the address, else who was last written to there, else who it was linked to."""
        if inbound.message is not None:
            loaded = await self._desk.messages.load(inbound.message)
            if loaded is not None and not loaded.message.erased:
                return loaded.message.customer
        owners = await self._customers.owners(inbound.sender)
        people = [name for name in owners if not name.startswith(ONE_OFF)]
        if not people and (linked := await self._items.linked_to(inbound.sender)) is not None:
            return linked
        if len(owners) > 1:
            last = await self._customers.last_written(inbound.sender, inbound.channel)
            return last or (people[0] if len(people) == 1 else None)
        return owners[0] if owners else None

    async def opened_window(self, inbound: Inbound, customer: str | None) -> None:
        """Remember when the person last wrote on a channel: free text may be sent there for a while."""
        if customer is None or inbound.kind == "unfollow":
            return
        post = self._desk.boards["live"].posts.get(inbound.channel)
        window = post.channel.traits.window if post is not None else None
        at = opened_at(inbound, window)

        def wrote(known: Customer) -> tuple[Customer, tuple[ConsentEntry, ...]] | None:
            if known.wrote_at.get(inbound.channel, 0) >= at:
                return None
            return msgspec.structs.replace(known, wrote_at={**known.wrote_at, inbound.channel: at}), ()

        try:
            await self._customers.change(customer, wrote)
        except KeyError:
            log.info("inbound_customer_gone", channel=inbound.channel)

    async def _consent(self, inbound: Inbound, customer: str | None) -> bool:
        """What the channel itself says of consent, and the key that ends calls; True if it was one."""
        if inbound.kind in ("opt_in", "follow"):
            await self._withdrawals.lift(inbound, None, customer)
            return True
        if await self._closes(inbound):
            await self._withdraw(inbound, None, customer)
            return True
        return False

    async def _closes(self, inbound: Inbound) -> bool:
        """Whether it is a withdrawal without words that we have to understand."""
        if inbound.kind != "key" or inbound.message is None:
            return inbound.kind in OPTED_OUT
        loaded = await self._desk.messages.load(inbound.message)
        return loaded is not None and inbound.text == opt_out_key(loaded.message.prompt)

    async def _withdraw(self, inbound: Inbound, word: Keyword | None, customer: str | None) -> None:
        """Write what a STOP takes back: here, everywhere, on channels that it names, or one kind of message.

        `word` None: the channel says that it was one, and of its words only "all" counts.
        """
        said = word or understand(inbound.text if inbound.kind == "opt_out" else "")
        if said is not None and said.kind == "stop_all":
            channels = (ANY,)
        elif word is None:
            channels = (inbound.channel,)
        else:
            channels = word.channels or ((ANY,) if word.category is not None else (inbound.channel,))
        for channel in channels:
            category = word.category if word is not None else None
            await self._withdrawals.close(inbound, channel, category or ANY, customer)

    def _stop(self, inbound: Inbound) -> Keyword | None:
        """The STOP in a text, whatever question is open: it always wins."""
        word = self._word(inbound, open_prompt=True) if inbound.kind == "text" else None
        return word if word is not None and word.kind in ("stop", "stop_all") else None

    @staticmethod
    def _word(inbound: Inbound, *, open_prompt: bool) -> Keyword | None:
        """The keyword in a text. What it names counts only where it differs from the channel it was said on."""
        word = understand(inbound.text, country=country_of(inbound.channel, inbound.sender), open_prompt=open_prompt)
        if word is not None and word.kind == "stop" and word.category is None and word.channels == (inbound.channel,):
            return msgspec.structs.replace(word, channels=())
        return word


def opened_at(inbound: Inbound, window: int | None) -> int:
    """When a person's last message was, for what it opens (ms): what opens a shorter time counts as if it lay back."""
    if inbound.opens is None or window is None:
        return inbound.at
    return inbound.at - max(0, window - inbound.opens) * 1000
