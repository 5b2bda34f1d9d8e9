"""What events and runs hold of a person: forgotten with them, shown when they ask for it."""

from __future__ import annotations

from typing import Any

from gateway.people.fields import wire_time
from gateway.privacy.things import Concern
from gateway.rules.events import Events
from gateway.rules.run_records import RunRecords
from gateway.store.things import Place


def of_events(events: Events) -> Concern:
    """How events let go of people, and are handed to them."""

    async def erase(place: Place, _customer: str, _nobody: str) -> None:
        await events.erase(place)

    async def export(place: Place) -> dict[str, Any] | None:
        found = await events.held(place)
        if found is None:
            return None
        return {
            "type": found.type,
            "id": found.id,
            "at": wire_time(found.at),
            "received_at": wire_time(found.received_at),
            "data": found.data,
            "runs": [begun.run for begun in found.runs],
        }

    return Concern("events", erase, export)


def of_journals(events: Events) -> Concern:
    """How the journals of events do; they hold nothing that events and runs don't show."""

    async def erase(place: Place, _customer: str, _nobody: str) -> None:
        await events.erase(place)

    async def export(_place: Place) -> dict[str, Any] | None:
        return None

    return Concern("event journals", erase, export)


def of_runs(records: RunRecords) -> Concern:
    """How runs do."""

    async def erase(place: Place, _customer: str, _nobody: str) -> None:
        await records.erase(place)

    async def export(place: Place) -> dict[str, Any] | None:
        run = await records.at(place)
        if run is None:
            return None
        return {
            "id": run.id,
            "rule": run.rule,
            "event": {"type": run.type, "id": run.event, "at": wire_time(run.at)},
            "due_at": wire_time(run.due_at),
            "state": run.state,
            "why": None if run.why is None else run.why.text,
            "made": None if run.made is None else {run.does: run.made},
            "data": run.data,
        }

    return Concern("runs", erase, export)
