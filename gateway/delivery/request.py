"""What a caller may ask for, and what is wrong with it: every bad field at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from gateway.content.content import Body, Content, problems
from gateway.customer import Address, ConsentEntry
from gateway.message import LANES, PENDING, Lane, Message, Reach
from gateway.preferences.quiet_hours import minutes
from gateway.prompts import Prompt, validate
from gateway.routing.policy import Category, may_lower

Problem = tuple[str, str]
YEAR_MS: Final = 366 * 86_400_000
MOST_WITHIN: Final = 30 * 86400
MOST_METADATA: Final = 4096
NOBODY_KNOWS: Final[Lane] = "normal"
"""The lane of a category that doesn't exist."""


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who isn't stored as a customer; the addresses are normalised."""

    addresses: tuple[Address, ...]
    locale: str | None = None
    time_zone: str | None = None
    consent: ConsentEntry | None = None


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as asked for. Times in ms; `reach` holds only what the caller said. `only`: of the customer's own addresses, these.

    `proves`, `broadcast`, `about`, `body_of`: see `Message`; nobody outside can ask for them.
    """

    category: str
    customer: str | None = None
    recipient: Recipient | None = None
    template: str | None = None
    data: dict[str, Any] = {}
    content: dict[str, Any] | None = None
    reach: Mapping[str, Any] = {}
    priority: Lane | None = None
    prompt: Prompt | None = None
    thread: str | None = None
    send_at: int | None = None
    send_at_local: str | None = None
    expires_at: int | None = None
    reference: str | None = None
    metadata: dict[str, Any] = {}
    retry_of: str | None = None
    only: tuple[Address, ...] = ()
    proves: bool = False
    broadcast: str | None = None
    about: str | None = None
    body_of: str | None = None


class Rejected(Exception):
    """The request can't be accepted; `problems` are (JSON pointer, sentence)."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{pointer}: {detail}" for pointer, detail in problems))
        self.problems = problems


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    until: Any = None
    within: Any = None
    step: Any = None
    mode: Any = None
    rounds: Any = None
    channels: Any = None
    unproven: Any = None


def lane_of(category: str, priority: object, categories: Mapping[str, Category]) -> Lane:
    """The lane of a message as asked for, before anything is checked: nobody gets ahead by asking for what isn't allowed."""
    own = categories[category].priority if category in categories else NOBODY_KNOWS
    for lane in LANES:
        if lane == priority and may_lower(own, lane):
            return lane
    return own


def given_addresses(new: NewMessage) -> tuple[tuple[str, str], ...] | None:
    """The addresses of a one-off recipient, or those it is limited to, as they stand in a record; None: all the customer's."""
    given = new.only if new.recipient is None else new.recipient.addresses
    return tuple((a.channel, a.value) for a in given) or None


def renewed(old: Message, message_id: str, reach: Reach, at: int, n: int) -> Message:
    """An old message once more, of time `at` (ms) and the n-th of its request: what is kept and what begins anew.

    It serves the same thing, but is nobody's place in a broadcast: there the old one stands.
    """
    return msgspec.structs.replace(
        old,
        id=message_id,
        reach=reach,
        created_at=at,
        due_at=at,
        order=at * 1000 + n,
        send_at=None,
        send_at_local=None,
        expires_at=None,
        status="queued",
        verdict=PENDING,
        closing=None,
        held=None,
        held_ms=0,
        turns={},
        unfit={},
        limited={},
        skipped=(),
        attempts=[],
        answer=None,
        later_answers=[],
        acknowledged_at=None,
        acknowledged_by=None,
        retry_of=old.id,
        broadcast=None,
        owed=False,
        body_of=None,
        claimed=False,
        superseded_by=None,
        cancelled_at=None,
    )


