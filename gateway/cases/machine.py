"""How a case goes on: which step follows which, and what each one makes of it. Pure.

Every step is safe to repeat: it names what it belongs to (the request, the offer's number, the round of resolving), and a
second time it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.cases.nouns import Case, Ended, FollowUp, NewCase, Note, Offer, Status, Step
from gateway.message import Mode
from gateway.prompts import Answer, Option
from gateway.settings_types import CaseSettings

DUE_IN: Final = 86_400
"""Seconds until a case is due whose kind says nothing else."""
MOST_NOTES: Final = 500
"""Of them those of operators are refused beyond, and the customer's only stay in their thread."""
MOST_STEPS: Final = 1000
"""How much of the history is kept."""

WAYS: Final[dict[Status, dict[str, Status]]] = {
    "open": {"offer": "waiting", "resolve": "resolved"},
    "waiting": {"choose": "open", "lapse": "open", "withdraw": "open"},
    "resolved": {"confirm": "closed", "reopen": "reopened"},
    "closed": {"reopen": "reopened"},
    "reopened": {"offer": "waiting", "resolve": "resolved"},
}
"""From each status, what may be done, and the status after it."""
_ASKED: Final[dict[Status, dict[Status, str]]] = {
    "waiting": {"open": "withdraw"},
    "resolved": {"closed": "confirm", "reopened": "reopen"},
    "closed": {"reopened": "reopen"},
}
"""What an operator does by setting a status."""
_SPOKEN: Final = ("opened", "offered", "asked")
_REMEDY: Final[dict[Status, str]] = {
    "open": "make an offer (POST …/offer) or resolve it (POST …/resolve)",
    "waiting": "wait for the customer's choice, or withdraw the offer (PATCH status open)",
    "resolved": "wait for the customer's answer, close it (PATCH status closed) or open it again (PATCH status reopened)",
    "closed": "open it again (PATCH status reopened)",
    "reopened": "make an offer (POST …/offer) or resolve it (POST …/resolve)",
}


def spoken_at(case: Case) -> int:
    """When the customer and we last spoke of it, ms."""
    return max(s.at for s in case.history if s.by == "customer" or s.what in _SPOKEN or s is case.history[0])


class NotNow(Exception):
    """A step that the case's status doesn't allow; its text says what is possible."""


def way(case: Case, what: str) -> Status:
    """The status after a step. Raises NotNow."""
    found = WAYS[case.status].get(what)
    if found is None:
        raise NotNow(f"The case is {case.status}: {_REMEDY[case.status]}.")
    return found


def stepped(case: Case, at: int, by: str, what: str, facts: dict[str, Any] | None = None, **changes: Any) -> Case:
    """The case with one more step in its history, and these changes."""
    step = Step(n=case.steps + 1, at=at, by=by, what=what, facts=facts or {})
    history = (*case.history, step)[-MOST_STEPS:]
    return msgspec.structs.replace(case, history=history, steps=step.n, changed_at=max(at, case.changed_at), **changes)


def opened(new: NewCase, own: CaseSettings, name: str, mode: Mode, at: int, by: str, token: str) -> Case:
    """A new case, owned and due as was asked for, else as its kind says (`own`)."""
    due_in = new.due_in or own.due_in or DUE_IN
    case = Case(
        id=name,
        mode=mode,
        customer=new.customer,
        kind=new.kind,
        subject=new.subject,
        description=new.description,
        owner=new.owner or own.owner,
        outage=new.outage,
        source=new.source,
        complaint=own.complaint,
        token=token,
        created_at=at,
        changed_at=at,
        due_at=at + due_in * 1000,
        due_in=due_in,
        notice="" if new.notify else None,
    )
    return stepped(case, at, by, "opened", {"kind": case.kind, "owner": case.owner})


# What operators do


def offered(
    case: Case, options: Sequence[Option], closes_in: int, at: int, by: str, token: str, happened: str | None = None
) -> Case | None:
    """An offer goes out; None: this one has. Raises NotNow."""
    if case.offer is not None and case.offer.token == token:
        return None
    status, n = way(case, "offer"), 1 if case.offer is None else case.offer.n + 1
    offer = Offer(
        n=n, options=tuple(options), made_at=at, closes_at=at + closes_in * 1000, token=token, happened=happened
    )
    facts = {"offer": n, "options": [option.id for option in options]}
    return stepped(case, at, by, "offered", facts, status=status, offer=offer)


def resolved(case: Case, root_cause: str, action: str, after: int, at: int, by: str, token: str) -> Case | None:
    """It is put right; the customer is asked `after` seconds. None: this has been said. Raises NotNow."""
    if case.follow_up is not None and case.follow_up.token == token:
        return None
    status, number = way(case, "resolve"), 1 if case.follow_up is None else case.follow_up.round + 1
    return stepped(
        case,
        at,
        by,
        "resolved",
        {"round": number},
        status=status,
        root_cause=root_cause,
        action=action,
        resolved_at=at,
        flagged=False,
        follow_up=FollowUp(round=number, ask_at=at + after * 1000, token=token),
    )


