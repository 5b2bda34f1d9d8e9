"""Answers to our questions, whichever way they come: found by what they fit, recorded with the message that asked."""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.channels.base import Inbound
from gateway.delivery.desk import Desk
from gateway.message import Attempt, Message, Mode, Receipt
from gateway.news import absorb, final_verdict
from gateway.prompts import PAGE, Answer, Prompt, Value, read_answer, read_key, remark
from gateway.standing import taken
from gateway.store.clock import Clock

MOST_CHAINED: Final = 50
MOST_LATER: Final = 50
"""Later answers that are kept beside the one that counts."""
LONGEST_TEXT: Final = 4000
UNLINKED: Final = frozenset(("voice",))
"""Channels whose words carry no link."""
RARELY_LINKED: Final = frozenset(("sms",))
"""Channels on which people answer by words: a link is there only to what they can't carry."""


class Answers:
    """Finds the question that words answer, and records the answer."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    async def asked(self, mode: Mode, inbound: Inbound, customer: str | None) -> list[str]:
        """The messages whose questions the words may answer, those that took an older one's place before it."""
        if inbound.message is not None:
            return await self._newest_of_thread(inbound.message)
        if customer is None:
            return []
        asked = await self._desk.messages.awaiting(mode, customer)
        chains = [await self._newest_of_thread(message_id) for message_id in asked]
        return list(dict.fromkeys(message_id for chain in chains for message_id in chain))

    async def open(self, asked: list[str]) -> Prompt | None:
        """The first question of these messages that waits for its answer just now; None: none does."""
        for message_id in asked:
            loaded = await self._desk.messages.load(message_id)
            message = loaded.message if loaded is not None else None
            if message is None or message.prompt is None or message.superseded_by is not None:
                continue
            if message.answer is None and not closed(message, message.prompt, self._clock.now()):
                return message.prompt
        return None

    async def gave(self, inbound: Inbound, ids: list[str], *, late: bool, texts: bool = True) -> bool:
        """Give the words to the first question they fit: of those still open, or of those that have closed.

        One that waits for its answer comes before one that has been answered: who says something twice says it again only
        where nothing else is asked. `texts` False: questions that any words fit are passed over.
        """
        at = inbound.at or self._clock.now()
        chosen: tuple[str, Value] | None = None
        for message_id in ids:
            loaded = await self._desk.messages.load(message_id)
            prompt = loaded.message.prompt if loaded is not None else None
            if loaded is None or prompt is None or closed(loaded.message, prompt, at) is not late:
                continue
            if prompt.kind == "text" and (late or not texts):
                continue  # any words fit it: those of a new conversation, and keywords, too
            value = read_key(prompt, inbound.text) if inbound.kind == "key" else read_answer(prompt, inbound.text)
            waits = loaded.message.answer is None and loaded.message.superseded_by is None
            if value is not None and (waits or chosen is None):
                chosen = message_id, value
                if waits:
                    break
        if chosen is None:
            return False
        message_id, value = chosen
        answer = Answer(value=value, text=inbound.text, channel=inbound.channel, at=at)
        # An attempt's id means something within its own message alone.
        await self.answer(message_id, answer, inbound.attempt if message_id == inbound.message else None)
        return True

    async def _newest_of_thread(self, message_id: str) -> list[str]:
        """A message and those that took its place since, the newest first."""
        chain = [message_id]
        while len(chain) < MOST_CHAINED:
            loaded = await self._desk.messages.load(chain[0])
            if loaded is None or loaded.message.superseded_by is None:
                break
            chain.insert(0, loaded.message.superseded_by)
        return chain

    async def standing_in(self, message_id: str) -> str:
        """Whose question a link to a message asks by now: that of the newest that took its place, if it is asked alike."""
        loaded = await self._desk.messages.load(message_id)
        message = loaded.message if loaded is not None else None
        if message is None or message.answer is not None or message.superseded_by is None or message.prompt is None:
            return message_id
        for newer in await self._newest_of_thread(message_id):
            found = await self._desk.messages.load(newer)
            prompt = found.message.prompt if found is not None else None
            if found is None or prompt is None or not _alike(prompt, message.prompt):
                continue
            if not closed(found.message, prompt, self._clock.now()):
                return newer
        return message_id

    async def answer(
        self, message_id: str, answer: Answer, attempt_id: str | None, via: str | None = None
    ) -> Message | None:
        """Record an answer: the first counts, later ones are kept beside it. None when the message is gone.

        `via`: for an answer on a page, the channel that brought the link, if that is known.
        """

        def told(message: Message, _now: int) -> None:
            if message.prompt is not None:
                _record(message, message.prompt, answer, _answered(message, answer, attempt_id, via))

        case = await self._desk.update(message_id, told)
        return case.message if case is not None else None

    async def add_words(self, message_id: str, words: str) -> Message | None:
        """Keep words with the answer that counts, as its text. None: there is no answer, or the message is gone.

        They take the place of what the page wrote for a button, and are added to words of the person's own. Said again
        they change nothing.
        """

        def told(message: Message, _now: int) -> None:
            answer, prompt = message.answer, message.prompt
            if answer is None or prompt is None or words in answer.text:
                return
            own = answer.channel != PAGE or prompt.kind == "text" or remark(prompt, answer)
            text = f"{answer.text}\n{words}" if own else words
            message.answer = msgspec.structs.replace(answer, text=text[:LONGEST_TEXT])

        case = await self._desk.update(message_id, told)
        return case.message if case is not None and case.message.answer is not None else None


