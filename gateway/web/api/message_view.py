"""A message as callers see it, made from the record and the route still ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.message import Attempt, Message, RouteStep, Skipped, Verdict, Why
from gateway.prompts import Answer, Prompt
from gateway.routing.view import deadline_of
from gateway.text import mask
from gateway.web.api.types import wire_time, wire_time_or_none
from gateway.web.api.types_out import (
    AnswerOut,
    AttemptOut,
    CostOut,
    HeldOut,
    MessageOut,
    OptionOut,
    PromptOut,
    ReachOut,
    SkippedOut,
    StepOut,
    TemplateOfMessage,
    VerdictOut,
    WhyOut,
)

Show = Callable[[str, str], str]
"""(channel, address) to what the caller may see of it."""


def plain(_channel: str, address: str) -> str:
    """The address itself."""
    return address


def view(message: Message, route: Sequence[RouteStep], now: int, *, unmasked: bool) -> MessageOut:
    """The message object of the contract. `now` in ms: a hold that still lasts moves the deadline on."""
    show = plain if unmasked else mask
    reach, held = message.reach, message.held
    return MessageOut(
        id=message.id,
        mode=message.mode,
        customer=message.customer,
        category=message.category,
        priority=message.lane,
        template=TemplateOfMessage(message.template, message.template_version or 0) if message.template else None,
        thread=message.thread,
        reference=message.reference,
        metadata=message.metadata,
        reach=ReachOut(
            until=reach.until,
            within=reach.within,
            step=reach.step,
            mode=reach.mode,
            rounds=reach.rounds,
            channels=reach.channels,
            unproven=reach.unproven,
        ),
        status=message.status,
        held=None if held is None else HeldOut(wire_time(held.until), held.code, held.text),
        due_at=wire_time(message.due_at),
        deadline=wire_time(deadline_of(message, max(now, held.until) if held is not None else now)),
        verdict=_verdict(message.verdict),
        route=tuple(StepOut(s.channel, show(s.channel, s.address), s.after, _why(s.why)) for s in route),
        skipped=tuple(_skipped(one, show) for one in message.skipped),
        attempts=tuple(attempt_view(one, show) for one in message.attempts),
        prompt=None if message.prompt is None else _prompt(message.prompt),
        answer=None if message.answer is None else _answer(message.answer),
        retry_of=message.retry_of,
        created_at=wire_time(message.created_at),
    )


def _why(why: Why) -> WhyOut:
    return WhyOut(why.code, why.text)


def _skipped(one: Skipped, show: Show) -> SkippedOut:
    address = None if one.address is None else show(one.channel, one.address)
    return SkippedOut(channel=one.channel, why=_why(one.why), address=address)


def _verdict(verdict: Verdict) -> VerdictOut:
    return VerdictOut(
        state=verdict.state,
        proven=verdict.proven,
        late=verdict.late,
        channel=verdict.channel,
        attempt=verdict.attempt,
        level=verdict.level,
        at=wire_time_or_none(verdict.at),
        code=verdict.code,
        text=verdict.text,
    )


def attempt_view(attempt: Attempt, show: Show) -> AttemptOut:
    """One hand-over to a provider."""
    cost = attempt.cost
    return AttemptOut(
        id=attempt.id,
        channel=attempt.channel,
        address=show(attempt.channel, attempt.address),
        round=attempt.round,
        status=attempt.status,
        engagement=attempt.engagement,
        answered_by=attempt.answered_by,
        fault=attempt.fault,
        provider_id=attempt.provider_id,
        provider_code=attempt.provider_code,
        units=attempt.units,
        cost=None if cost is None else CostOut(cost.amount, cost.currency, cost.source),
        times={name: wire_time(at) for name, at in attempt.times.items()},
    )


def _prompt(prompt: Prompt) -> PromptOut:
    return PromptOut(
        kind=prompt.kind,
        closes_in=prompt.closes_in,
        question=prompt.question,
        min=prompt.min,
        max=prompt.max,
        options=tuple(OptionOut(option.id, option.label) for option in prompt.options),
    )


def _answer(answer: Answer) -> AnswerOut:
    return AnswerOut(answer.value, answer.text, answer.channel, wire_time(answer.at), answer.late)
