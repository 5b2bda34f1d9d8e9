"""What the tour must come to: for each person the outcome that follows from her wishes and from what befalls her."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.message import Message
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

    The first of them is to reach her. A later one may do so where the earlier ones had their chance. `failing`: a channel
    that is down for a part of the time, which may be passed over without a try.
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


def deviation(sample: Sample, expected: Expected, message: Message | None) -> Deviation | None:
    """What is wrong with an outcome; None when it is the expected one."""
    if message is None:
        return Deviation(sample.id, expected.text(), "no message")
    verdict = message.verdict
    if not message.done:
        return Deviation(sample.id, expected.text(), f"still {message.status}")
    # In a later tour an address may be known to be dead, and then there may be nothing left to try.
    right = _by_the_right_one(expected, message) if expected.channels else verdict.state in ("unreached", "suppressed")
    found = verdict.state + (f" by {verdict.channel}" if verdict.channel else "")
    return None if right else Deviation(sample.id, expected.text(), found)


def _by_the_right_one(expected: Expected, message: Message) -> bool:
    by = message.verdict.channel
    if message.verdict.state != "reached" or by not in expected.channels:
        return False
    earlier = expected.channels[: expected.channels.index(by)]
    began = next(one.started_at for one in message.attempts if one.channel == by)
    return all(_had_its_chance(expected, message, name, began) for name in earlier)


def _had_its_chance(expected: Expected, message: Message, channel: str, until: int) -> bool:
    """True if a channel was tried without success, or for a whole step, before the time (ms) a later one began."""
    tries = [one for one in message.attempts if one.channel == channel and one.started_at < until]
    if not tries:
        return channel == expected.failing
    return any(one.status in ("failed", "unknown") or until - one.started_at >= expected.step * 1000 for one in tries)