def closed(message: Message, prompt: Prompt, at: int) -> bool:
    """Whether a question had closed at that time (ms)."""
    return at > message.due_at + prompt.closes_in * 1000


def _alike(one: Prompt, other: Prompt) -> bool:
    """Whether an answer to one prompt means the same to the other, whatever words they ask with."""
    return (one.kind, one.min, one.max, one.options) == (other.kind, other.min, other.max, other.options)


def _is(answer: Answer, one: Answer | None) -> bool:
    """Whether it is that very answer, to which words may have been added since."""
    return one is not None and (answer.value, answer.channel, answer.at) == (one.value, one.channel, one.at)


def _sent_again(answer: Answer, last: Answer | None) -> bool:
    """Whether a page was merely loaded again: the same answer, from the same place, after the same one."""
    return answer.channel == PAGE and last is not None and last.channel == PAGE and answer.value == last.value


def _answered(message: Message, answer: Answer, attempt_id: str | None, via: str | None) -> Attempt | None:
    """The attempt that an answer belongs to; None: no single one."""
    if attempt_id is not None:
        return message.attempt(attempt_id)
    if answer.channel == PAGE:
        return _brought_link(message, via)
    return next((a for a in reversed(message.attempts) if a.channel == answer.channel), None)


def _brought_link(message: Message, via: str | None) -> Attempt | None:
    """The newest attempt a provider has taken on the channel that the link names, else on one whose words carry links.

    Who opens a link has got the words: on the channel that it names an attempt counts whatever has become known of it.
    """
    newest = message.attempts[::-1]
    linked = [a for a in newest if taken(a) and a.channel not in UNLINKED]
    rare = [a for a in linked if a.channel in RARELY_LINKED]
    ranked = [a for a in newest if a.channel == via and taken(a)] + [a for a in newest if a.channel == via]
    return next(iter((*ranked, *(a for a in linked if a not in rare), *rare)), None)


def _record(message: Message, prompt: Prompt, given: Answer, attempt: Attempt | None) -> None:
    answer = msgspec.structs.replace(given, late=closed(message, prompt, given.at))
    known = [message.answer, *message.later_answers]
    if message.answer is None:
        message.answer = answer
    elif not any(_is(answer, one) for one in known) and len(known) <= MOST_LATER and not _sent_again(answer, known[-1]):
        message.later_answers.append(answer)
    if attempt is not None:
        engagement = "acknowledged" if prompt.kind == "acknowledge" else "answered"
        absorb(message, Receipt(attempt=attempt.id, at=answer.at, engagement=engagement))
    elif message.acknowledged_at is None:
        message.acknowledged_at = answer.at
        if message.closing is not None:
            message.verdict = final_verdict(message)
