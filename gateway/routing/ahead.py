"""The route shown to people: what will happen if nothing is heard."""

from __future__ import annotations

from gateway.message import Held, RouteStep, Why
from gateway.routing.fallback import Step
from gateway.routing.route import Candidate
from gateway.routing.view import MOVING, View


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
