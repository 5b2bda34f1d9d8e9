"""One thread per person: what was sent, what came of it, what they wrote, agreed to and changed, over all channels.

The order and the facts come from the timeline; the words from messages and inbound items, while these are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

import msgspec

from gateway.content.content import Body
from gateway.content.language import Kind
from gateway.content.sources import source
from gateway.customer import ConsentEntry, Customer
from gateway.delivery.inbox import IN_TIMELINE, InboundItems, Item
from gateway.delivery.words import unpack
from gateway.message import Message, Mode
from gateway.prompts import Answer
from gateway.store.customer_settling import KEY_SHOWN
from gateway.store.customers import Customers
from gateway.store.entries import Entry
from gateway.store.ids import made_at, place_of
from gateway.store.messages import Messages
from gateway.store.timeline import Line, Timeline

OF_MESSAGES: Final = frozenset(("message", "attempt", "answer", "acknowledged", "verdict"))
WITH_WORDS: Final = frozenset(("message", "attempt"))
SECRET: Final = frozenset(("code",))
"""Categories whose words are for the person alone."""
PARTS: Final[dict[str | None, tuple[tuple[str, ...], Kind]]] = {
    "sms": (("sms", "text"), "sms"),
    "voice": (("speech", "text"), "speech"),
    "email": (("text", "html"), "text"),
    "wechat": (("text", "wechat"), "sms"),
}
"""The parts of a message that each channel takes, the best first, and how they are written there."""
OF_ANY: Final[tuple[tuple[str, ...], Kind]] = ("text", "sms", "speech"), "sms"
"""Those of a channel that isn't built in, and of a message that has gone nowhere yet."""
MOST_LOOKED_AT: Final = 5
"""Pages read to find lines of the kinds that are wanted."""
LINK: Final = "…"
"""What stands for a link in a shown text: it would let whoever reads it act for the person."""


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, as it is shown. `at` in ms; `text`: the words of it, while they are kept.

    `of`: the id of the message, the inbound item or the thing; `facts`: what else is known, by kind.
    """

    id: str
    at: int
    kind: str
    direction: Literal["in", "out"] | None = None
    channel: str | None = None
    of: str | None = None
    text: str | None = None
    facts: dict[str, Any] = {}


class Threads:
    """Reads threads. `default_locale`, `default_time_zone`: of people who have none. Raises StoreUnavailable."""

    def __init__(
        self,
        timeline: Timeline,
        messages: Messages,
        items: InboundItems,
        customers: Customers,
        default_locale: str,
        default_time_zone: str,
    ) -> None:
        self._timeline = timeline
        self._messages = messages
        self._items = items
        self._customers = customers
        self._locale = default_locale
        self._zone = default_time_zone

    async def page(
        self, customer: str, mode: Mode | None, limit: int, cursor: str | None
    ) -> tuple[list[Post], str | None]:
        """At most `limit` things, newest first, and the cursor of the next page; `mode` None: of all modes.

        Raises KeyError for an unknown customer, ValueError for a cursor that no page gave.
        """
        person = await self._person(customer)
        found: list[Post] = []
        while True:
            lines, cursor = await self._timeline.page(customer, mode, limit - len(found), cursor)
            found += await self._posts(person, lines)
            if cursor is None or len(found) == limit:
                return found, cursor

    async def newest(self, person: Customer, mode: Mode, kinds: Collection[str], limit: int) -> list[Post]:
        """The newest things of these kinds, as far as they stand near the top."""
        found: list[Line] = []
        cursor: str | None = None
        for _ in range(MOST_LOOKED_AT):
            lines, cursor = await self._timeline.page(person.id, mode, 50, cursor)
            found += [one for one in lines if isinstance(one.entry, Entry) and one.entry.kind in kinds]
            if cursor is None or len(found) >= limit:
                break
        return await self._posts(person, found[:limit])

    async def _person(self, customer: str) -> Customer:
        found = await self._customers.load(customer)
        if found is None:
            raise KeyError(customer)
        return found[0]

    async def _posts(self, person: Customer, lines: Sequence[Line]) -> list[Post]:
        """Lines with their words, without those that are another's by now."""
        entries = [line.entry for line in lines if isinstance(line.entry, Entry)]
        sent = list(dict.fromkeys(one.of for one in entries if one.kind in OF_MESSAGES))
        came = list(dict.fromkeys(one.of for one in entries if one.kind == IN_TIMELINE))
        loaded, items = await asyncio.gather(self._messages.load_many(sent), self._items.find_many(came))
        messages = {one.message.id: one.message for one in loaded if one is not None}
        said = {(one.of, _channel(one, messages.get(one.of))) for one in entries if one.kind in WITH_WORDS}
        bodies = await self._bodies([message for message in messages.values() if message.id in {of for of, _ in said}])
        texts = {(of, by): self._text(person, messages[of], bodies[of], by) for of, by in said if bodies.get(of)}
        heard = dict(zip(came, items, strict=True))
        found = (self._post(person, line, messages, texts, heard) for line in lines)
        return [post for post in found if post is not None]

    def _post(
        self,
        person: Customer,
        line: Line,
        messages: dict[str, Message],
        texts: dict[tuple[str, str | None], str | None],
        heard: dict[str, Item | None],
    ) -> Post | None:
        entry = line.entry
        if isinstance(entry, ConsentEntry):
            return _consent(line, entry)
        if entry.kind in OF_MESSAGES:
            message = messages.get(entry.of)
            theirs = made_at(entry.of) >= person.created_at if place_of(entry.of) is not None else False
            if not theirs or (message is not None and message.customer != person.id):
                return None  # of somebody who had this id before
            return _of_message(line, entry, message, texts)
        if entry.kind == IN_TIMELINE:
            return _inbound(line, entry, heard.get(entry.of), person.id)
        if entry.kind == "address":
            return _address(line, entry, person)
        return _plain(line, entry)

    async def _bodies(self, messages: Sequence[Message]) -> dict[str, Body]:
        """The content of messages, by their ids, as far as it is kept and may be shown."""
        shown = [message for message in messages if message.category not in SECRET]
        found = await asyncio.gather(*map(self._messages.body, shown))
        return {message.id: unpack(raw) for message, raw in zip(shown, found, strict=True) if raw is not None}

    def _text(self, person: Customer, message: Message, body: Body, channel: str | None) -> str | None:
        """The words of a message on a channel, as plain text in the person's language."""
        parts, kind = PARTS.get(channel, OF_ANY)
        language = message.locale or person.preferences.language or person.locale
        zone = message.time_zone or person.time_zone or self._zone
        supplied = {"preferences_link": LINK}
        words = source(body, parts, language, self._locale, zone, supplied)
        plain = tuple(part for part in parts if part in OF_ANY[0])
        text = words.text(plain, kind) or words.text(*OF_ANY) or words.text(("subject",), "line")
        asked = message.prompt.question if message.prompt is not None else None
        if isinstance(asked, dict):
            asked = asked.get(language or "") or next(iter(asked.values()), None)
        return "\n".join(part for part in (text, asked) if part) or None


