"""What the tests of badly behaved carriers share."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.contract.world import Person, World

LONG = {"step": 600, "within": 900}
TEMPLATE = {"text": "Cut", "subject": "Cut", "wechat": {"template_id": "t1", "data": {"thing1": {"value": "Cut"}}}}


async def calm(w: World, channel: str, count: int = 4) -> None:
    """So many good messages: the channel's breaker has no reason to open."""
    for _ in range(count):
        person = await w.person(channel)
        message = await w.send(person, content=TEMPLATE, reach=LONG)
        await w.when(message, lambda one: one["attempts"] and one["attempts"][-1]["status"] in {"accepted", "sent"}, 60)


def copies_allowed(message: Any, channel: str) -> int:
    """How often a channel's provider may have been asked: one a round, one for each unknown, one for each refusal."""
    tried = [one for one in message["attempts"] if one["channel"] == channel]
    more = sum(one["status"] == "failed" or "unknown" in one["times"] for one in tried)
    return len({one["round"] for one in tried}) + more


def assert_honest(w: World, person: Person, message: Any) -> None:
    """The carrier's count against the record, for a person who was sent this one message."""
    took = [*w.twilio.texts, *w.twilio.calls]
    counted = Counter("voice" if one.sid.startswith("CA") else "sms" for one in took if one.to == person.number)
    for channel, count in counted.items():
        assert count <= copies_allowed(message, channel), (channel, count, message["attempts"])
