"""Standing in line: which channels a message waits for, until when it is held, and when to look again."""

from __future__ import annotations

from gateway.message import Held, RouteStep, Skipped
from gateway.routing.fallback import steps_of
from gateway.routing.holds import hold_for
from gateway.routing.limits import Limits
from gateway.routing.lines import Lines
from gateway.routing.rounds import Rounds
from gateway.routing.route import Candidate
from gateway.routing.view import MOVING, Turn, View


class Standing:
    """The ground of a decision: what may still be used, and the places, holds and moments that are written down."""

    def __init__(
        self, view: View, usable: list[Candidate], skipped: tuple[Skipped, ...], deadline: int, now: int
    ) -> None:
        self.view = view
        self.message = view.message
        self.usable = usable
        tried = {(a.channel, a.address) for a in view.message.attempts}
        self.limits = Limits(view.message, usable, now)
        passed = (*skipped, *self.limits.skipped())
        self.skipped = tuple(s for s in passed if (s.channel, s.address) not in tried)
        self.due_by = deadline
        self.deadline = deadline
        self.now = now
        self.steps = steps_of(view.message)
        self.rounds = Rounds(view.message, usable, self.steps, self.limits)
        self.wakes: list[int] = self.limits.wakes()
        self.turns: list[Turn] = []
        self.held: Held | None = None
        self.held_till = 0
        self.coming: list[Candidate] = []
        self.repeats: list[RouteStep] = []
        self.lines = Lines(view, now)

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
                self._stand(choice, self.rounds.number)
            return
        self._wait_for_one_of(left)

    def _open_in_next_round(self, left: list[Candidate]) -> tuple[Candidate | None, list[Candidate]]:
        """What is left of this round is shut: go on with the next one, if something is open there."""
        following = self.rounds.following()
        choice = self._open_one(following)
        if choice is None:
            return None, left
        self.rounds.number += 1
        return choice, following

    def _open_one(self, left: list[Candidate]) -> Candidate | None:
        """The first channel that is open, unless the category still waits for a shut one before it."""
        kept = self.lines.kept_place(left)
        if kept is not None:
            return kept
        for candidate in left:
            if self.lines.state(candidate).shut is None:
                return self._best_place(candidate, left)
            if self.lines.waits():
                return None
        return None

    def _best_place(self, first: Candidate, left: list[Candidate]) -> Candidate:
        place, look_again = self.lines.best_place(first, left)
        if look_again is not None:
            self.wakes.append(look_again)
        return place

    def _wait_for_one_of(self, left: list[Candidate]) -> None:
        """All that may be used now are shut: stand in their lines, and look again at the next probe."""
        for candidate in left:
            self._stand(candidate, self.rounds.number)
            rule = self.view.category.channel_down
            if rule == "wait":
                return
            if rule == "next_after_step" and self.lines.waits():
                self.wakes.append(self.lines.stays_until())
                return

    def _stand(self, candidate: Candidate, number: int) -> None:
        """Take a place in line, even of a shut channel, and say that the channel is what keeps the message."""
        channel = candidate.address.channel
        if not any(t.channel == channel for t in self.turns):
            self.turns.append(Turn(channel, candidate.address, number))
        state = self.lines.state(candidate)
        if state.shut is not None:
            self.wakes.append(self.lines.looks_again(candidate))
            text = f"The channel {channel} is {'paused' if state.shut == 'paused' else 'down'}."
            self.held = self.held or self._hold(state.shut, state.until, text)
        elif state.paced_until > self.now:
            text = f"The provider of {channel} asked us to slow down."
            self.held = self.held or self._hold("paced", state.paced_until, text)

    # Holds

    def _is_held(self, candidate: Candidate) -> bool:
        """Hold the message if nothing may be sent to this address now; True if it is held."""
        found = self.limits.hold(candidate) or hold_for(self.view, candidate, self.deadline, self.now)
        if found is None:
            return False
        self.held = self._hold(found.code, found.until, found.text)
        self.held_till = found.over
        self.wakes.append(found.over)
        if found.code in MOVING:
            moved = max(self.deadline, self.due_by + max(0, found.runs_on - self.now))
            expires = self.message.expires_at
            self.deadline = moved if expires is None else min(moved, expires)
        return True

    def _hold(self, code: str, until: int, text: str) -> Held:
        before = self.message.held
        since = before.since if before is not None and before.code == code else self.now
        return Held(until=until, code=code, text=text, since=since)
