"""Steps: when one begins, what ends it, and whether its channel may be tried again within it.

A step is all attempts on one (round, channel, address). What stands here is the reach contract's small print for a
single step; `decide` puts the steps in a row.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from gateway.message import LEVEL_RANK, Attempt, Fault, Message, Receipt
from gateway.news import absorb, level_of
from gateway.routing.policy import Category
from gateway.routing.retry import retry_at
from gateway.routing.traits import Traits
from gateway.routing.view import deadline_of

CALLBACK_GRACE_MS: Final = 5_000
"""How long a lost answer waits for a callback to explain it before it is called unknown."""
ABSENT_AFTER_MS: Final = 60_000
"""A provider's "I don't know it" is believed only this long after the attempt began; earlier it may still be filing it."""
ASK_AGAIN_MS: Final = 30_000
ASK_AT_LEAST_EVERY_MS: Final = 3_600_000

PERMANENT: Final = frozenset(
    (
        Fault.BAD_ADDRESS,
        Fault.DOUBTFUL_ADDRESS,
        Fault.OPTED_OUT,
        Fault.DECLINED,
        Fault.BLOCKED,
        Fault.CONTENT_REFUSED,
        Fault.MISCONFIGURED,
        Fault.NO_WINDOW,
    )
)
"""Faults after which a further round leaves the address out."""


class Step(msgspec.Struct):
    """The attempts on one (round, channel, address), in the order they began."""

    round: int
    channel: str
    address: str
    attempts: list[Attempt]

    @property
    def began(self) -> int:
        """When the step began, ms."""
        return self.attempts[0].started_at

    @property
    def key(self) -> tuple[str, str]:
        """Channel and address value."""
        return self.channel, self.address


class StepState(msgspec.Struct, frozen=True):
    """`live`: wait until `at`. `repeat`: try the same channel again from `at` on. `over`: the next step may begin."""

    kind: Literal["live", "repeat", "over"]
    at: int = 0


OVER: Final = StepState("over")


def steps_of(message: Message) -> list[Step]:
    """The steps begun so far, in order."""
    found: dict[tuple[int, str, str], Step] = {}
    for attempt in message.attempts:
        key = attempt.round, attempt.channel, attempt.address
        if key in found:
            found[key].attempts.append(attempt)
        else:
            found[key] = Step(*key, [attempt])
    return list(found.values())


def expire_leases(message: Message, now: int) -> bool:
    """Call every started attempt whose lease has passed `unknown`; True if any was."""
    changed = False
    for attempt in message.attempts:
        if attempt.status == "started" and attempt.lease_until <= now:
            changed |= absorb(message, Receipt(attempt=attempt.id, at=now, status="unknown"))
    return changed


def callback_grace(message: Message, now: int) -> int:
    """How long (ms) a lost answer waits for a callback: a part of a short step, and never past the deadline."""
    step = message.reach.step
    part = CALLBACK_GRACE_MS if step is None else step * 1000 // 4
    return max(0, min(CALLBACK_GRACE_MS, part, (deadline_of(message, now) - now) // 2))


def step_end(message: Message, step: Step, traits: Traits, deadline: int) -> int:
    """When the step ends if nothing decisive is heard: after `reach.step` seconds, but not while its call runs."""
    seconds = message.reach.step
    end = deadline if seconds is None else step.began + seconds * 1000
    last = step.attempts[-1]
    if traits.rings and not last.ended and last.status in ("accepted", "sent"):
        end = max(end, min(last.started_at + traits.rings * 1000, deadline))
    return end


def step_state(step: Step, traits: Traits, category: Category, end: int, now: int) -> StepState:
    """What the step is up to at `now`; `end`: when it ends at the latest (ms)."""
    last = step.attempts[-1]
    if last.status == "started" and (now < end or category.unknown == "never_again"):
        return StepState("live", last.lease_until if now >= end else min(last.lease_until, end))
    if now >= end:
        return OVER
    if last.status == "failed":
        again = retry_at(last, sum(a.status == "failed" for a in step.attempts))
        return StepState("repeat", again) if again is not None and again < end else OVER
    if last.status == "unknown" and _may_repeat_unknown(step, traits, category):
        return StepState("repeat", last.times["unknown"])
    return StepState("live", end)


def _may_repeat_unknown(step: Step, traits: Traits, category: Category) -> bool:
    """Once per step, even if the first answer is explained later."""
    if sum("unknown" in a.times for a in step.attempts) > 1:
        return False
    return category.unknown == "try_again" or (category.unknown == "reconcile" and not traits.finds)


def ask_at(attempt: Attempt, traits: Traits, category: Category) -> int | None:
    """When (ms) the provider is to be asked whether it took an attempt; None: not at all."""
    if attempt.status != "unknown" or category.unknown != "reconcile" or not traits.finds:
        return None
    if attempt.asked_at is None:
        return attempt.times["unknown"]
    early = attempt.asked_at < attempt.started_at + ABSENT_AFTER_MS
    again = attempt.asked_at + min(ASK_AGAIN_MS * 2 ** max(0, attempt.asked - 1), ASK_AT_LEAST_EVERY_MS)
    return min(again, attempt.started_at + ABSENT_AFTER_MS) if early else again


def open_attempt(message: Message, attempt: Attempt) -> bool:
    """True while the attempt may still bring the proof that is wanted."""
    if attempt.status == "failed" or (attempt.ended and attempt.status != "unknown"):
        return False
    return LEVEL_RANK.get(level_of(attempt) or "", 0) < LEVEL_RANK[message.reach.until]


def settles(message: Message, step: Step, traits: Traits, deadline: int) -> tuple[int, Attempt] | None:
    """When (ms) acceptance alone will count as reached, unproven, and by which attempt; None: never."""
    if message.reach.unproven != "settle" or message.reach.until in traits.proves:
        return None
    taken = next((a for a in step.attempts if a.status in ("accepted", "sent", "delivered")), None)
    if taken is None:
        return None
    seconds = message.reach.step
    return (deadline if seconds is None else step.began + seconds * 1000), taken
