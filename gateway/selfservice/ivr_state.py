"""Where a caller is in the telephone menu, what is known of them, and what they change: plain values.

A place travels in the address of the next question, which Twilio signs, so nothing is stored between two keys. It names
nobody: languages, channels, digits, and at most the id of the message that is being answered.
"""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

import msgspec

from gateway.customer import QuietHours
from gateway.prompts import Prompt, Value

Node = Literal[
    "question",
    "main",
    "stop_all",
    "language",
    "groups",
    "order",
    "confirm",
    "quiet",
    "quiet_from",
    "quiet_to",
    "quiet_ok",
]
Group = Literal["all", "outage", "service", "survey", "marketing"]
GROUPS: Final[dict[Group, tuple[str, ...]]] = {
    "all": (),
    "outage": ("outage",),
    "service": ("service", "follow_up"),
    "survey": ("survey",),
    "marketing": ("marketing",),
}
"""Kinds of messages as callers know them, and the categories they stand for; `all` is every one."""
CHANNELS: Final = ("sms", "voice", "email", "wechat")
"""In the order of their keys, 1 to 4: a channel keeps its key, whatever was chosen before."""
_LETTERS: Final = {"s": "sms", "v": "voice", "e": "email", "w": "wechat"}
_FIELD: Final = r"[a-z_]*\.[A-Za-z0-9-]{0,35}\.[0-9]{1,3}\.[0-9]\.[a-z]*\.[svew]{0,4}\.[0-9]{0,4}\.[0-9]{0,4}\.[a-z0-9]{0,40}(?:\.b)?"
_STATE: Final = re.compile(_FIELD)


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place in the menu. `turns` counts what was asked in this call, `silent` how often in a row nothing came back.

    `picked`: channels chosen so far; `start`, `end`: quiet hours as entered, four digits; `message`: what is answered;
    `borrowed`: the network has proved that the number is not the caller's, once for the whole call.
    """

    node: Node
    language: str
    turns: int = 0
    silent: int = 0
    group: Group = "all"
    picked: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    message: str = ""
    borrowed: bool = False

    def written(self) -> str:
        """The place as a part of an address."""
        picked = "".join(letter for name in self.picked for letter, full in _LETTERS.items() if full == name)
        parts = (
            self.node,
            self.language,
            self.turns,
            self.silent,
            self.group,
            picked,
            self.start,
            self.end,
            self.message,
            *(("b",) if self.borrowed else ()),
        )
        return ".".join(str(part) for part in parts)


def read_state(text: str) -> State | None:
    """A place as `written`; None for anything else, such as one of another release."""
    if not _STATE.fullmatch(text):
        return None
    name, language, turns, silent, group, picked, start, end, message, *borrowed = text.split(".")
    node: Node | None = next((node for node in get_args(Node) if node == name), None)
    if node is None or group not in GROUPS:
        return None
    return State(
        node=node,
        language=language,
        turns=int(turns),
        silent=int(silent),
        group=group,
        picked=tuple(dict.fromkeys(_LETTERS[letter] for letter in picked)),
        start=start,
        end=end,
        message=message,
        borrowed=bool(borrowed),
    )


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was sent to the caller's number and waits for an answer, as voice would say it."""

    message: str
    language: str
    speech: str
    asks: str
    prompt: Prompt


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a caller.

    `known`: the number is one customer's. `ways`: the channels in use for each group, in order. `channels`: those there is
    an address for. `quiet`: the hours in force, `usual` those of the installation; None: none. `closed`: the number has
    stopped something, `calls_closed`: its calls; `stopped`: they stopped everything, from elsewhere, and nothing here opens it.
    `borrowed`: it is proved not to be the caller's, who may only stop.
    `unagreed`: the groups that nobody gets before they agree, and they haven't. `question`: what they may have called back about.
    """

    language: str
    default: str
    company: str = ""
    known: bool = False
    ways: dict[Group, tuple[str, ...]] = {}
    channels: tuple[str, ...] = ()
    quiet: QuietHours | None = None
    usual: QuietHours | None = None
    closed: bool = False
    calls_closed: bool = False
    stopped: bool = False
    borrowed: bool = False
    unagreed: tuple[Group, ...] = ()
    question: Question | None = None


class SetOrder(msgspec.Struct, frozen=True):
    """Reach me for this group by these channels, in this order, and by no other."""

    group: Group
    channels: tuple[str, ...]


class Stop(msgspec.Struct, frozen=True):
    """Withdraw: `calls` to this number, `number` (calls and texts to it), or `everything`. `wording`: what was heard."""

    what: Literal["calls", "number", "everything"]
    wording: str


class Lift(msgspec.Struct, frozen=True):
    """Take back what this number has stopped. `wording`: what was heard."""

    wording: str


class SetLanguage(msgspec.Struct, frozen=True):
    """Speak and write this language to me (BCP 47)."""

    language: str


class SetQuiet(msgspec.Struct, frozen=True):
    """Quiet hours of one's own, the installation's (`usual`), or none."""

    what: Literal["own", "usual", "none"]
    start: str = ""
    end: str = ""


class GiveAnswer(msgspec.Struct, frozen=True):
    """Answer a message: `keys` as pressed, `value` as its prompt understands them."""

    message: str
    keys: str
    value: Value


Change = SetOrder | Stop | Lift | SetLanguage | SetQuiet | GiveAnswer
