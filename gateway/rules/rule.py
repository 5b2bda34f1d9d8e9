"""What a rule says: which event starts it, what must hold, how long it waits, what cancels it, and what it does then."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.message import Lane, Mode
from gateway.prompts import Prompt
from gateway.rules.conditions import Condition, Facts, holds

END: Final = r"(?!\n)$"
DAY_S: Final = 86_400
MOST_WAIT: Final = 366 * DAY_S
"""The longest wait, seconds."""
EventType = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9._:/-]{0,127}" + END,
        description="What happened, in your words: `order.delivered`, `checkout.started` …",
    ),
]
Seconds = Annotated[int, Meta(ge=0, le=MOST_WAIT, description="Seconds from the event's `at`.")]
LocalTime = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]" + END, description="The person's next HH:MM.")
]
OncePer = Literal["event", "customer"]
ActKind = Literal["message", "survey", "case"]


class Wait(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How long a rule waits: `seconds`, and from then until the person's clock shows `until_local`."""

    seconds: Seconds = 0
    until_local: LocalTime | None = None


class Unless(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A contrary event of the same customer, which cancels what waits."""

    type: EventType
    match: Annotated[
        tuple[str, ...] | dict[str, str],
        Meta(
            description="Names in the data that must have the same value in both events; as an object, the contrary "
            "event's name to that of the event that started the rule. Without it any event of the type counts."
        ),
    ] = ()

    def pairs(self) -> dict[str, str]:
        """Paths in the contrary event's data, and in that of the event that started the rule."""
        return self.match if isinstance(self.match, dict) else {name: name for name in self.match}


class CaseOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A case to be opened."""

    kind: Annotated[str, Meta(min_length=1, max_length=64)]
    subject: Annotated[str, Meta(min_length=1, max_length=200)]
    description: Annotated[str, Meta(max_length=4000)] = ""
    owner: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class Then(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule does: a message (`category` and `template` or `content`), an invitation to a `survey`, or a `case`."""

    category: str | None = None
    template: str | None = None
    content: dict[str, Any] | None = None
    data: dict[str, Any] = {}
    prompt: Prompt | None = None
    reach: dict[str, Any] | None = None
    priority: Lane | None = None
    thread: str | None = None
    reference: str | None = None
    metadata: dict[str, Any] = {}
    survey: str | None = None
    case: CaseOf | None = None

    @property
    def kind(self) -> ActKind:
        """Which of the three it is."""
        if self.survey is not None:
            return "survey"
        return "message" if self.case is None else "case"


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule as it was uploaded. `per` in seconds, with `once_per` "customer"."""

    on: str
    then: Then
    when: Condition | tuple[Condition, ...] | None = None
    wait: int | Wait | None = None
    unless: tuple[Unless, ...] = ()
    once_per: OncePer = "event"
    per: int | None = None
    enabled: bool = True
    description: str | None = None

    @property
    def conditions(self) -> tuple[tuple[str, Condition], ...]:
        """Everything that must hold, each with its place in the rule."""
        if isinstance(self.when, tuple):
            return tuple((f"/when/{n}", one) for n, one in enumerate(self.when))
        return () if self.when is None else (("/when", self.when),)

    def allows(self, facts: Facts) -> bool | None:
        """Whether every condition holds; None: that depends on the customer, who isn't known yet."""
        found = [holds(one, facts) for _, one in self.conditions]
        return False if False in found else None if None in found else True

    @property
    def waits(self) -> Wait:
        """How long it waits."""
        return self.wait if isinstance(self.wait, Wait) else Wait(seconds=self.wait or 0)


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule as it is kept. Times in ms. `rule` None: it was deleted. `born`: when the first version of it came to be,
    which tells it from one of the same id that was deleted. `sweep`: runs of deleted ones have still to be ended.
    """

    id: str
    mode: Mode
    rule: Rule | None
    version: int = 1
    born: int = 0
    changed_at: int = 0
    sweep: bool = False
