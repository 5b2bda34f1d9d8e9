"""What an operator writes back to a person: on the channel they used, to the address they wrote from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from gateway.customer import Address, Customer
from gateway.delivery.drafts import Origin
from gateway.delivery.inbox import IN_TIMELINE
from gateway.delivery.intake import Intake
from gateway.delivery.pacing import Switchboard
from gateway.delivery.request import NewMessage, Problem, Rejected
from gateway.delivery.thread import Post, Threads
from gateway.delivery.words import in_window
from gateway.message import Message, Mode, RouteStep
from gateway.store.clock import Clock
from gateway.store.customers import Customers

CATEGORY: Final = "reply"
LOOKED_AT: Final = 20
"""So many of the newest things they wrote say which channel was the last."""
LONGEST: Final = 4096
OF_THE_TEXT: Final = frozenset(("too_long", "no_voice", "no_template"))
"""Reasons against a channel that other words might not have."""
UNWRITTEN: Final = frozenset(("voice",))
"""Channels on which people don't write: who calls is not called back with a text unless the operator says so."""


class Replies:
    """Sends them. Raises StoreUnavailable."""

    def __init__(
        self,
        intake: Intake,
        customers: Customers,
        threads: Threads,
        boards: Mapping[Mode, Switchboard],
        known: Collection[str],
        clock: Clock,
    ) -> None:
        self._intake = intake
        self._customers = customers
        self._threads = threads
        self._boards = boards
        self._known = known
        self._clock = clock

    async def send(
        self, mode: Mode, customer: str, text: str, channel: str | None, by: str, origin: Origin
    ) -> tuple[Message, tuple[RouteStep, ...]]:
        """Accept a reply; `channel` None: where they wrote last. `by`: who writes, kept with the message.

        Raises KeyError for an unknown customer, NoRoom, and Rejected with the remedy where it can't be sent so: pointers name
        `/text` and `/channel`.
        """
        found = await self._customers.load(customer)
        if found is None:
            raise KeyError(customer)
        person = found[0]
        wrote = await self._threads.newest(person, mode, (IN_TIMELINE,), LOOKED_AT)
        chosen = channel or _last_written(person, wrote)
        faults = [*_unsayable(text), *self._closed(mode, person, chosen)]
        if faults or chosen is None:
            raise Rejected(faults)
        senders = (post.facts.get("from") for post in wrote if post.channel == chosen)
        only = next(
            (a for sender in senders for a in person.addresses if (a.channel, a.value) == (chosen, sender)), None
        )
        new = NewMessage(
            category=CATEGORY,
            customer=customer,
            content={"text": text},
            reach={"channels": (chosen,)},
            metadata={"by": by},
            only=() if only is None else (Address(only.channel, only.value, only.label),),
        )
        try:
            seen, _ = await self._intake.preview(mode, new)
            if seen.verdict.state == "suppressed":
                raise Rejected([_unsent(seen, person, chosen)])
            return await self._intake.accept(mode, new, origin)
        except Rejected as refused:
            if any(pointer == "/customer" for pointer, _ in refused.problems):
                raise KeyError(customer) from None
            raise Rejected([(_field(pointer), detail) for pointer, detail in refused.problems]) from None

    def _closed(self, mode: Mode, person: Customer, channel: str | None) -> Iterator[Problem]:
        """Why the person can't be written to there."""
        if channel is None:
            yield "/channel", f"They have not written to us yet: say which of {_has(person)} to use."
            return
        if channel not in self._known:
            yield "/channel", f"must be one of {', '.join(sorted(self._known))}."
            return
        post = self._boards[mode].posts.get(channel)
        if post is None:
            yield "/channel", f"There is no {channel} here: its settings are missing. Use another channel."
            return
        if all(address.channel != channel for address in person.addresses):
            detail = f"The customer has no address for {channel}: use one of {_has(person)}, or add the address first."
            yield "/channel", detail
            return
        window = post.channel.traits.window
        if not in_window(person, channel, window, self._clock.now()):
            hours = (window or 0) // 3600
            detail = f"{channel} takes free text only for {hours} hours after they wrote there: use another channel."
            yield "/channel", detail


def _unsayable(text: str) -> Iterator[Problem]:
    if not text.strip():
        yield "/text", "must have something in it that could be read."
    elif len(text) > LONGEST:
        yield "/text", f"must have {LONGEST} characters at most."


def _unsent(seen: Message, person: Customer, channel: str) -> Problem:
    """Why a reply would reach nobody, and what to do about it."""
    why = next((one.why for one in seen.skipped if one.channel == channel), None)
    others = _has(person, channel)
    if why is None:
        return "/channel", seen.verdict.text or "Nobody would get it."
    if why.code not in OF_THE_TEXT:
        return "/channel", f"{why.text} Use another channel{f': {others}' if others else ''}."
    return "/text", f"{why.text} Write it otherwise{f', or use {others}' if others else ''}."


def _field(pointer: str) -> str:
    """The field of the request that a field of the message was made from."""
    return {"content": "/text", "reach": "/channel"}.get(pointer.split("/")[1], pointer)


def _last_written(person: Customer, wrote: list[Post]) -> str | None:
    """The channel of the newest thing they wrote; of what is older than the thread, as the record has it."""
    posts = (post for post in wrote if post.facts.get("what", "text") == "text" and post.channel not in UNWRITTEN)
    newest = next(posts, None)
    if newest is not None:
        return newest.channel
    times = {channel: at for channel, at in person.wrote_at.items() if channel not in UNWRITTEN}
    return max(times, key=lambda channel: times[channel], default=None)


def _has(person: Customer, but: str = "") -> str:
    """The channels the person has, for a sentence; with `but`, the others, which may be none."""
    has = ", ".join(dict.fromkeys(address.channel for address in person.addresses if address.channel != but))
    return has if has or but else "their addresses (none yet)"