def set_to(case: Case, status: Status, at: int, by: str) -> Case:
    """An operator sets the status. Raises NotNow for one that only comes of something else."""
    if status == case.status:
        return case
    what = _ASKED.get(case.status, {}).get(status)
    if what is None:
        raise NotNow(f"The case is {case.status} and can't be set to {status}: {_REMEDY[case.status]}.")
    match what:
        case "withdraw":
            return ended(case, "withdrawn", at, by)
        case "confirm":
            return closed(case, at, by)
        case _:
            return reopened(case, at, by)


def patched(case: Case, given: Mapping[str, Any], at: int, by: str) -> Case:
    """An operator changes owner, subject, kind, complaint or due_at; the history says which, without words.

    A new due time begins the reminders anew.
    """
    changes = {name: value for name, value in given.items() if getattr(case, name) != value}
    if not changes:
        return case
    facts = {"fields": sorted(changes)} | {name: changes[name] for name in ("owner", "kind") if name in changes}
    if "due_at" in changes:
        changes |= {"overdue_at": None, "escalations": 0}
    if "complaint" in changes:
        changes["flagged"] = False
    return stepped(case, at, by, "changed", facts, **changes)


def noted(case: Case, note: Note) -> Case | None:
    """A note is added; None: it is there. Raises NotNow when there is no room for more of an operator's."""
    if any(note.id == known.id for known in case.notes):
        return None
    if len(case.notes) >= MOST_NOTES:
        if note.of == "operator":
            raise NotNow(f"The case has {MOST_NOTES} notes already: resolve it, or open another.")
        return None
    by = note.by if note.of == "operator" else note.of
    facts = {"note": note.id} | ({} if note.channel is None else {"channel": note.channel})
    return stepped(case, note.at, by, "noted", facts, notes=(*case.notes, note))


def announced(case: Case, broadcast: str, at: int, by: str) -> Case | None:
    """The customer hears that it was mended, with all others; None: that is known."""
    if any(step.what == "announced" and step.facts.get("broadcast") == broadcast for step in case.history):
        return None
    return stepped(case, at, by, "announced", {"broadcast": broadcast})


# What comes of them


def ended(case: Case, how: Ended, at: int, by: str, code: str | None = None) -> Case:
    """The offer that is out is over without a choice. Raises NotNow when none is out."""
    status, offer = way(case, "withdraw" if how == "withdrawn" else "lapse"), case.offer
    if offer is None:
        raise NotNow("No offer is out.")
    facts: dict[str, Any] = {"offer": offer.n} | ({} if code is None else {"code": code})
    drop = case.drop if offer.message is None else (*case.drop, offer.message)
    over = msgspec.structs.replace(offer, ended=how, ended_at=at)
    return stepped(case, at, by, f"offer_{how}", facts, status=status, offer=over, drop=drop)


def chosen(case: Case, n: int, option: str, answer: Answer) -> Case | None:
    """The customer chose one of the n-th offer: the first choice in time counts. None: it does not count, or has."""
    offer = case.offer
    if offer is None or offer.n != n or offer.ended in ("chosen", "withdrawn") or not case.under_way:
        return None
    if answer.late or option not in {one.id for one in offer.options}:
        return None
    over = msgspec.structs.replace(offer, ended="chosen", ended_at=answer.at)
    facts = {"offer": n, "option": option, "channel": answer.channel}
    status = way(case, "choose") if case.status == "waiting" else case.status
    return stepped(case, answer.at, "customer", "chosen", facts, status=status, offer=over, chosen=option)


def solved(case: Case, number: int, answer: Answer, at: int) -> Case | None:
    """The customer said whether the number-th resolution solved it. None: it does not count, or has.

    A no counts even when silence has closed the case; of two answers the first.
    """
    asked = case.follow_up
    if asked is None or asked.round != number or asked.solved is not None or not isinstance(answer.value, bool):
        return None
    told = msgspec.structs.replace(asked, solved=answer.value, answered_at=answer.at)
    facts = {"round": number, "channel": answer.channel}
    case = stepped(case, answer.at, "customer", "confirmed" if answer.value else "denied", facts, follow_up=told)
    if answer.value:
        return closed(case, at, "customer") if case.status == "resolved" else case
    return reopened(case, at, "customer") if "reopen" in WAYS[case.status] else case


def closed(case: Case, at: int, by: str) -> Case:
    """It is over. Raises NotNow."""
    return stepped(case, at, by, "closed", status=way(case, "confirm"), closed_at=at, flagged=False)


def reopened(case: Case, at: int, by: str) -> Case:
    """It is not solved: due anew from now. Raises NotNow."""
    return stepped(
        case,
        at,
        by,
        "reopened",
        status=way(case, "reopen"),
        closed_at=None,
        due_at=at + case.due_in * 1000,
        overdue_at=None,
        escalations=0,
        flagged=False,
    )
