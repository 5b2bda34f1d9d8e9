"""What the public pages and the operators' endpoints do, carried out by the delivery core."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterable, Mapping, Sequence

from gateway.channels.base import Rendered
from gateway.customer import ConsentEntry
from gateway.delivery.desk import Desk
from gateway.delivery.following import Question, Questions
from gateway.delivery.inbound import Inbox
from gateway.delivery.pacing import Switchboard
from gateway.delivery.post import Post
from gateway.delivery.words import Words, unpack
from gateway.message import LANES, Message
from gateway.people.fields import wire_time
from gateway.preferences.consent import permission
from gateway.prompts import PAGE, Answer, Value
from gateway.settings_types import Settings
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.keys import PARTITIONS, partition
from gateway.store.scripts import Scripts
from gateway.web.context import ChannelCondition, ChannelState, Opened


class PublicPages:
    """Behind the signed links: read a message, answer it, unsubscribe. `questions`: what else there is to answer."""

    def __init__(
        self, desk: Desk, words: Words, inbox: Inbox, customers: Customers, clock: Clock, questions: Questions
    ) -> None:
        self._desk = desk
        self._words = words
        self._answers = inbox.answers
        self._customers = customers
        self._clock = clock
        self._questions = questions

    async def load(self, message_id: str, via: str | None = None) -> Opened | None:
        """The message and its words, as an e-mail would carry them; None when it is gone."""
        case = await self._desk.reopen(message_id)
        if case is None:
            return None
        raw = await self._desk.messages.body(case.message)
        words = None
        if raw is not None:
            category = self._desk.category(case.message)
            words = self._words.render(
                case.message, unpack(raw), case.customer, category, "email", in_window=True, led_by=via
            )
        return Opened(case.message, words if isinstance(words, Rendered) else None)

    async def asked(self, message_id: str) -> Opened | None:
        """The message whose question a link asks by now, which may be a newer one of its thread; None when it is gone."""
        return await self.load(await self._answers.standing_in(message_id))

    async def answer(self, message_id: str, value: Value, words: str, via: str | None = None) -> Message | None:
        """Count an answer given on a page."""
        return await self._answers.answer(message_id, self._given(value, words), None, via)

    async def add_words(self, message_id: str, words: str) -> Message | None:
        """Keep words with the answer that counts; None: there is none."""
        return await self._answers.add_words(message_id, words)

    async def following(self, message: Message) -> Sequence[Question]:
        """What is still to be asked after a message's own question."""
        return await self._questions.after(message)

    async def answer_following(self, message: Message, given: Mapping[str, tuple[Value, str]]) -> None:
        """Count answers to what follows: by the question's id the value, and the words as chosen or typed."""
        answers = {name: self._given(value, words) for name, (value, words) in given.items()}
        await self._questions.answered(message, answers)

    def _given(self, value: Value, words: str) -> Answer:
        return Answer(value=value, text=words, channel=PAGE, at=self._clock.now())

    async def unsubscribe(self, message_id: str, wording: str) -> Message | None:
        """Withdraw the message's category on e-mail (RFC 8058), for the person and the mailbox; harmless when repeated."""
        loaded = await self._desk.messages.load(message_id)
        if loaded is None or loaded.message.erased:
            return None
        message = loaded.message
        if message.mode != "live":
            return message
        entry = ConsentEntry(
            channel="email",
            category=message.category,
            state="withdrawn",
            way="email_one_click",
            wording=wording,
            at=self._clock.now(),
        )

        mailboxes = [attempt.address for attempt in message.attempts if attempt.channel == "email"]
        if await self._closed(message, mailboxes):
            return message
        try:
            await self._customers.object_to(message.customer, "email", mailboxes, [entry])
        except KeyError:
            return None
        return message

    async def _closed(self, message: Message, mailboxes: Sequence[str]) -> bool:
        """Whether nothing is left to withdraw: mail clients repeat a click, and one line of the ledger says it."""
        found = await self._customers.load(message.customer)
        if found is None:
            return False
        asked = functools.partial(permission, channel="email", category=message.category, rule="opt_out")
        bound = await self._customers.bound(mailboxes)
        keys = map(self._customers.address_key, mailboxes)
        still = [asked(found[0].consents, address_key=None), *(asked(bound, address_key=key) for key in keys)]
        return not any(one.allowed for one in still)


class Board:
    """The channels as operators see them."""

    def __init__(
        self, board: Switchboard, settings: Settings, known: Iterable[str], scripts: Scripts, clock: Clock
    ) -> None:
        self._board = board
        self._missing = {name: f"set [channels.{name}]" for name in known} | settings.missing
        self._scripts = scripts
        self._clock = clock

    async def states(self) -> Sequence[ChannelState]:
        """Every channel, the missing ones too."""
        found = [await self._state(post) for post in self._board.posts.values()]
        missing = [
            ChannelState(name=name, state="missing", reason=remedy)
            for name, remedy in self._missing.items()
            if name not in self._board.posts
        ]
        return sorted((*found, *missing), key=lambda state: state.name)

    async def pause(self, name: str, reason: str, by: str) -> ChannelState | None:
        """Nothing new begins on the channel until it is resumed."""
        return await self._switch(name, reason, by)

    async def resume(self, name: str, reason: str, by: str) -> ChannelState | None:  # noqa: ARG002 - kept for the audit log
        """Undo a pause."""
        return await self._switch(name, None, by)

    async def _switch(self, name: str, reason: str | None, by: str) -> ChannelState | None:
        if name not in self._board.posts:
            return None
        await self._board.pause(name, reason, by)
        return await self._state(self._board.posts[name])

    async def _state(self, post: Post) -> ChannelState:
        # Between a failed probe and the next one nothing keeps a message out, but the channel isn't up.
        now = self._clock.now()
        shut = post.state(now).shut or (None if post.breaker.closed else "channel_down")
        condition: dict[str | None, ChannelCondition] = {"paused": "paused", "channel_down": "broken"}
        waiting: dict[str, int] = {}
        for lane in LANES:
            keys = [partition(n).line(post.line, lane) for n in range(PARTITIONS)]
            waiting[lane] = sum(await asyncio.gather(*(self._scripts.pipe.send("ZCARD", key) for key in keys)))
        return ChannelState(
            name=post.name,
            state=condition.get(shut, "paced" if now < post.throttled_until else "up"),
            reason=post.pause.paused if shut == "paused" else _down(post) if shut else _slow(post, now),
            proves=tuple(sorted(post.channel.traits.proves)),
            waiting=waiting,  # pyright: ignore[reportArgumentType] - keyed by lane
        )


def _slow(post: Post, now: int) -> str | None:
    if now < post.throttled_until:
        return f"The provider asked us to wait until {wire_time(post.throttled_until)}."
    window = post.window
    return f"Slowed down by the provider: {window.size} of {window.limit} at a time." if window.narrowed else None


def _down(post: Post) -> str:
    return f"The provider keeps failing; the next probe goes out at {wire_time(post.breaker.facts.open_until)}."