def check(new: NewMessage, categories: Mapping[str, Category], now: int) -> list[Problem]:
    """Everything that can be said of a request without asking Redis."""
    found: list[Problem] = []
    category = categories.get(new.category)
    if category is None:
        found.append(("/category", f"must be one of {', '.join(sorted(categories))}."))
    elif new.priority is not None and not may_lower(category.priority, new.priority):
        found.append(("/priority", f"may only lower the category's own priority, which is {category.priority}."))
    if (new.customer is None) == (new.recipient is None):
        found.append(("/customer", "Give exactly one of customer and recipient."))
    if new.recipient is not None and not new.recipient.addresses:
        found.append(("/recipient/addresses", "needs at least one address."))
    if (new.template is None) == (new.content is None):
        found.append(("/template", "Give exactly one of template and content."))
    if new.content is not None and new.data:
        found.append(("/data", "goes with a template; literal content takes none."))
    if new.prompt is not None:
        found += [(f"/prompt{pointer}", detail) for pointer, detail in validate(new.prompt)]
    found += _times(new, now)
    for name, value, most in (("thread", new.thread, 128), ("reference", new.reference, 255)):
        if value is not None and not 1 <= len(value) <= most:
            found.append((f"/{name}", f"must have 1 to {most} characters."))
    if len(msgspec.json.encode(new.metadata)) > MOST_METADATA:
        found.append(("/metadata", f"may hold {MOST_METADATA} bytes of JSON."))
    return found


def _times(new: NewMessage, now: int) -> list[Problem]:
    found: list[Problem] = []
    if new.send_at is not None and new.send_at_local is not None:
        found.append(("/send_at_local", "Give send_at or send_at_local, not both."))
    if new.send_at is not None and new.send_at > now + YEAR_MS:
        found.append(("/send_at", "may lie a year ahead at most."))
    if new.send_at_local is not None:
        try:
            minutes(new.send_at_local)
        except ValueError:
            found.append(("/send_at_local", 'must be a local time such as "09:00".'))
    if new.expires_at is not None and new.expires_at <= max(now, new.send_at or 0):
        found.append(("/expires_at", "must lie in the future, and after send_at."))
    return found


def literal(content: dict[str, Any], faults: list[Problem]) -> Body:
    """Content given with the request; what is wrong with it goes into `faults`."""
    try:
        body = Body(content=msgspec.convert(content, Content))
    except msgspec.ValidationError as bad:
        detail, _, place = str(bad).partition(" - at `$")
        pointer = place.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        faults.append(("/content" + pointer, detail))
        return Body()
    faults += problems(body)
    return body


def prompt_for(new: NewMessage, category: Category | None) -> Prompt | None:
    """The message's prompt; `until: acknowledged` without one adds one."""
    if new.prompt is not None or category is None:
        return new.prompt
    until = new.reach.get("until") or category.until
    return Prompt(kind="acknowledge") if until == "acknowledged" else None


def reach_for(
    asked: Mapping[str, Any], category: Category, prompt: Prompt | None, known: Collection[str], faults: list[Problem]
) -> Reach | None:
    """The reach contract with all defaults filled in; None when something is wrong with it, which goes into `faults`."""
    own = msgspec.to_builtins(category.reach())
    if prompt is not None and prompt.kind == "acknowledge":
        own["until"] = "acknowledged"
    given = {k: v for k, v in asked.items() if v is not None}
    unknown = [k for k in given if k not in _Asked.__struct_fields__]
    faults += [(f"/reach/{k}", "is not a field of reach.") for k in unknown]
    bad = len(unknown)
    for name, value in given.items():
        try:
            if name not in unknown:
                msgspec.convert({**own, name: value}, Reach)
        except msgspec.ValidationError as wrong:
            faults.append((f"/reach/{name}", f"{str(wrong).partition(' - at')[0]}."))
            bad += 1
    if bad:
        return None
    reach = msgspec.convert({**own, **given}, Reach)
    wrong = _bounds(reach, known)
    faults += wrong
    return None if wrong else reach


def _bounds(reach: Reach, known: Collection[str]) -> list[Problem]:
    found: list[Problem] = []
    if not 1 <= reach.within <= MOST_WITHIN:
        found.append(("/reach/within", f"must be 1 to {MOST_WITHIN} seconds."))
    if reach.step is not None and not 1 <= reach.step <= MOST_WITHIN:
        found.append(("/reach/step", f"must be 1 to {MOST_WITHIN} seconds."))
    if not 1 <= reach.rounds <= 10:
        found.append(("/reach/rounds", "must be 1 to 10."))
    if reach.channels is not None:
        found += [
            (f"/reach/channels/{n}", f"must be one of {', '.join(sorted(known))}.")
            for n, channel in enumerate(reach.channels)
            if channel not in known
        ]
        if not reach.channels or len(set(reach.channels)) != len(reach.channels):
            found.append(("/reach/channels", "must name at least one channel, and none twice."))
    return found
