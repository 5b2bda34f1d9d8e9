"""The next step: the usable addresses against the steps behind us."""

from __future__ import annotations

from gateway.message import RouteStep, Status, Verdict
from gateway.routing.ahead import ahead, repeat
from gateway.routing.fallback import (
    OVER,
    Step,
    StepState,
    ask_at,
    open_attempt,
    settles,
    step_end,
    step_state,
)
from gateway.routing.route import Candidate
from gateway.routing.standing import Standing
from gateway.routing.verdicts import suppressed, unreached
from gateway.routing.view import Next


class Plan(Standing):
    """One decision in the making."""

    def next(self) -> Next:
        """Work it out."""
        ask = self._asks()
        if not self._blocked_by_unknown():
            if self.message.reach.mode == "all_at_once":
                self._all_at_once()
            else:
                self._in_turn()
            closing = self._nothing_left()
            if closing is not None:
                return Next(status="done", wake_at=None, deadline=self.deadline, closing=closing, skipped=self.skipped)
        self._wait_for_news()
        return Next(
            status=self._status(),
            wake_at=min(self.deadline, *self.wakes) if self.wakes else self.deadline,
            deadline=self.deadline,
            turns=tuple(self.turns),
            ask=ask,
            held=self.held,
            skipped=self.skipped,
            route=tuple(self._route()),
        )

    def _route(self) -> list[RouteStep]:
        fresh = ahead(self.view, self.coming, self.steps, self.held, self.deadline, self.now)
        return sorted([*self.repeats, *fresh], key=lambda step: step.after)

    def _blocked_by_unknown(self) -> bool:
        """A category that never repeats after a lost answer waits for news until the deadline."""
        if self.view.category.unknown != "never_again" or not any(a.status == "unknown" for a in self.message.attempts):
            return False
        text = "The provider's answer was lost. This kind of message is never repeated, so nothing more is tried."
        self.held = self._hold("unknown_outcome", self.deadline, text)
        return True

    def _asks(self) -> tuple[str, ...]:
        # Asking may itself send, where a provider recognises a repeat: not to an address that may not be used any more.
        allowed = {c.key for c in self.usable}
        due: list[str] = []
        for attempt in self.message.attempts:
            if (attempt.channel, attempt.address) not in allowed:
                continue
            at = ask_at(attempt, self.view.traits(attempt.channel), self.view.category)
            if at is not None and at <= self.now:
                due.append(attempt.id)
            elif at is not None:
                self.wakes.append(at)
        return tuple(due)

    # Steps

    def _state(self, step: Step, *, last_chance: bool = False) -> StepState:
        """What a step is up to. With nothing else left to try, it is tried again until the deadline."""
        traits = self.view.traits(step.channel)
        end = self.due_by if last_chance else step_end(self.message, step, traits, self.due_by)
        state = step_state(step, traits, self.view.category, end, self.now)
        if state.kind == "repeat" and self._again(step) is None:
            return OVER
        if state.kind == "repeat":
            self.wakes.append(end)
        return state

    def _again(self, step: Step) -> Candidate | None:
        candidate = next((c for c in self.usable if c.key == step.key), None)
        hold = self.limits.hold(candidate) if candidate is not None else None
        return None if hold is not None and hold.until >= self.due_by else candidate

    def _in_turn(self) -> None:
        left = self.rounds.left()
        if self.steps:
            further = left or self.rounds.following()
            if self.message.reach.step is None:
                further = []
            if self._current_goes_on(further):
                self.coming = further
                return
            left = further
            if left and not self.rounds.left():
                self.rounds.number += 1
        self._begin_one(left)

    def _current_goes_on(self, further: list[Candidate]) -> bool:
        """Whether the step that began last is still the one to wait for."""
        current = self.steps[-1]
        state = self._state(current)
        if state.kind == "over" and not further and current.attempts[-1].status == "failed":
            state = self._state(current, last_chance=True)
        if state.kind == "repeat":
            return self._repeat(current, state.at, passable=bool(further))
        if state.kind == "over" or (further and self._lost_on_a_shut_channel(current)):
            return False
        self.wakes.append(state.at)
        return True

    def _lost_on_a_shut_channel(self, step: Step) -> bool:
        """No answer came and the channel is down since: what must not wait for such channels doesn't wait for this one."""
        state = self.view.channels.get(step.channel)
        lost = step.attempts[-1].status == "unknown" and state is not None and state.shut is not None
        return lost and self.view.category.channel_down == "next_now"

    def _repeat(self, step: Step, at: int, *, passable: bool) -> bool:
        """Stand in line once more for the same address; False when others should go first."""
        candidate = self._again(step)
        if candidate is None or (passable and self.lines.passes_over(candidate, step)):
            return False
        if at > self.now:
            self.wakes.append(at)
        elif passable and self.limits.hold(candidate) is not None:
            return False
        elif not self._is_held(candidate):
            self._stand(candidate, step.round)
        self.repeats.append(repeat(step, max(at, self.now), self.held, self.now))
        return True

    def _all_at_once(self) -> None:
        left = self.rounds.left()
        current = [s for s in self.steps if s.round == self.rounds.number]
        alive = False
        for step in current:
            state = self._state(step)
            if state.kind == "repeat":
                alive |= self._repeat(step, state.at, passable=False)
            elif state.kind == "live":
                self.wakes.append(state.at)
                alive = True
        if current and not alive and all(self.lines.state(c).shut is not None for c in left):
            following = self.rounds.following()
            self.rounds.number += bool(following)
            left = following or left
        for candidate in left:
            if not self._is_held(candidate):
                self._stand(candidate, self.rounds.number)
        self.coming = left

    # Ends

    def _nothing_left(self) -> Verdict | None:
        """Close when nothing can begin any more and nothing begun can still bring proof."""
        if self.held is not None and self.held.code == "cap" and self.held_till >= self.deadline:
            return Verdict(state="suppressed", at=self.now, code="cap", text=self.held.text)
        if self.turns or self.held is not None or self.coming:
            return None
        if any(open_attempt(self.message, a) for a in self.message.attempts):
            return None
        last = self.steps[-1] if self.steps else None
        states = (self._state(s, last_chance=s is last and s.attempts[-1].status == "failed") for s in self.steps)
        if any(state.kind != "over" for state in states) or self._waits_for_room():
            return None
        if self.steps:
            return unreached(self.message, self.now)
        return suppressed(self.limits.skipped() or self.skipped, self.now)

    def _waits_for_room(self) -> bool:
        """Hold the message for the addresses that a limit bars, where it lifts in time."""
        if self.steps and self.message.reach.step is None and self.message.reach.mode == "in_turn":
            return False
        self.coming = self.rounds.waiting(self.due_by)
        return bool(self.coming) and self._is_held(self.coming[0])

    def _wait_for_news(self) -> None:
        for step in self.steps:
            settled = settles(self.message, step, self.view.traits(step.channel), self.due_by)
            if settled is not None and settled[0] > self.now:
                self.wakes.append(settled[0])
        self.wakes += [a.lease_until for a in self.message.attempts if a.status == "started"]

    def _status(self) -> Status:
        if self.held is not None:
            return "held"
        if any(a.status == "started" for a in self.message.attempts):
            return "sending"
        return "waiting" if self.message.attempts else "queued"
