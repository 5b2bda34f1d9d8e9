"""Standing in line: which channel's line to wait in, for how long, and when to change places."""

from __future__ import annotations

from typing import Final

from gateway.routing.fallback import Step
from gateway.routing.route import Candidate
from gateway.routing.traits import ChannelState
from gateway.routing.view import View

HURRIED_TRIES: Final = 3
"""How often what is in a hurry is tried on a channel that can't take it, while others are left."""
SELDOM_MS: Final = 600_000
"""The longest that what waits for a shut channel goes without looking again."""


class Lines:
    """The channels' lines as one message sees them at `now` (ms)."""

    def __init__(self, view: View, now: int) -> None:
        self._view = view
        self._message = view.message
        self._now = now

    def state(self, candidate: Candidate) -> ChannelState:
        """The channel of an address as it stands."""
        return self._view.channels[candidate.address.channel]

    def stands_since(self, candidate: Candidate) -> int:
        """Since when (ms) the message has stood in that channel's line; now, if it doesn't."""
        return self._message.turns.get(candidate.address.channel, self._now)

    def stays_until(self) -> int:
        """How long (ms) a message that waits a step for shut channels does so; one wait for all of them."""
        since = min(self._message.turns.values(), default=self._now)
        return since + (self._message.reach.step or 0) * 1000

    def waits(self) -> bool:
        """Whether the message stays with a shut channel now, by its category's `channel_down`."""
        rule = self._view.category.channel_down
        return self._now < self.stays_until() if rule == "next_after_step" else rule == "wait"

    def passes_over(self, candidate: Candidate, step: Step) -> bool:
        """Whether what is in a hurry goes to its next channel instead of being tried here once more."""
        tries = sum(a.status == "failed" for a in step.attempts)
        hurries = self._view.category.channel_down == "next_now"
        return hurries and (self.state(candidate).shut is not None or tries >= HURRIED_TRIES)

    def looks_again(self, candidate: Candidate) -> int:
        """When (ms) to look at a shut channel again: ever more seldom where the message waits for it anyway."""
        waits = self._view.category.channel_down == "wait"
        stood = self._now - self.stands_since(candidate) if waits else 0
        # The line calls it when the channel opens, so nothing is missed.
        return max(self.state(candidate).until, self._now + min(stood, SELDOM_MS), self._now + 1)

    def kept_place(self, left: list[Candidate]) -> Candidate | None:
        """The open channel that a message went to because another one was shut: it doesn't go back."""
        if self._view.category.channel_down != "next_after_step":
            return None
        standing = (c for c in left if c.address.channel in self._message.turns)
        return next((c for c in standing if self.state(c).shut is None), None)

    def best_place(self, first: Candidate, left: list[Candidate]) -> tuple[Candidate, int | None]:
        """A critical message keeps its place; after a whole step in it, it goes where the line is shorter.

        Returns the place and when (ms) to look again.
        """
        step = self._message.reach.step
        if self._message.lane != "critical" or step is None:
            return first, None
        open_ones = [c for c in left if self.state(c).shut is None]
        place = next((c for c in open_ones if c.address.channel in self._message.turns), first)
        stood = self._now - self.stands_since(place)
        look_again = self._now + step * 1000 - stood % (step * 1000)
        if stood < step * 1000:
            return place, look_again
        return min(open_ones, key=lambda c: (self._length(c), c is not place)), look_again

    def _length(self, candidate: Candidate) -> int:
        return self.state(candidate).waits.get("critical", 0)
