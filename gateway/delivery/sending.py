"""An attempt from its turn in the line to its outcome on record."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from redis.exceptions import RedisError

from gateway.channels.base import Absent, Accepted, Outbound, Refused, Rendered, Unknown
from gateway.content.render import Unfit
from gateway.delivery.desk import TRIES, Case, Desk
from gateway.delivery.gate import Gate
from gateway.delivery.limits import Limits
from gateway.delivery.meeting import Meeting
from gateway.delivery.pacing import Switchboard
from gateway.delivery.post import Permit, Post
from gateway.delivery.words import Words, in_window, unpack
from gateway.message import Attempt, Fault, Message, Mode, Receipt
from gateway.news import absorb
from gateway.routing.decide import apply
from gateway.routing.fallback import ABSENT_AFTER_MS, callback_grace
from gateway.routing.view import Next, Turn
from gateway.store.clock import Clock
from gateway.store.pipe import StoreUnavailable

LEASE_MARGIN_MS: Final = 5_000
TAKE_BACK_S: Final = 0.25

log = structlog.get_logger()


class Sender:
    """Begins attempts and takes in how they went."""

    def __init__(
        self,
        desk: Desk,
        words: Words,
        boards: Mapping[Mode, Switchboard],
        meeting: Meeting,
        clock: Clock,
        callback_base: Callable[[Mode], str],
        opened: Callable[[Post], None],
        gate: Gate,
        limits: Limits,
    ) -> None:
        self._desk = desk
        self._words = words
        self._boards = boards
        self._meeting = meeting
        self._clock = clock
        self._callback_base = callback_base
        self._opened = opened
        self._gate = gate
        self._limits = limits

    async def turn(self, case: Case, permit: Permit) -> bool:
        """It is the message's turn on a channel: begin and send, if that is still right. False: nothing was begun."""
        post = permit.post
        current: Case | None = case
        for _ in range(TRIES):
            if current is None:
                return True
            following = self._desk.decide(current)
            turn = next((t for t in following.turns if t.channel == post.name), None)
            shut = post.state(self._clock.now()).shut is not None
            if turn is None or shut or await self._lets_others_probe(current, permit):
                return await self._desk.write(current, following)
            words = await self._render(current, turn)
            if isinstance(words, Unfit):
                current.message.unfit[turn.channel] = words.code
                continue
            attempt = self._attempt(current.message, turn, post)
            if await self._limits.bar(current.message, attempt):
                continue
            outcome = await self._begin(current, attempt)
            if outcome == "ok":
                await self._send(current, attempt, words, following.deadline, permit)
                return True
            await self._limits.hand_back(current.message, attempt)
            if outcome == "gone":
                return True
            current = await self._desk.reopen(case.message.id)
        return False

    async def _lets_others_probe(self, case: Case, permit: Permit) -> bool:
        """The probe's answer may be lost: what is never repeated then isn't the probe, as long as others wait."""
        careful = permit.trial and self._desk.category(case.message).unknown == "never_again"
        return careful and await self._boards[case.message.mode].others_wait(permit.post)

    async def decide_only(self, case: Case) -> None:
        """No turn now: write down what the message waits for, and ask providers about lost answers."""
        current: Case | None = case
        for _ in range(TRIES):
            if current is None:
                return
            following = self._desk.decide(current)
            if following.ask:
                await self._ask(current, following)
                return
            if await self._desk.write(current, following):
                return
            current = await self._desk.reopen(case.message.id)

    def _attempt(self, message: Message, turn: Turn, post: Post) -> Attempt:
        now = self._clock.now()
        lease = now + int(post.channel.traits.timeout * 1000) + LEASE_MARGIN_MS
        return Attempt(
            id=f"a{len(message.attempts) + 1}",
            channel=turn.channel,
            address=turn.address.value,
            round=turn.round,
            lease_until=lease,
            mark=secrets.token_hex(4),
            times={"started": now},
        )

    async def _begin(self, case: Case, attempt: Attempt) -> str:
        message = case.message
        message.attempts.append(attempt)
        message.turns.pop(attempt.channel, None)
        following = self._desk.decide(case)
        apply(message, following, self._clock.now())
        versions = case.version, case.customer_version
        category = self._desk.category(message)
        try:
            outcome, version = await self._desk.messages.begin(case.before, message, versions, following, category)
        except StoreUnavailable:
            await self._take_back(case, attempt)
            raise
        if outcome == "ok":
            case.version = version
            case.before = type(case.before).of(message)
        return outcome

    async def _take_back(self, case: Case, attempt: Attempt) -> None:
        """Withdraw an attempt that may stand on record and was never sent, as soon as Redis lets us.

        When its lease ends first, nobody can tell any more that it wasn't.
        """
        while self._clock.now() < attempt.lease_until:
            try:
                await self._withdraw(case, attempt)
            except (StoreUnavailable, RedisError) as away:
                log.warning("redis_unavailable", message=case.message.id, error=str(away))
                await asyncio.sleep(TAKE_BACK_S)
            else:
                return

    async def _withdraw(self, case: Case, attempt: Attempt) -> None:
        await self._desk.settle(case, _withdrawn(attempt))
        await self._limits.hand_back(case.message, attempt)

    async def _send(self, case: Case, attempt: Attempt, words: Rendered, deadline: int, permit: Permit) -> None:
        board, post, channel = self._boards[case.message.mode], permit.post, permit.post.channel
        late = self._clock.now() + channel.traits.timeout * 1000 > attempt.lease_until
        if late or not await board.starts(permit, case.message.id, attempt.id):
            await self._withdraw(case, attempt)
            return
        out = self._outbound(case, attempt, words, deadline)
        begun = time.monotonic()
        with self._gate.away():
            outcome = await asyncio.shield(channel.send(out))
        self._desk.metrics.sent(attempt.channel, outcome, time.monotonic() - begun)
        if await board.heard(permit, outcome) and not post.breaker.closed:
            self._opened(post)
        news = [self._receipt(attempt.id, outcome), *await self._introduced(case.message, attempt, outcome)]

        def told(message: Message, now: int) -> None:
            for receipt in news:
                if receipt is not None:
                    absorb(message, receipt)
            if isinstance(outcome, Unknown):
                _wait_for_callback(message, attempt.id, now)

        await self._desk.settle(case, told)

    async def _introduced(
        self, message: Message, attempt: Attempt, outcome: Accepted | Refused | Unknown
    ) -> list[Receipt | None]:
        """News that came under the provider's id before we knew it."""
        if not isinstance(outcome, Accepted) or outcome.provider_id is None:
            return []
        try:
            return await self._meeting.introduce(attempt.channel, outcome.provider_id, message.id, attempt.id)
        except (StoreUnavailable, RedisError) as away:
            # With its memory full Redis takes no introductions, but the commit that must follow.
            log.warning("redis_unavailable", message=message.id, error=str(away))
            return []

    def _outbound(self, case: Case, attempt: Attempt, words: Rendered, deadline: int) -> Outbound:
        message, now = case.message, self._clock.now()
        traits = self._boards[message.mode].posts[attempt.channel].channel.traits
        return self._words.outbound(
            message,
            attempt,
            words,
            self._desk.category(message),
            self._callback_base(message.mode),
            deadline,
            now,
            in_window=in_window(case.customer, attempt.channel, traits.window, now),
        )

    async def _render(self, case: Case, turn: Turn) -> Rendered | Unfit:
        message = case.message
        raw = await self._desk.messages.body(message)
        if raw is None:
            return Unfit("no_template", "The content has outlived its retention.")
        traits = self._boards[message.mode].posts[turn.channel].channel.traits
        window = in_window(case.customer, turn.channel, traits.window, self._clock.now())
        category = self._desk.category(message)
        return self._words.render(message, unpack(raw), case.customer, category, turn.channel, in_window=window)

    async def speak(self, message_id: str, attempt_id: str) -> Outbound | None:
        """An attempt's words once more, for a callback that must be answered with them."""
        case = await self._desk.reopen(message_id)
        attempt = case.message.attempt(attempt_id) if case is not None else None
        if case is None or attempt is None:
            return None
        address = next((a for a in case.customer.addresses if a.value == attempt.address), None)
        turn = Turn(attempt.channel, address, attempt.round) if address is not None else None
        words = await self._render(case, turn) if turn is not None else None
        return (
            self._outbound(case, attempt, words, self._desk.decide(case).deadline)
            if isinstance(words, Rendered)
            else None
        )

    async def _ask(self, case: Case, following: Next) -> None:
        """Ask providers whether they took attempts whose answers were lost."""
        found: dict[str, tuple[Accepted | Absent | Unknown, list[Receipt | None]]] = {}
        for attempt_id in following.ask:
            attempt = case.message.attempt(attempt_id)
            post = self._boards[case.message.mode].posts.get(attempt.channel) if attempt is not None else None
            out = await self.speak(case.message.id, attempt_id)
            if attempt is not None and post is not None and out is not None:
                with self._gate.away():
                    answer = await post.find(out, attempt, self._clock.now())
                found[attempt_id] = await self._recognised(case.message, attempt, answer)

        def told(message: Message, now: int) -> None:
            for attempt_id in following.ask:
                attempt = message.attempt(attempt_id)
                if attempt is not None:
                    answer, early = found.get(attempt_id, (Unknown(), []))
                    _hear_answer(message, attempt, answer, now)
                    for receipt in filter(None, early):
                        absorb(message, receipt)

        await self._desk.settle(case, told)

    async def _recognised(
        self, message: Message, attempt: Attempt, found: Accepted | Absent | Unknown
    ) -> tuple[Accepted | Absent | Unknown, list[Receipt | None]]:
        """An answer, with news that came under its provider id; what turns out to be another attempt's is no answer."""
        if not isinstance(found, Accepted) or found.provider_id is None:
            return found, []
        early = await self._meeting.recognise(attempt.channel, found.provider_id, message.id, attempt.id)
        return (found, early) if early is not None else (Unknown(detail="known as another attempt's"), [])

    def _receipt(self, attempt_id: str, outcome: Accepted | Refused | Unknown) -> Receipt | None:
        now = self._clock.now()
        if isinstance(outcome, Accepted):
            return Receipt(
                attempt=attempt_id,
                at=now,
                status=outcome.status,
                provider_id=outcome.provider_id,
                units=outcome.units,
                cost=outcome.cost,
            )
        if isinstance(outcome, Refused):
            return Receipt(
                attempt=attempt_id,
                at=now,
                status="failed",
                fault=outcome.fault,
                provider_code=outcome.code,
                retry_after=outcome.retry_after,
            )
        return None


def _withdrawn(attempt: Attempt) -> Callable[[Message, int], None]:
    def news(message: Message, _now: int) -> None:
        message.attempts = [a for a in message.attempts if a.mark != attempt.mark or a.status != "started"]

    return news


def _wait_for_callback(message: Message, attempt_id: str, now: int) -> None:
    """The answer was lost. A callback may still explain it; until then, and for so long, it isn't called unknown."""
    attempt = message.attempt(attempt_id)
    if attempt is not None and attempt.status == "started":
        attempt.lease_until = min(attempt.lease_until, now + callback_grace(message, now))


def _hear_answer(message: Message, attempt: Attempt, found: Accepted | Absent | Unknown, now: int) -> None:
    attempt.asked_at, attempt.asked = now, attempt.asked + 1
    if isinstance(found, Accepted):
        absorb(message, Receipt(attempt=attempt.id, at=now, status=found.status, provider_id=found.provider_id))
    elif isinstance(found, Absent) and now >= attempt.started_at + ABSENT_AFTER_MS:
        absorb(message, Receipt(attempt=attempt.id, at=now, status="failed", fault=Fault.NOT_TAKEN))
