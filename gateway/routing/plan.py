"""The next step: the usable addresses against the steps behind us."""

from __future__ import annotations

from gateway.message import Held, RouteStep, Skipped, Status, Verdict, Why
from gateway.routing.fallback import PERMANENT, Step, StepState, ask_at, open_attempt, settles, step_state, steps_of
from gateway.routing.holds import hold_for
from gateway.routing.route import Candidate
from gateway.routing.verdicts import suppressed, unreached
from gateway.routing.view import MOVING, Next, Turn, View


class Plan:
    """One decision in the making: the usable addresses against the steps behind us."""

    def __init__(
        self, view: View, usable: list[Candidate], skipped: tuple[Skipped, ...], deadline: int, now: int
    ) -> None:
        self.view = view
        self.message = view.message
        self.usable = usable
        tried = {(a.channel, a.address) for a in view.message.attempts}
        self.skipped = tuple(s for s in skipped if (s.channel, s.address) not in tried)
        self.deadline = deadline
        self.now = now
        self.steps = steps_of(view.message)
        self.round = max((s.round for s in self.steps), default=1)
        self.wakes: list[int] = [deadline]
        self.turns: list[Turn] = []
        self.held: Held | None = None
        self.coming: list[Candidate] = []

    def next(self) -> Next:
        """Work it out."""
        blocked = self._blocked_by_unknown()
        ask = self._asks()
        if not blocked:
            if self.message.reach.mode == "all_at_once":
                self._all_at_once()
            else:
                self._in_turn()
            closing = self._nothing_left()
            if closing is not None:
                return Next(status="done", wake_at=None, deadline=self.deadline, closing=closing, skipped=self.skipped)
        self._wait_for_settling()
        return Next(
            status=self._status(),
            wake_at=min(self.wakes),
            deadline=self.deadline,
            turns=tuple(self.turns),
            ask=ask,
            held=self.held,
            skipped=self.skipped,
            route=tuple(ahead(self.view, self.coming, self.steps, self.deadline, self.now)),
        )

    def _blocked_by_unknown(self) -> bool:
        """A category that never repeats after a lost answer waits for news until the deadline."""
        if self.view.category.unknown != "never_again" or not any(a.status == "unknown" for a in self.message.attempts):
            return False
        text = "The provider's answer was lost. This kind of message is never repeated, so nothing more is tried."
        self.held = self._hold("unknown_outcome", self.deadline, text)
        return True

    def _asks(self) -> tuple[str, ...]:
        due: list[str] = []
        for attempt in self.message.attempts:
            at = ask_at(attempt, self.view.traits(attempt.channel), self.view.category)
            if at is not None and at <= self.now:
                due.append(attempt.id)
            elif at is not None:
                self.wakes.append(at)
        return tuple(due)

    def _state(self, step: Step) -> StepState:
        return step_state(
            self.message, step, self.view.traits(step.channel), self.view.category, self.deadline, self.now
        )

    def _in_turn(self) -> None:
        left = self._left(self.round)
        if self.steps:
            current = self.steps[-1]
            state = self._state(current)
            again = next((c for c in self.usable if c.key == current.key), None)
            if state.kind == "repeat" and again is not None:
                self.coming = left
                self._repeat(again, current.round, state.at)
                return
            if state.kind == "live":
                self.coming = left
                self.wakes.append(state.at)
                return
            if self.message.reach.step is None:
                return
            if not left:
                left = self._next_round()
        self.coming = left
        self._begin_one(left)

    def _all_at_once(self) -> None:
        left = self._left(self.round)
        current = [s for s in self.steps if s.round == self.round]
        alive = False
        for step in current:
            state = self._state(step)
            again = next((c for c in self.usable if c.key == step.key), None)
            if state.kind == "repeat" and again is not None:
                self._repeat(again, step.round, state.at)
                alive = True
            elif state.kind == "live":
                self.wakes.append(state.at)
                alive = True
        if current and not alive:
            left = left or self._next_round()
        for candidate in left:
            self._stand(candidate, hold=True)
        self.coming = left

    def _left(self, number: int) -> list[Candidate]:
        used = {s.key for s in self.steps if s.round == number}
        spoilt = {s.key for s in self.steps if s.attempts[-1].fault in PERMANENT and s.attempts[-1].status == "failed"}
        return [c for c in self.usable if c.key not in used and (number == 1 or c.key not in spoilt)]

    def _next_round(self) -> list[Candidate]:
        if self.round >= self.message.reach.rounds:
            return []
        left = self._left(self.round + 1)
        if left:
            self.round += 1
        return left

    def _repeat(self, candidate: Candidate, number: int, at: int) -> None:
        if at > self.now:
            self.wakes.append(at)
        elif not self._is_held(candidate):
            self._take_turn(candidate, number)

    def _begin_one(self, left: list[Candidate]) -> None:
        """Stand in the line of the first channel that is open, or of the one the category waits for."""
        for candidate in left:
            if self._is_held(candidate):
                return
            state = self.view.channels[candidate.address.channel]
            if state.shut is None:
                better = self._shorter_line(candidate, left)
                self._take_turn(better, self.round)
                return
            if self._waits_for(candidate):
                self._stand(candidate, hold=False)
                return
        if left:
            self._stand(left[0], hold=False)

    def _waits_for(self, candidate: Candidate) -> bool:
        """Whether the message stays with a shut channel, by its category's `channel_down`."""
        rule = self.view.category.channel_down
        if rule == "next_after_step":
            since = self.message.turns.get(candidate.address.channel, self.now)
            until = since + (self.message.reach.step or 0) * 1000
            if self.now < until:
                self.wakes.append(until)
                return True
            return False
        return rule == "wait"

    def _shorter_line(self, first: Candidate, left: list[Candidate]) -> Candidate:
        """A critical message that has stood in line for a whole step goes where the line is shorter."""
        step = self.message.reach.step
        since = self.message.turns.get(first.address.channel)
        if self.message.lane != "critical" or step is None:
            return first
        stood = 0 if since is None else self.now - since
        self.wakes.append(self.now + step * 1000 - stood % (step * 1000))
        if stood < step * 1000:
            return first
        waits = {c: self.view.channels[c.address.channel].waits.get("critical", 0) for c in left}
        others = [c for c in left if waits[c] < waits[first] and self.view.channels[c.address.channel].shut is None]
        return others[0] if others else first

    def _stand(self, candidate: Candidate, *, hold: bool) -> None:
        """Take a place in line, even of a shut channel, and say that the channel is what keeps it."""
        if hold and self._is_held(candidate):
            return
        self._take_turn(candidate, self.round)
        state = self.view.channels[candidate.address.channel]
        if state.shut is not None:
            self.wakes.append(max(state.until, self.now + 1))
            text = f"The channel {candidate.address.channel} is {'paused' if state.shut == 'paused' else 'down'}."
            self.held = self._hold(state.shut, state.until, text)

    def _take_turn(self, candidate: Candidate, number: int) -> None:
        self.turns.append(Turn(candidate.address.channel, candidate.address, number))

    def _is_held(self, candidate: Candidate) -> bool:
        """Hold the message if nothing may be sent to this address now; True if it is held."""
        found = hold_for(self.view, candidate, self.deadline, self.now)
        if found is None:
            return False
        hold = self.held = self._hold(found.code, found.until, found.text)
        self.wakes.append(hold.until)
        if hold.code in MOVING:
            expires = self.message.expires_at
            self.deadline += max(0, hold.until - self.now)
            self.deadline = self.deadline if expires is None else min(self.deadline, expires)
            self.wakes = [self.deadline, *self.wakes[1:]]
        return True

    def _hold(self, code: str, until: int, text: str) -> Held:
        before = self.message.held
        since = before.since if before is not None and before.code == code else self.now
        return Held(until=until, code=code, text=text, since=since)

    def _nothing_left(self) -> Verdict | None:
        """Close when nothing can begin any more and nothing begun can still bring proof."""
        if self.held is not None and self.held.code == "cap" and self.held.until >= self.deadline:
            return Verdict(state="suppressed", at=self.now, code="cap", text=self.held.text)
        if self.turns or self.held is not None or self.coming:
            return None
        if not self.message.attempts:
            return suppressed(self.skipped, self.now)
        if any(open_attempt(self.message, a) for a in self.message.attempts):
            return None
        if any(self._state(s).kind != "over" for s in self.steps):
            return None
        return unreached(self.message, self.now)

    def _wait_for_settling(self) -> None:
        for attempt in self.message.attempts:
            at = settles(self.message, attempt, self.view.traits(attempt.channel), self.deadline)
            if at is not None and at > self.now:
                self.wakes.append(at)
            if attempt.status == "started":
                self.wakes.append(attempt.lease_until)

    def _status(self) -> Status:
        if self.held is not None:
            return "held"
        if any(a.status == "started" for a in self.message.attempts):
            return "sending"
        return "waiting" if self.message.attempts else "queued"


def ahead(view: View, coming: list[Candidate], steps: list[Step], deadline: int, now: int) -> list[RouteStep]:
    """The steps still to come, if everything before them stays silent."""
    message = view.message
    step_s = message.reach.step
    shown = coming if step_s is not None or message.reach.mode == "all_at_once" else coming[:1]
    begin = max(now, message.due_at)
    if steps and step_s is not None and message.reach.mode == "in_turn":
        begin = max(begin, steps[-1].began + step_s * 1000)
    found: list[RouteStep] = []
    for candidate in shown:
        if begin >= deadline:
            break
        why = candidate.why if not steps else Why("fall_back", f"If nothing proves that it was {message.reach.until}.")
        found.append(RouteStep(candidate.address.channel, candidate.address.value, max(0, begin - now) // 1000, why))
        if message.reach.mode == "in_turn":
            begin += (step_s or 0) * 1000
    return found
