"""An attempt from its turn in the line to its outcome on record."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from redis.exceptions import RedisError

from gateway.channels.base import Accepted, Refused, Rendered, Unknown
from gateway.content.render import Unfit
from gateway.delivery.asking import Asker
from gateway.delivery.desk import TRIES, Case, Desk
from gateway.delivery.gate import Gate
from gateway.delivery.limits import Limits
from gateway.delivery.meeting import Meeting
from gateway.delivery.pacing import Switchboard
from gateway.delivery.post import Permit, Post
from gateway.delivery.speaking import Speaker
from gateway.message import Attempt, Message, Mode, Receipt
from gateway.news import absorb
from gateway.routing.decide import apply
from gateway.routing.fallback import callback_grace
from gateway.routing.view import Turn
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
        speaker: Speaker,
        asker: Asker,
        boards: Mapping[Mode, Switchboard],
        meeting: Meeting,
        clock: Clock,
        opened: Callable[[Post], None],
        gate: Gate,
        limits: Limits,
    ) -> None:
        self._desk = desk
        self._speaker = speaker
        self._asker = asker
        self._boards = boards
        self._meeting = meeting
        self._clock = clock
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
            words = await self._speaker.render(current, turn)
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
                await self._asker.ask(current, following)
                return
            if await self._desk.write(current, following):
                return
            current = await self._desk.reopen(case.message.id)

    def _attempt(self, message: Message, turn: Turn, post: Post) -> Attempt:
        now = self._clock.now()
        lease = now + int(post.channel.traits.timeout * 1000) + LEASE_MARGIN_MS
        return Attempt(
            id=_next_id(message),
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
        caps = () if message.uncapped else self._desk.rules.caps_of(message.category)
        try:
            outcome, version = await self._desk.messages.begin(case.before, message, versions, following, caps)
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
        out = self._speaker.outbound(case, attempt, words, deadline)
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


def _next_id(message: Message) -> str:
    """One above all that stand: counting them would give an id twice once an earlier attempt has been withdrawn."""
    return f"a{max((int(a.id[1:]) for a in message.attempts), default=0) + 1}"


def _withdrawn(attempt: Attempt) -> Callable[[Message, int], None]:
    def news(message: Message, _now: int) -> None:
        message.attempts = [a for a in message.attempts if a.mark != attempt.mark or a.status != "started"]

    return news


def _wait_for_callback(message: Message, attempt_id: str, now: int) -> None:
    """The answer was lost. A callback may still explain it; until then, and for so long, it isn't called unknown."""
    attempt = message.attempt(attempt_id)
    if attempt is not None and attempt.status == "started":
        attempt.lease_until = min(attempt.lease_until, now + callback_grace(message, now))
