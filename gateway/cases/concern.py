"""What cases hold of a person: taken out when they are forgotten, shown when they ask for it."""

from __future__ import annotations

from typing import Any

from gateway.cases.nouns import Case
from gateway.cases.service import Cases
from gateway.people.fields import wire_time
from gateway.privacy.things import Concern
from gateway.store.things import Place


def concern(cases: Cases) -> Concern:
    """How cases let go of people, and are handed to them."""

    async def erase(place: Place, customer: str, _nobody: str) -> None:
        await cases.forget(place, customer)

    async def export(place: Place) -> dict[str, Any] | None:
        found = await cases.at(place)
        return None if found is None or found.customer is None else shown(found)

    return Concern("cases", erase, export)


def shown(case: Case) -> dict[str, Any]:
    """A case as it is handed to the person it is about."""
    offer = None if case.offer is None else {option.id: option.label for option in case.offer.options}
    return {
        "id": case.id,
        "kind": case.kind,
        "status": case.status,
        "subject": case.subject,
        "description": case.description,
        "opened_at": _time(case.created_at),
        "closed_at": _time(case.closed_at),
        "offered": offer,
        "chosen": case.chosen,
        "root_cause": case.root_cause,
        "action": case.action,
        "solved": None if case.follow_up is None else case.follow_up.solved,
        "notes": [{"at": _time(note.at), "of": note.of, "text": note.text} for note in case.notes],
        "history": [{"at": _time(step.at), "what": step.what} for step in case.history],
    }


def _time(ms: int | None) -> str | None:
    return None if ms is None else wire_time(ms)
