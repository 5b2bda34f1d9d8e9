"""What is left of a message once nobody may know whose it was: that it was sent, how, when, and how it ended."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from gateway.message import Attempt, Message, Verdict

ERASED_TEXT: Final = "The person's data was erased."
_MESSAGE: Final = frozenset(("id", "customer", "attempts", "verdict"))
_BLANK: Final[dict[str, Any]] = {
    "thread": None,
    "reference": None,
    "metadata": {},
    "held": None,
    "route": [],
    "skipped": [],
    "attempts": [],
    "prompt": None,
    "answer": None,
}


def scrubbed(message: Message, nobody: str) -> Message:
    """A finished message without person, address, content and answer. What isn't named here isn't kept."""
    return Message(
        id=message.id,
        mode=message.mode,
        customer=nobody,
        category=message.category,
        lane=message.lane,
        reach=message.reach,
        created_at=message.created_at,
        due_at=message.due_at,
        expires_at=message.expires_at,
        send_at=message.send_at,
        schema=message.schema,
        template=message.template,
        template_version=message.template_version,
        status="done",
        verdict=_verdict(message.verdict),
        closing=_verdict(message.closing or message.verdict),
        held_ms=message.held_ms,
        unfit=message.unfit,
        attempts=[_attempt(one) for one in message.attempts],
        acknowledged_at=message.acknowledged_at,
        claimed=message.claimed,
        cancelled_at=message.cancelled_at,
        broadcast=message.broadcast,
    )


def _attempt(attempt: Attempt) -> Attempt:
    return Attempt(
        id=attempt.id,
        channel=attempt.channel,
        address="",
        round=attempt.round,
        status=attempt.status,
        engagement=attempt.engagement,
        answered_by=attempt.answered_by,
        heard=attempt.heard,
        ended=attempt.ended,
        fault=attempt.fault,
        provider_code=attempt.provider_code,
        units=attempt.units,
        cost=attempt.cost,
        times=attempt.times,
    )


def _verdict(verdict: Verdict) -> Verdict:
    # Its text may name who acknowledged, and with what note.
    return msgspec.structs.replace(verdict, text=ERASED_TEXT)


def scrubbed_answer(body: bytes, nobody: str) -> bytes:
    """What a repeated request is answered from then on: the same message without the person, or that they are gone."""
    told: Any = msgspec.json.decode(body)
    fields = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    if not fields.keys() >= _MESSAGE:
        return msgspec.json.encode({"erased": ERASED_TEXT})
    verdict = {**fields["verdict"], "text": None}
    return msgspec.json.encode({**fields, **_BLANK, "customer": nobody, "verdict": verdict})
