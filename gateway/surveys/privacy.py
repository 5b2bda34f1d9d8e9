"""What surveys hold of a person: how it is shown to them, and how it is forgotten."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.people.fields import wire_time
from gateway.privacy.things import Concern
from gateway.store.things import Place, Written
from gateway.surveys import steps
from gateway.surveys.nouns import Response
from gateway.surveys.records import Records


class Privacy:
    """Both, for responses and for invitations. Methods raise StoreUnavailable."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def concerns(self) -> dict[str, Concern]:
        """By kind of thing."""
        return {
            "response": Concern("survey_responses", self.erase_response, self.export_response),
            "invitation": Concern("survey_invitations", self.erase_invitation, self.export_invitation),
        }

    async def erase_response(self, place: Place, customer: str, nobody: str) -> None:
        """The score stays, without the person, their words, and the name it was kept under."""
        del customer  # the record says whose it is
        shelf = self._records.responses
        found = await shelf.load(place)
        if found is None:
            return
        fresh = self._records.nobody(place, found.mode, nobody)
        left = msgspec.structs.replace(steps.forgotten(found), id=fresh.ref)
        keep = self._records.keep
        await shelf.change(
            fresh,
            lambda there: (
                Written(left, lists=self._records.lists(left, words=False), keep=keep) if there is None else None
            ),
        )
        await shelf.change(place, self._gone)

    def _gone(self, found: Response | None) -> Written[Response] | None:
        return None if found is None else Written(None, lists=self._records.lists(found, on=False, words=False))

    async def export_response(self, place: Place) -> dict[str, Any] | None:
        """As it is handed to the person."""
        found = await self._records.responses.load(place)
        if found is None:
            return None
        answers = {
            name: {"value": given.value, "words": given.words, "channel": given.channel, "at": wire_time(given.at)}
            for name, given in found.answers.items()
        }
        return {"mode": found.mode, "survey": found.survey, "at": wire_time(found.created_at), "answers": answers}

    async def erase_invitation(self, place: Place, customer: str, nobody: str) -> None:
        """Nobody remembers that this person was asked."""
        del nobody  # nothing stays that would need a name
        found = await self._records.invitations.load(place)
        if found is not None:
            await self._records.uninvite(found.mode, found.survey, customer)

    async def export_invitation(self, place: Place) -> dict[str, Any] | None:
        """As it is handed to the person."""
        found = await self._records.invitations.load(place)
        return (
            None
            if found is None
            else {"mode": found.mode, "survey": found.survey, "invited_at": wire_time(found.created_at)}
        )
