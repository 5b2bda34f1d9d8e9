"""What people send us: noted at once, worked off by the worker.

Opt-out words always win. Else the words are an answer if they fit the newest open question of the person who was last
written to at that address; else they stay with the person for somebody to read.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import structlog

from gateway.channels.base import Inbound
from gateway.customer import ConsentEntry, Customer
from gateway.delivery.desk import Desk
from gateway.message import Message, Mode, Receipt
from gateway.news import absorb, final_verdict
from gateway.numbers import country_of
from gateway.preferences.consent import ANY, LIFTED, closed_by, said_at
from gateway.preferences.keywords import understand
from gateway.prompts import Answer, Prompt, opt_out_key, read_answer, read_key
from gateway.store.changes import Outcome, Taken
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.keys import Partition, digest, of_customer
from gateway.store.scripts import Scripts

DAY_MS: Final = 86_400_000
REPEATS_KNOWN_MS: Final = 3 * DAY_MS

log = structlog.get_logger()


class Item(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An inbound item as stored. `outcome`: what became of it; `customer` None: unlinked."""

    mode: Mode
    inbound: Inbound
    outcome: str = "new"
    customer: str | None = None


class Inbox:
    """Notes inbound items and works them off. `keep_content`: how long people's words are kept, days."""

    def __init__(self, scripts: Scripts, desk: Desk, customers: Customers, clock: Clock, *, keep_content: int) -> None:
        self._scripts = scripts
        self._desk = desk
        self._customers = customers
        self._clock = clock
        self._keep = keep_content * DAY_MS

    async def note(self, mode: Mode, inbound: Inbound) -> Outcome:
        """Keep an item, once however often it is delivered; "seen" when it was here before."""
        number = digest(f"{mode}\0{inbound.channel}\0{inbound.id}")
        item = Item(mode=mode, inbound=inbound)
        at = of_customer(self._customers.address_key(inbound.sender))
        return await self._scripts.note(at, number, msgspec.msgpack.encode(item), REPEATS_KNOWN_MS)

    async def work(self, at: Partition, taken: Taken) -> None:
        """Work off a noted item. Raises msgspec.DecodeError when it can't be read."""
        item = msgspec.msgpack.decode(taken.state, type=Item)
        item.outcome = await self._understand(item)
        log.info("inbound", item=taken.member, channel=item.inbound.channel, outcome=item.outcome)
        await self._scripts.settle(at, taken.member, msgspec.msgpack.encode(item), self._keep)

    async def _understand(self, item: Item) -> str:
        inbound = item.inbound
        item.customer = await self._whose(inbound)
        if item.mode == "live":
            await self._opened_window(inbound, item.customer)
            if await self._consent(inbound):
                return "consent"
        if inbound.kind not in ("text", "key"):
            return inbound.kind
        return "answer" if await self._answers(item) else ("linked" if item.customer else "unlinked")

    async def _whose(self, inbound: Inbound) -> str | None:
        if inbound.message is not None:
            loaded = await self._desk.messages.load(inbound.message)
            if loaded is not None:
                return loaded.message.customer
        owners = await self._customers.owners(inbound.sender)
        if len(owners) > 1:
            return await self._customers.last_written(inbound.sender, inbound.channel)
        return owners[0] if owners else None

    async def _opened_window(self, inbound: Inbound, customer: str | None) -> None:
        """Remember when the person last wrote on a channel: free text may be sent there for a while."""
        if customer is None or inbound.kind == "unfollow":
            return

        def wrote(known: Customer) -> tuple[Customer, tuple[ConsentEntry, ...]]:
            return msgspec.structs.replace(known, wrote_at={**known.wrote_at, inbound.channel: inbound.at}), ()

        try:
            await self._customers.change(customer, wrote)
        except KeyError:
            log.info("inbound_customer_gone", channel=inbound.channel)

    async def _consent(self, inbound: Inbound) -> bool:
        """Opt-outs and opt-ins; True if it was one."""
        kind, channel = await self._meant(inbound)
        if kind in ("opt_out", "unfollow"):
            entry = self._entry(inbound, channel, "*", "withdrawn")
            await self._customers.withdraw(inbound.channel, inbound.sender, [entry])
            return True
        if kind in ("opt_in", "follow"):
            await self._lift(inbound)
            return True
        return False

    async def _meant(self, inbound: Inbound) -> tuple[str, str]:
        """What an item asks for, and on which channel ("*": all)."""
        if inbound.kind == "key" and inbound.message is not None:
            loaded = await self._desk.messages.load(inbound.message)
            ends = loaded is not None and inbound.text == opt_out_key(loaded.message.prompt)
            return ("opt_out" if ends else "key"), inbound.channel
        if inbound.kind != "text":
            return inbound.kind, inbound.channel
        word = understand(inbound.text, country=country_of(inbound.channel, inbound.sender), open_prompt=True)
        meant = {"stop": "opt_out", "stop_all": "opt_out", "start": "opt_in"}.get(word.kind if word else "", "text")
        return meant, ANY if word is not None and word.kind == "stop_all" else inbound.channel

    def _entry(
        self, inbound: Inbound, channel: str, category: str, state: Literal["granted", "withdrawn"]
    ) -> ConsentEntry:
        way = {"text": "keyword", "key": "key_press"}.get(inbound.kind, inbound.kind)
        key = self._customers.address_key(inbound.sender)
        return ConsentEntry(
            channel=channel,
            category=category,
            state=state,
            way=("" if state == "withdrawn" else LIFTED) + f"{inbound.channel}_{way}",
            wording=inbound.text or inbound.kind,
            at=inbound.at or self._clock.now(),
            address=None if channel == ANY else key,
            proof=said_at(key) if channel == ANY else None,
        )

    async def _lift(self, inbound: Inbound) -> None:
        """Give back what a withdrawal from the same address has closed, and nothing else."""
        key = self._customers.address_key(inbound.sender)
        closed = set(closed_by(await self._customers.bound([inbound.sender]), key))
        for owner in await self._customers.owners(inbound.sender):
            found = await self._customers.load(owner)
            if found is not None:
                closed.update(closed_by(found[0].consents, key))
        entries = [self._entry(inbound, channel, category, "granted") for channel, category in sorted(closed)]
        if entries:
            await self._customers.withdraw(inbound.channel, inbound.sender, entries)

    async def _answers(self, item: Item) -> bool:
        """Whether the words answer an open question; the newest one they fit gets them."""
        inbound = item.inbound
        if inbound.message is not None:
            ids = await self._newest_of_thread(inbound.message)
        elif item.customer is not None:
            asked = await self._desk.messages.awaiting(item.mode, item.customer)
            chains = [await self._newest_of_thread(message_id) for message_id in asked]
            ids = list(dict.fromkeys(message_id for chain in chains for message_id in chain))
        else:
            return False
        return await self._gave(inbound, ids, late=False) or await self._gave(inbound, ids, late=True)

    async def _gave(self, inbound: Inbound, ids: list[str], *, late: bool) -> bool:
        """Give the words to the first question they fit: of those still open, or of those that have closed."""
        at = inbound.at or self._clock.now()
        for message_id in ids:
            loaded = await self._desk.messages.load(message_id)
            prompt = loaded.message.prompt if loaded is not None else None
            if loaded is None or prompt is None or closed(loaded.message, prompt, at) is not late:
                continue
            if late and prompt.kind == "text":
                continue  # any words fit it: those of a new conversation too
            value = read_key(prompt, inbound.text) if inbound.kind == "key" else read_answer(prompt, inbound.text)
            if value is not None:
                answer = Answer(value=value, text=inbound.text, channel=inbound.channel, at=at)
                # An attempt's id means something within its own message alone.
                await self.answer(message_id, answer, inbound.attempt if message_id == inbound.message else None)
                return True
        return False

    async def _newest_of_thread(self, message_id: str) -> list[str]:
        """A message and those that took its place since, the newest first."""
        chain = [message_id]
        while len(chain) < 50:
            loaded = await self._desk.messages.load(chain[0])
            if loaded is None or loaded.message.superseded_by is None:
                break
            chain.insert(0, loaded.message.superseded_by)
        return chain

    async def answer(self, message_id: str, answer: Answer, attempt_id: str | None) -> Message | None:
        """Record an answer: the first counts, later ones are kept beside it. None when the message is gone."""

        def told(message: Message, _now: int) -> None:
            if message.prompt is not None:
                _record(message, message.prompt, answer, attempt_id)

        case = await self._desk.update(message_id, told)
        return case.message if case is not None else None


def closed(message: Message, prompt: Prompt, at: int) -> bool:
    """Whether a question had closed at that time (ms)."""
    return at > message.due_at + prompt.closes_in * 1000


def _record(message: Message, prompt: Prompt, given: Answer, attempt_id: str | None) -> None:
    answer = msgspec.structs.replace(given, late=closed(message, prompt, given.at))
    known = [message.answer, *message.later_answers]
    if answer not in known:
        if message.answer is None:
            message.answer = answer
        else:
            message.later_answers.append(answer)
    attempts = [
        a for a in message.attempts if a.id == attempt_id or (attempt_id is None and a.channel == answer.channel)
    ]
    if attempts:
        engagement = "acknowledged" if prompt.kind == "acknowledge" else "answered"
        absorb(message, Receipt(attempt=attempts[-1].id, at=answer.at, engagement=engagement))
    elif message.acknowledged_at is None:
        message.acknowledged_at = answer.at
        if message.closing is not None:
            message.verdict = final_verdict(message)
