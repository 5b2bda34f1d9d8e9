"""What each category of message is allowed to do: data, not code.

The defaults below are the table of the public contract; `[categories.<name>]` in `gateway.toml` changes them or adds
categories of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from gateway.message import LANES, Lane, Level, Reach
from gateway.preferences.caps import Cap, Counted, SharedCap

DEFAULT_ORDER: Final = ("sms", "wechat", "email", "voice")


class Category(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rules of one category; durations in seconds.

    `step` None: no fall-back. `channel_down`: what a message does when its turn comes on a channel that is shut.
    `unknown`: what a lost answer allows. `legal_window`: marketing hours by region apply too.
    """

    consent: Literal["asked", "opt_out", "opt_in"]
    priority: Lane
    until: Level
    unproven: Literal["settle", "go_on"]
    step: Annotated[int, msgspec.Meta(ge=1)] | None
    within: Annotated[int, msgspec.Meta(ge=1)]
    quiet_hours: Literal["pass", "pass_while_critical", "held"]
    channel_down: Literal["next_now", "next_after_step", "wait"]
    unknown: Literal["try_again", "reconcile", "never_again"]
    cap: Cap | None = None
    legal_window: bool = False
    not_while_complaint: bool = False
    unsubscribe: bool = True
    channels: tuple[str, ...] = DEFAULT_ORDER

    def reach(self) -> Reach:
        """The reach contract a message of this category gets when it asks for nothing else."""
        return Reach(until=self.until, within=self.within, step=self.step, unproven=self.unproven)


CATEGORIES: Final[dict[str, Category]] = {
    "code": Category(
        consent="asked",
        priority="critical",
        until="delivered",
        unproven="go_on",
        step=60,
        within=600,
        quiet_hours="pass",
        channel_down="next_now",
        unknown="try_again",
        cap=Cap(5, 3600),
        unsubscribe=False,
    ),
    "reply": Category(
        consent="asked",
        priority="normal",
        until="accepted",
        unproven="settle",
        step=900,
        within=86400,
        quiet_hours="pass",
        channel_down="next_after_step",
        unknown="reconcile",
        unsubscribe=False,
    ),
    "outage": Category(
        consent="opt_out",
        priority="critical",
        until="delivered",
        unproven="go_on",
        step=300,
        within=3600,
        quiet_hours="pass_while_critical",
        channel_down="next_now",
        unknown="try_again",
        unsubscribe=False,
    ),
    "service": Category(
        consent="opt_out",
        priority="normal",
        until="delivered",
        unproven="settle",
        step=900,
        within=86400,
        quiet_hours="held",
        channel_down="next_after_step",
        unknown="reconcile",
    ),
    "follow_up": Category(
        consent="opt_out",
        priority="normal",
        until="delivered",
        unproven="settle",
        step=3600,
        within=172800,
        quiet_hours="held",
        channel_down="wait",
        unknown="reconcile",
    ),
    "survey": Category(
        consent="opt_out",
        priority="bulk",
        until="delivered",
        unproven="settle",
        step=3600,
        within=259200,
        quiet_hours="held",
        channel_down="wait",
        unknown="never_again",
        cap=Cap(1, 30 * 86400),
        not_while_complaint=True,
    ),
    "marketing": Category(
        consent="opt_in",
        priority="bulk",
        until="accepted",
        unproven="settle",
        step=None,
        within=86400,
        quiet_hours="held",
        channel_down="wait",
        unknown="never_again",
        cap=Cap(2, 7 * 86400),
        legal_window=True,
    ),
}  # fmt: skip - a table is read by its rows


def categories(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Category]:
    """The categories in force. Raises ValueError with one line per bad entry of `[categories.*]`."""
    table = dict(CATEGORIES)
    faults: list[str] = []
    for name, changes in overrides.items():
        base = msgspec.to_builtins(table.get(name, CATEGORIES["service"]))
        try:
            table[name] = msgspec.convert({**base, **changes}, Category)
        except msgspec.ValidationError as bad:
            faults.append(f"[categories.{name}]: {bad}; the fields are {', '.join(Category.__struct_fields__)}.")
    if faults:
        raise ValueError("\n".join(faults))
    return table


def shared_caps(given: Mapping[str, Mapping[str, Any]], known: Mapping[str, Category]) -> dict[str, SharedCap]:
    """The caps over several categories. Raises ValueError with one line per bad entry of `[caps.*]`."""
    found: dict[str, SharedCap] = {}
    faults: list[str] = []
    for name, raw in given.items():
        try:
            found[name] = msgspec.convert(raw, SharedCap)
        except msgspec.ValidationError as bad:
            faults.append(f"[caps.{name}]: {bad}; the fields are limit, window (seconds) and categories.")
            continue
        strange = [one for one in found[name].categories or () if one not in known]
        if strange:
            faults.append(f"[caps.{name}]: no category {', '.join(strange)}; there are {', '.join(known)}.")
    if faults:
        raise ValueError("\n".join(faults))
    return found


def caps_of(name: str, category: Category, shared: Mapping[str, SharedCap]) -> tuple[Counted, ...]:
    """The caps that a message of a category counts against: its own, and the shared ones that name it.

    A cap that names no category leaves out what the person asked for (`code`, `reply`) and what is critical.
    """
    own = () if category.cap is None else (Counted(name, category.cap),)
    waits = category.consent != "asked" and category.priority != "critical"
    wide = [
        Counted(f"*{cap}", rule, cap)
        for cap, rule in shared.items()
        if (waits if rule.categories is None else name in rule.categories)
    ]
    return (*own, *wide)


def may_lower(own: Lane, asked: Lane) -> bool:
    """True when `asked` does not raise the priority above the category's own."""
    return LANES.index(asked) >= LANES.index(own)
