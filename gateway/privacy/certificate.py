"""An erasure as it is stored, and the certificate that is left of it.

A running erasure names the person, for it has to find what is theirs. The certificate that stays doesn't: it holds a
keyed hash of the customer's id, which matches whoever shows that id again and tells nobody else anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from gateway.message import Mode
from gateway.store.addresses import Hints

State = Literal["running", "done", "incomplete"]
CopyOutcome = Literal["erased", "not_possible", "failed", "pending"]
Stage = Literal["remembered", "let_go", "messages", "answers", "words", "things", "addresses", "copies"]
STAGES: Final[tuple[Stage, ...]] = (
    "remembered",
    "let_go",
    "messages",
    "answers",
    "words",
    "things",
    "addresses",
    "copies",
)
"""The stages of an erasure, in order."""
BUDGET_MS: Final = 5_000
"""How long one turn of a worker may take; the rest is for the next one."""


class Copy(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The copy of one attempt that a provider has, and what became of it. `due`: when it is asked (again), ms.

    `provider_id` only until the provider has erased it, or never will.
    """

    mode: Mode
    channel: str
    provider_id: str | None = None
    outcome: CopyOutcome = "pending"
    code: str | None = None
    text: str = ""
    tries: int = 0
    due: int = 0


class Copies(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the copies that a provider has: so many of a channel with the same outcome, code and reason."""

    channel: str
    outcome: CopyOutcome
    count: int
    code: str | None = None
    text: str = ""


def summed(copies: Iterable[Copy]) -> list[Copies]:
    """Copies with the same outcome together, in a stable order."""
    found: dict[tuple[str, ...], Copies] = {}
    for one in copies:
        same = (one.channel, one.outcome, one.code or "", one.text)
        count = 1 + (found[same].count if same in found else 0)
        found[same] = Copies(channel=one.channel, outcome=one.outcome, code=one.code, text=one.text, count=count)
    return [found[same] for same in sorted(found)]


class Kept(msgspec.Struct, frozen=True):
    """Something that isn't erased: what, why, and how long it stays. `count` None: not counted."""

    what: str
    why: str
    how_long: str
    count: int | None = None


class Erasure(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One erasure. Times in ms; `who`: the keyed hash of the customer's id; `by`: an API key's id, or "page".

    Until it has ended: `customer`, the `hints` at their addresses, those that withdrawals were `bound` to, the name that
    stands for `nobody` in what is left, the stage it has come to, with the last one looked at, and the erasures of `others`
    who are the same person: one-off recipients at no other addresses than theirs.
    """

    id: str
    who: str
    by: str
    requested_at: int
    state: State = "running"
    completed_at: int | None = None
    erased: dict[str, int] = {}
    copies: list[Copies] = []
    kept: list[Kept] = []
    customer: str | None = None
    nobody: str = ""
    hints: Hints = {}
    bound: tuple[str, ...] = ()
    stage: Stage = "remembered"
    cursor: str | None = None
    others: tuple[str, ...] = ()

    def ended(self, state: State, now: int, erased: dict[str, int], copies: list[Copies], kept: list[Kept]) -> Erasure:
        """What is left of it: the certificate, which names nobody."""
        return Erasure(
            id=self.id,
            who=self.who,
            by=self.by,
            requested_at=self.requested_at,
            state=state,
            completed_at=now,
            erased=erased,
            copies=copies,
            kept=kept,
            stage=STAGES[-1],
        )
