"""The route shown to people: what will happen if nothing is heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.customer import Address
from gateway.message import Fault, Held, RouteStep, Why
from gateway.routing.fallback import Step
from gateway.routing.holds import hold_for, passes
from gateway.routing.retry import REMEDIES
from gateway.routing.route import Candidate
from gateway.routing.view import MOVING, View

_TOLD_BY_THE_CLOCK: Final = (*MOVING, "cap")
"""Holds that can be foreseen; a complaint may be settled by then, a broadcast go on."""


def ahead(
    view: View, coming: list[Candidate], steps: list[Step], held: Held | None, deadline: int, now: int
) -> list[RouteStep]:
    """The steps still to come, if everything before them stays silent."""
    message = view.message
    step_s = message.reach.step
    in_turn = message.reach.mode == "in_turn"
    begin = max(now, message.due_at, held.until if held is not None and held.code in MOVING else 0)
    if steps and step_s is not None and in_turn:
        begin = max(begin, steps[-1].began + step_s * 1000)
    found: list[RouteStep] = []
    for candidate in coming if step_s is not None or not in_turn else coming[:1]:
        if begin >= deadline:
            break
        why = candidate.why if not steps else Why("fall_back", f"If nothing proves that it was {message.reach.until}.")
        found.append(RouteStep(candidate.address.channel, candidate.address.value, max(0, begin - now) // 1000, why))
        begin += (step_s or 0) * 1000 if in_turn else 0
    return found


def foreseen(view: View, usable: Sequence[Candidate], deadline: int) -> tuple[Held | None, int]:
    """What will hold a message once it falls due, as far as hours and caps tell by now; and its deadline (ms) by then."""
    due = view.message.due_at
    found = hold_for(view, usable[0], deadline, due) if usable else None
    if found is None or found.code not in _TOLD_BY_THE_CLOCK:
        return None, deadline
    moved = deadline + (max(0, found.runs_on - due) if found.code in MOVING else 0)
    moved = moved if view.message.expires_at is None else min(moved, view.message.expires_at)
    return Held(until=found.until, code=found.code, text=found.text, since=due), moved


def repeat(step: Step, at: int, held: Held | None, now: int) -> RouteStep:
    """The same step once more at `at` (ms), and what makes it necessary."""
    last = step.attempts[-1]
    at = max(at, held.until) if held is not None and held.code in MOVING else at
    why = (
        "The provider's answer was lost."
        if last.status == "unknown"
        else REMEDIES[last.fault or Fault.UNEXPLAINED].text
    )
    return RouteStep(
        step.channel, step.address, max(0, at - now) // 1000, Why("repeat", f"{why} It is tried once more.")
    )


def explained(view: View, route: Sequence[RouteStep], now: int) -> tuple[RouteStep, ...]:
    """The steps as people are shown them: one that goes out within quiet hours says why it may."""
    found: list[RouteStep] = []
    for step in route:
        passing = passes(view, Address(step.channel, step.address), now + step.after * 1000)
        why = step.why if passing is None else Why(step.why.code, f"{step.why.text} {passing}")
        found.append(RouteStep(step.channel, step.address, step.after, why))
    return tuple(found)
