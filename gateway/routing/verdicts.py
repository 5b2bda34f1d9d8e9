"""How a message ends."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.message import Message, Skipped, Verdict
from gateway.news import acknowledged_verdict, level_of, proof, reached_by
from gateway.routing.fallback import settles, steps_of
from gateway.routing.view import View


def ended(view: View, deadline: int, now: int) -> Verdict | None:
    """The verdict, if the facts already hold one."""
    message = view.message
    proved = proof(message)
    if proved is not None:
        return reached_by(message, proved, late=False)
    if message.acknowledged_at is not None:
        return acknowledged_verdict(message, late=False)
    if message.cancelled_at is not None:
        return Verdict(state="cancelled", at=now, text="Cancelled before anything proved that it arrived.")
    if message.superseded_by is not None:
        return Verdict(state="superseded", at=now, text="A newer message of the same thread took its place.")
    for step in steps_of(message):
        settled = settles(message, step, view.traits(step.channel), deadline)
        if settled is not None and settled[0] <= now:
            taken = settled[1]
            return Verdict(
                state="reached",
                channel=taken.channel,
                attempt=taken.id,
                level=level_of(taken),
                at=now,
                text=f"Taken by {taken.channel}, which cannot prove more; no failure was reported.",
            )
    if now < deadline:
        return None
    if not message.attempts:
        return Verdict(state="expired", at=now, code="deadline", text="Its time ran out before a try could begin.")
    return unreached(message, now)


def unreached(message: Message, now: int) -> Verdict:
    """The verdict when nothing is left to try or to wait for."""
    if any(a.status in ("started", "unknown") for a in message.attempts):
        code, text = (
            "outcome_unknown",
            "A provider's answer was lost and nothing was heard since: it may or may not have arrived.",
        )
    elif all(a.status == "failed" for a in message.attempts):
        code, text = "all_failed", "Every channel that could be tried has failed."
    else:
        code, text = "no_receipt", f"Nothing proved that it was {message.reach.until}."
    return Verdict(state="unreached", at=now, code=code, text=text)


def suppressed(skipped: Sequence[Skipped], now: int) -> Verdict:
    """The verdict when no channel may be tried at all."""
    if len({s.why.code for s in skipped}) == 1:
        why = skipped[0].why
        return Verdict(state="suppressed", at=now, code=why.code, text=why.text)
    text = "No channel is left to try: " + "; ".join(f"{s.channel}: {s.why.code}" for s in skipped)
    return Verdict(state="suppressed", at=now, code="no_route", text=text.rstrip(": ") + ".")
