"""The next step: the usable addresses against the steps behind us."""

from __future__ import annotations

from gateway.message import Held, RouteStep, Skipped, Status, Verdict, Why
from gateway.routing.fallback import (
    OVER,
    PERMANENT,
    Step,
    StepState,
    ask_at,
    open_attempt,
    settles,
    step_end,
    step_state,
    steps_of,
)
from gateway.routing.holds import hold_for
from gateway.routing.route import Candidate
from gateway.routing.traits import ChannelState
from gateway.routing.verdicts import suppressed, unreached
from gateway.routing.view import MOVING, Next, Turn, View


class Plan:
    """One decision in the making. Its parts write down turns to stand in line for, and moments to look again."""

    def __init__(
        self, view: View, usable: list[Candidate], skipped: tuple[Skipped, ...], deadline: int, now: int
    ) -> None:
        self.view = view
        self.message = view.message
        self.usable = usable
        tried = {(a.channel, a.address) for a in view.message.attempts}
        self.skipped = tuple(s for s in skipped if (s.channel, s.address) not in tried)
        self.due_by = deadline
        self.deadline = deadline
        self.now = now
        self.steps = steps_of(view.message)
        self.round = max((s.round for s in self.steps), default=1)
        self.wakes: list[int] = []
        self.turns: list[Turn] = []
        self.held: Held | None = None
        self.coming: list[Candidate] = []

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
            route=tuple(ahead(self.view, self.coming, self.steps, self.held, self.deadline, self.now)),
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
        return next((c for c in self.usable if c.key == step.key), None)

    def _in_turn(self) -> None:
        left = self._left(self.round)
        if self.steps:
            further = left or self._next_round()
            if self.message.reach.step is None:
                further = []
            if self._current_goes_on(further):
                self.coming = further
                return
            left = further
            if left and not self._left(self.round):
                self.round += 1
        self._begin_one(left)

    def _current_goes_on(self, further: list[Candidate]) -> bool:
        """Whether the step that began last is still the one to wait for."""
        current = self.steps[-1]
        state = self._state(current)
        if state.kind == "over" and not further and current.attempts[-1].status == "failed":
            state = self._state(current, last_chance=True)
        if state.kind == "live":
            self.wakes.append(state.at)
        if state.kind == "repeat":
            return self._repeat(current, state.at, passable=bool(further))
        return state.kind == "live"

    def _repeat(self, step: Step, at: int, *, passable: bool) -> bool:
        """Stand in line once more for the same address; False when its channel is shut and others should go first."""
        candidate = self._again(step)
        if candidate is None:
            return False
        if at > self.now:
            self.wakes.append(at)
            return True
        state = self._channel(candidate)
        if state.shut is not None and passable and self.view.category.channel_down == "next_now":
            return False
        if not self._is_held(candidate):
            self._stand(candidate, step.round)
        return True

    def _all_at_once(self) -> None:
        left = self._left(self.round)
        current = [s for s in self.steps if s.round == self.round]
        alive = False
        for step in current:
            state = self._state(step)
            if state.kind == "repeat":
                alive |= self._repeat(step, state.at, passable=False)
            elif state.kind == "live":
                self.wakes.append(state.at)
                alive = True
        if current and not alive and all(self._channel(c).shut is not None for c in left):
            following = self._next_round()
            self.round += bool(following)
            left = following or left
        for candidate in left:
            if not self._is_held(candidate):
                self._stand(candidate, self.round)
        self.coming = left

    def _left(self, number: int) -> list[Candidate]:
        used = {s.key for s in self.steps if s.round == number}
        spoilt = {s.key for s in self.steps if s.attempts[-1].fault in PERMANENT and s.attempts[-1].status == "failed"}
        return [c for c in self.usable if c.key not in used and (number == 1 or c.key not in spoilt)]

    def _next_round(self) -> list[Candidate]:
        return self._left(self.round + 1) if self.round < self.message.reach.rounds else []

    # Lines

    def _begin_one(self, left: list[Candidate]) -> None:
        """Stand in the line of the channel whose turn it is, or of the shut ones that the category waits for."""
        self.coming = left
        if not left:
            return
        if self._is_held(left[0]):
            return
        choice = self._open_one(left)
        if choice is None and self.view.category.channel_down == "next_now" and self.steps:
            choice, left = self._open_in_next_round(left)
        if choice is not None:
            self.coming = [choice, *(c for c in left if c is not choice)]
            if not self._is_held(choice):
                self._stand(choice, self.round)
            return
        self._wait_for_one_of(left)

    def _open_in_next_round(self, left: list[Candidate]) -> tuple[Candidate | None, list[Candidate]]:
        """What is left of this round is shut: go on with the next one, if something is open there."""
        following = self._next_round()
        choice = self._open_one(following)
        if choice is None:
            return None, left
        self.round += 1
        return choice, following

    def _open_one(self, left: list[Candidate]) -> Candidate | None:
        """The first channel that is open, unless the category still waits for a shut one before it."""
        for candidate in left:
            if self._channel(candidate).shut is None:
                return self._shorter_line(candidate, left)
            if self._waits_for(candidate):
                return None
        return None

    def _waits_for(self, candidate: Candidate) -> bool:
        """Whether the message stays with a shut channel, by its category's `channel_down`."""
        rule = self.view.category.channel_down
        if rule == "next_after_step":
            until = self._stands_since(candidate) + (self.message.reach.step or 0) * 1000
            return self.now < until
        return rule == "wait"

    def _wait_for_one_of(self, left: list[Candidate]) -> None:
        """All that may be used now are shut: stand in their lines, and look again at the next probe."""
        for candidate in left:
            self._stand(candidate, self.round)
            rule = self.view.category.channel_down
            if rule == "wait":
                return
            if rule == "next_after_step" and self._waits_for(candidate):
                self.wakes.append(self._stands_since(candidate) + (self.message.reach.step or 0) * 1000)
                return

    def _stands_since(self, candidate: Candidate) -> int:
        return self.message.turns.get(candidate.address.channel, self.now)

    def _shorter_line(self, first: Candidate, left: list[Candidate]) -> Candidate:
        """A critical message keeps its place; after a whole step in it, it goes where the line is shorter."""
        step = self.message.reach.step
        if self.message.lane != "critical" or step is None:
            return first
        open_ones = [c for c in left if self._channel(c).shut is None]
        place = next((c for c in open_ones if c.address.channel in self.message.turns), first)
        stood = self.now - self._stands_since(place)
        self.wakes.append(self.now + step * 1000 - stood % (step * 1000))
        if stood < step * 1000:
            return place
        return min(open_ones, key=lambda c: (self._line(c), c is not place))

    def _line(self, candidate: Candidate) -> int:
        return self._channel(candidate).waits.get("critical", 0)

    def _channel(self, candidate: Candidate) -> ChannelState:
        return self.view.channels[candidate.address.channel]

    def _stand(self, candidate: Candidate, number: int) -> None:
        """Take a place in line, even of a shut channel, and say that the channel is what keeps the message."""
        channel = candidate.address.channel
        if not any(t.channel == channel for t in self.turns):
            self.turns.append(Turn(channel, candidate.address, number))
        state = self._channel(candidate)
        if state.shut is not None:
            self.wakes.append(max(state.until, self.now + 1))
            text = f"The channel {channel} is {'paused' if state.shut == 'paused' else 'down'}."
            self.held = self.held or self._hold(state.shut, state.until, text)

    # Holds and ends

    def _is_held(self, candidate: Candidate) -> bool:
        """Hold the message if nothing may be sent to this address now; True if it is held."""
        found = hold_for(self.view, candidate, self.deadline, self.now)
        if found is None:
            return False
        self.held = self._hold(found.code, found.until, found.text)
        self.wakes.append(found.until)
        if found.code in MOVING:
            moved = max(self.deadline, self.due_by + max(0, found.until - self.now))
            expires = self.message.expires_at
            self.deadline = moved if expires is None else min(moved, expires)
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
        waiting = (self._state(s, last_chance=s is self.steps[-1]) for s in self.steps)
        return None if any(state.kind != "over" for state in waiting) else unreached(self.message, self.now)

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