def _channel(entry: Entry, message: Message | None) -> str | None:
    """The channel that a line speaks of: that of a message is the one that reached them, or the last that was tried."""
    if entry.kind != "message" or message is None:
        return entry.facts.get("channel")
    return message.verdict.channel or next((a.channel for a in reversed(message.attempts)), None)


def _of_message(
    line: Line, entry: Entry, message: Message | None, texts: dict[tuple[str, str | None], str | None]
) -> Post:
    facts, channel = dict(entry.facts), _channel(entry, message)
    text = texts.get((entry.of, channel)) if entry.kind in WITH_WORDS else None
    match entry.kind:
        case "message" if message is not None:
            facts |= {"status": message.status, "state": message.verdict.state, "lane": message.lane}
            facts |= {"thread": message.thread, "reference": message.reference, "by": message.metadata.get("by")}
        case "attempt" if message is not None and (attempt := message.attempt(facts.get("attempt", ""))) is not None:
            facts |= {"address": attempt.address, "fault": attempt.fault, "engagement": attempt.engagement}
        case "answer" if message is not None and (given := _answer(message, facts.get("n", 0))) is not None:
            text, facts = given.text, {**facts, "value": given.value, "late": given.late}
        case "acknowledged" if message is not None:
            facts["by"] = message.acknowledged_by
        case "verdict" if message is not None and message.verdict.state == facts.get("state"):
            facts |= {"code": message.verdict.code, "why": message.verdict.text}
        case _:
            pass
    kept = {name: value for name, value in facts.items() if value is not None and name not in ("channel", "n")}
    direction: Literal["in", "out"] = "in" if entry.kind in ("answer", "acknowledged") else "out"
    return Post(
        id=line.id,
        at=line.at,
        kind=entry.kind,
        direction=direction,
        channel=channel,
        of=entry.of,
        text=text,
        facts=kept,
    )


def _answer(message: Message, n: int) -> Answer | None:
    given = [message.answer, *message.later_answers]
    return given[n] if 0 <= n < len(given) else None


def _inbound(line: Line, entry: Entry, item: Item | None, customer: str) -> Post | None:
    facts, text = dict(entry.facts), None
    if item is not None:
        if item.customer != customer:
            return None  # linked to somebody else meanwhile
        inbound, text = item.inbound, item.inbound.text or None
        facts |= {"what": inbound.kind, "outcome": item.outcome, "from": inbound.sender, "message": inbound.message}
    channel = facts.pop("channel", None)
    kept = {name: value for name, value in facts.items() if value is not None}
    return Post(
        id=line.id, at=line.at, kind=entry.kind, direction="in", channel=channel, of=entry.of, text=text, facts=kept
    )


def _consent(line: Line, entry: ConsentEntry) -> Post:
    facts = {"channel": entry.channel, "category": entry.category, "state": entry.state, "way": entry.way}
    if entry.proof is not None:
        facts["proof"] = entry.proof
    return Post(id=line.id, at=line.at, kind="consent", channel=_one(entry.channel), text=entry.wording, facts=facts)


def _address(line: Line, entry: Entry, person: Customer) -> Post:
    """Which address it was is known while the person has it."""
    values = (value for value, key in person.keys.items() if key[:KEY_SHOWN] == entry.of)
    facts = {name: value for name, value in entry.facts.items() if name != "channel"}
    if (value := next(values, None)) is not None:
        facts["address"] = value
    return Post(id=line.id, at=line.at, kind=entry.kind, channel=entry.facts.get("channel"), facts=facts)


def _plain(line: Line, entry: Entry) -> Post:
    """What services tell: its words, if it has any, are its fact "text"."""
    facts = dict(entry.facts)
    text, channel = facts.pop("text", None), facts.pop("channel", None)
    return Post(id=line.id, at=line.at, kind=entry.kind, channel=channel, of=entry.of or None, text=text, facts=facts)


def _one(channel: str) -> str | None:
    return None if channel == "*" else channel
