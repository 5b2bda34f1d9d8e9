"""A run: one rule that was started by one event, from then until it has acted or was ended."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.message import Lane, Mode, Why
from gateway.rules.rule import ActKind
from gateway.store.ids import new_id, place_of
from gateway.store.keys import digest
from gateway.store.things import Listed, Place

KIND: Final = "run"
State = Literal["waiting", "acting", "acted", "cancelled", "dropped", "failed"]
"""`dropped`: when it was due there was nothing to do; `failed`: what it was to send could not be made."""
STATES: Final[tuple[State, ...]] = ("waiting", "acting", "acted", "cancelled", "dropped", "failed")
LIVE: Final = ("waiting", "acting")

REASONS: Final[Mapping[str, str]] = {
    "contrary_event": "A contrary event came in.",
    "rule_deleted": "Its rule was deleted.",
    "by_request": "Somebody asked to cancel it.",
    "conditions": "Its conditions didn't hold when it was due.",
    "customer_gone": "There is no such customer any more.",
}


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run. Times in ms.

    `born` and `version` name the rule as it was then. `type` and `event` are the event's, `data` its data while the run
    is live. `made`: the id of the message, invitation or case, of kind `does`; `verdict`: how the message ended.
    """

    id: str
    mode: Mode
    customer: str
    rule: str
    version: int
    born: int
    type: str
    event: str
    at: int
    began_at: int
    due_at: int
    data: dict[str, Any] = {}
    lane: Lane = "normal"
    does: ActKind = "message"
    state: State = "waiting"
    acted_at: int | None = None
    made: str | None = None
    verdict: str | None = None
    ended_at: int | None = None
    why: Why | None = None

    @property
    def live(self) -> bool:
        """Whether it has still to act."""
        return self.state in LIVE

    @property
    def seed(self) -> bytes:
        """What ids of the things it makes come from."""
        return hashlib.blake2b(f"run{chr(0)}{self.id}".encode(), digest_size=32).digest()

    @property
    def place(self) -> Place:
        """Where it is kept."""
        found = place_of_run(self.mode, self.id)
        if found is None:
            raise ValueError(self.id)
        return found

    def listed(self, *, on: bool = True) -> list[Listed]:
        """The lists it stands on; `on` False: it leaves them all."""
        stands = (("run", ""), ("run.customer", self.customer), ("run.rule", self.rule))
        return [
            *(Listed(self.mode, name, self.began_at, value, on) for name, value in stands),
            Listed(self.mode, "run.live", self.began_at, self.rule, on and self.live),
        ]

    def ended(self, state: State, code: str, now: int, text: str | None = None) -> Run:
        """The run, over for a reason."""
        why = Why(code, text or REASONS[code])
        return msgspec.structs.replace(self, state=state, why=why, ended_at=now, data={})


def run_id(mode: Mode, customer: str, rule: str, born: int, type_: str, event: str, received_at: int) -> str:
    """The id of the run of a rule for an event: the same for the same."""
    seed = hashlib.blake2b(chr(0).join((rule, str(born), type_, event)).encode(), digest_size=32).digest()
    return f"r{new_id(mode, customer, received_at, seed)}"


def place_of_run(mode: Mode, run: str) -> Place | None:
    """Where a run of that id would be; None: it can't be one of ours, or is another mode's."""
    found = place_of(run[1:]) if run.startswith("r") else None
    if found is None or found[0] != mode:
        return None
    return Place(found[1].number, f"{KIND}:{digest(f'{mode}{chr(0)}{run}')}")
