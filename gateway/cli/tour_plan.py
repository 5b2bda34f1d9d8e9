"""What the tour must come to: for each person the outcome that follows from her wishes and from what befalls her."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.message import Attempt, Message
from gateway.sandbox.behaviour import Fate, Manner
from gateway.sandbox.people import Sample

CATEGORY: Final = "outage"
ROUNDS: Final = 2
STRANDED: Final[dict[str, dict[str, Fate]]] = {
    "sample-025": {"sms": Fate.NO_RECEIPT, "voice": Fate.RINGS_OUT},
    "sample-075": {"sms": Fate.NO_RECEIPT, "voice": Fate.VOICEMAIL},
}
"""Two people with medical priority whom nothing reaches in the storm: somebody will have to knock at their doors."""


class Expected(msgspec.Struct, frozen=True):
    """`channels`: those that prove delivery to her, best first; none: she can't be reached.

    The first of them is to reach her. A later one may do so where the earlier ones had their chance: a try, or a whole
    step in a line that was too long. `failing`: a channel that is down for a part of the time, which may be passed over
    without either.
    """

    channels: tuple[str, ...]
    step: int
    failing: str | None = None

    def text(self) -> str:
        """In words."""
        if not self.channels:
            return "not reached"
        either = self.channels if self.channels[0] == self.failing else self.channels[:1]
        return f"reached by {' or '.join(either)}"


class Queued:
    """In which channels' lines the messages were seen to stand, and since when."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], set[int]] = {}

    def see(self, message: Message) -> None:
        """Note where a message stands now: its record forgets a line that it left."""
        for channel, since in message.turns.items():
            self._since.setdefault((message.id, channel), set()).add(since)

    def stood(self, message: Message, channel: str, until: int) -> int:
        """How long (ms) it had last stood in a channel's line when another channel's try began, at `until` (ms)."""
        known = self._since.get((message.id, channel), set())
        return until - max((since for since in known if since <= until), default=until)


class Deviation(msgspec.Struct, frozen=True):
    """A person whose outcome is not the expected one."""

    person: str
    expected: str
    found: str


def order_of(sample: Sample) -> list[str]:
    """Her channels for outage notices, best first."""
    own = sample.preferences.get("categories", {}).get(CATEGORY, {})
    return list(own.get("channels") or sample.preferences["channels"])


def fates_of(sample: Sample) -> dict[str, Fate]:
    """What befalls messages to her in the storm, by channel; a channel that isn't named delivers."""
    return {**sample.fates, **STRANDED.get(sample.id, {})}


def proves(channel: str, fate: Fate, manner: Manner) -> bool:
    """Whether a try on this channel ends with proof of delivery. A mail that was taken proves nothing."""
    if channel == "email" or fate is not Fate.DELIVERED:
        return False
    return channel != "voice" or manner.answer == "human"


def expected_of(sample: Sample, fates: Mapping[str, Fate], step: int, *, failing: str | None = None) -> Expected:
    """Her outcome, from her own order of channels. `step` in seconds."""
    good = [c for c in order_of(sample) if proves(c, fates.get(c, Fate.DELIVERED), sample.manner)]
    return Expected(tuple(good), step, failing)


def deviation(
    sample: Sample, expected: Expected, message: Message | None, queued: Queued | None = None
) -> Deviation | None:
    """What is wrong with an outcome; None when it is the expected one. `queued`: the lines it was seen to stand in."""
    if message is None:
        return Deviation(sample.id, expected.text(), "no message")
    verdict = message.verdict
    if not message.done:
        return Deviation(sample.id, expected.text(), f"still {message.status}")
    # In a later tour an address may be known to be dead, and then there may be nothing left to try.
    right = verdict.state in ("unreached", "suppressed")
    if expected.channels:
        right = _by_the_right_one(expected, message, queued or Queued())
    found = verdict.state + (f" by {verdict.channel}" if verdict.channel else "")
    return None if right else Deviation(sample.id, expected.text(), found)


def _by_the_right_one(expected: Expected, message: Message, queued: Queued) -> bool:
    by = message.verdict.channel
    if message.verdict.state != "reached" or by not in expected.channels:
        return False
    earlier = expected.channels[: expected.channels.index(by)]
    began = next(one.started_at for one in message.attempts if one.channel == by)
    return all(_had_its_chance(expected, message, name, began, queued) for name in earlier)


def _had_its_chance(expected: Expected, message: Message, channel: str, until: int, queued: Queued) -> bool:
    """True if a channel was tried without success, or for a whole step, before the time (ms) a later one began.

    What is critical leaves a line after a whole step in it for one that is shorter: then there is no try at all.
    """
    step = expected.step * 1000
    tries = [one for one in message.attempts if one.channel == channel and one.started_at < until]
    if not tries:
        return channel == expected.failing or queued.stood(message, channel, until) >= step
    return any(_failed_by(one, until) or until - one.started_at >= step for one in tries)


def _failed_by(attempt: Attempt, until: int) -> bool:
    """Whether a try had failed, or its answer was lost, by that time (ms), even if a receipt explained it afterwards."""
    return attempt.status in ("failed", "unknown") or attempt.times.get("unknown", until + 1) <= until
