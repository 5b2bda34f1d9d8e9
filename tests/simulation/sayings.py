"""What people write, and what may no longer begin then: told by the words of the contract, not by our code.

A withdrawal counts from the moment in which whoever brought it had their answer. A word that lifts it counts from when it
was written, if it was written later.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import msgspec

from gateway.delivery.inbound import Item
from gateway.message import Attempt, Message
from tests.simulation.watched import Event

ANY: Final = "*"
CLOSES: Final[dict[str, tuple[str, str]]] = {
    "STOP": ("sms", ANY),
    "ΣΤΟΠ": ("sms", ANY),
    "Please stop texting me": ("sms", ANY),
    "STOP ALL": (ANY, ANY),
    "stop surveys": (ANY, "survey"),
    "no more calls": ("voice", ANY),
}
"""The channel and the category that a text closes, said by SMS."""
OPENS: Final = {"START": ANY, "yes": ANY, "START survey": "survey"}
"""Of what a text lifts what the same address has closed; "yes" only where it answers nothing."""
ELSE: Final = ("1", "hello", "Ελληνικά", "PREF wechat email sms", "what does stop mean?")
TEXTS: Final = ("STOP",) * 3 + ("START",) * 2 + (*CLOSES, *OPENS) + ELSE
_item: Final = msgspec.msgpack.Decoder(Item)


class Said(msgspec.Struct, frozen=True):
    """A text that somebody has written. `at`: when, ms since the storm's clock began; `who`: the person who did."""

    who: str
    sender: str
    text: str
    at: int
    id: str


class Sayings:
    """What has been said in a storm."""

    def __init__(self, events: list[Event], said: dict[str, Said]) -> None:
        self._said = said
        self._moved = {(event.about, event.outcome) for event in events if event.what == "moved"}
        self._closed: defaultdict[str, list[Said]] = defaultdict(list)
        self._lifted: defaultdict[str, list[Said]] = defaultdict(list)
        became: dict[str, str] = {}
        for event in events:
            if event.what == "settle":
                item = _item.decode(event.state)
                became[item.inbound.id] = item.outcome
        for one in said.values():
            if one.text in OPENS and became.get(one.id) == "consent":
                self._lifted[one.sender].append(one)

    def told(self, number: str) -> None:
        """Whoever brought a text has had their answer."""
        one = self._said[number]
        if one.text in CLOSES:
            self._closed[one.sender].append(one)

    def forbids(self, message: Message, attempt: Attempt) -> str | None:
        """The text against which an attempt begins now; None when there is none."""
        for sender, closed in self._closed.items():
            for one in closed:
                channel, category = CLOSES[one.text]
                here = attempt.address == sender and attempt.channel in ("sms", "voice")
                # Who moved about the same time may have been another's by then.
                theirs = channel == ANY and message.customer == one.who and (one.who, sender) not in self._moved
                if (
                    (here or theirs)
                    and channel in (ANY, attempt.channel)
                    and category in (ANY, message.category)
                    and not self._undone(one, category)
                ):
                    return one.text
        return None

    def switched_on(self, customer: str, category: str, since: int) -> bool:
        """Whether the person has asked again, since a time, for what was switched off."""
        return any(
            one.who == customer and OPENS[one.text] == category and one.at >= since
            for lifted in self._lifted.values()
            for one in lifted
        )

    def _undone(self, stop: Said, category: str) -> bool:
        return any(one.at > stop.at and OPENS[one.text] == category for one in self._lifted[stop.sender])
