"""Surveys as a service: made, changed, sent out, removed."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from gateway.broadcasts.nouns import Over
from gateway.broadcasts.service import Broadcasts
from gateway.delivery.drafts import Origin
from gateway.delivery.intake import Rejected
from gateway.message import Mode
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.keys import Partition
from gateway.store.mine import Mine
from gateway.store.things import Listed, Place, Written
from gateway.surveys.forms import Problem, problems
from gateway.surveys.invitations import Invitations, Invited
from gateway.surveys.nouns import Form, Invitation, NewInvitation, Response, Survey
from gateway.surveys.records import INVITATIONS, RESPONSES, SURVEYS, Records
from gateway.surveys.writing import Writing

MOST_PAST: Final = 50
"""How many earlier forms a survey remembers, to show their results."""
_PAGE: Final = 200
SETTLES_MS: Final = 1_000
"""By then whoever was taking in an answer as the survey was removed has done so."""


class Removing(Exception):
    """The survey of that id is still being removed."""


class Surveys:
    """The service behind `/v1/surveys`. Methods raise StoreUnavailable, and KeyError for an unknown survey."""

    def __init__(
        self,
        records: Records,
        writing: Writing,
        invitations: Invitations,
        broadcasts: Broadcasts,
        mine: Mine,
        clock: Clock,
    ) -> None:
        self._records = records
        self._writing = writing
        self._invitations = invitations
        self._broadcasts = broadcasts
        self._mine = mine
        self._clock = clock

    async def put(self, mode: Mode, name: str, form: Form) -> tuple[Survey, bool]:
        """Make or replace a survey; it, and whether it is new. Once somebody was invited, a change is a new version.

        Raises Rejected with all problems, Removing.
        """
        found = problems(form)
        if found:
            raise Rejected(found)
        now, made = self._clock.now(), list[bool]()

        def told(current: Survey | None) -> Written[Survey] | None:
            made[:] = [current is None]
            if current is None:
                fresh = Survey(id=name, mode=mode, form=form, created_at=now, changed_at=now)
                return Written(fresh, lists=[Listed(mode, SURVEYS, now)])
            if current.deleted_at is not None:
                raise Removing(name)
            return None if current.form == form else Written(_changed(current, form, now))

        survey = await self._records.surveys.change(self._records.survey(mode, name), told)
        if survey is None:
            raise KeyError(name)
        return survey, made[0]

    async def get(self, mode: Mode, name: str) -> Survey:
        """One survey."""
        survey = await self._records.surveys.load(self._records.survey(mode, name))
        if survey is None or survey.deleted_at is not None:
            raise KeyError(name)
        return survey

    async def page(self, mode: Mode, limit: int, cursor: str | None = None) -> tuple[list[Survey], str | None]:
        """Surveys, newest first, and the next cursor."""
        return await self._records.surveys.page(mode, SURVEYS, limit, cursor)

    async def invite(self, mode: Mode, name: str, new: NewInvitation, origin: Origin) -> Invited:
        """Ask people. Run again with the same origin it is the same invitation. Raises Rejected, NoRoom."""
        while True:
            survey = await self.get(mode, name)
            drafted = await self._invitations.drafted(survey, new, origin)
            if await self._used(survey):
                return await self._invitations.invite(survey, drafted, new, origin)

    async def faults(self, mode: Mode, name: str, new: NewInvitation) -> list[Problem]:
        """Everything that is wrong with an invitation as asked for; nothing is stored."""
        return await self._invitations.faults(await self.get(mode, name), new)

    async def _used(self, survey: Survey) -> bool:
        """Remember that people are invited to this very form; False: it has just been changed."""

        def used(found: Survey | None) -> Written[Survey] | None:
            if found is None or found.deleted_at is not None:
                raise KeyError(survey.id)
            if found.used or (found.form, found.version) != (survey.form, survey.version):
                return None
            return Written(msgspec.structs.replace(found, used=True))

        found = await self._records.surveys.change(self._records.survey(survey.mode, survey.id), used)
        return found is not None and (found.form, found.version) == (survey.form, survey.version)

    async def invitations(
        self, mode: Mode, name: str, limit: int, cursor: str | None = None
    ) -> tuple[list[Invitation], str | None]:
        """A survey's invitations, newest first, and the next cursor."""
        await self.get(mode, name)
        return await self._records.invitations.page(mode, INVITATIONS, limit, cursor, value=name)

    async def remove(self, mode: Mode, name: str) -> None:
        """Remove a survey with all its answers; nobody is asked any more. The rest is done in the background."""

        def told(found: Survey | None) -> Written[Survey] | None:
            if found is None or found.deleted_at is not None:
                raise KeyError(name)
            now = self._clock.now()
            gone = msgspec.structs.replace(found, deleted_at=now)
            return Written(gone, wake=now, lists=[Listed(mode, SURVEYS, found.created_at, on=False)])

        await self._records.surveys.change(self._records.survey(mode, name), told)

    async def work(self, at: Partition, taken: Taken) -> None:
        """Go on removing a survey: its invitations, then its answers, then itself."""
        survey, place = self._records.surveys.taken(taken), Place(at.number, taken.member)
        if survey.deleted_at is None:
            await self._records.surveys.change(place, lambda found: None if found is None else Written(found))
        elif await self._some_invitations(survey) or await self._some_responses(survey):
            now = self._clock.now()
            await self._records.surveys.change(place, lambda found: None if found is None else Written(found, wake=now))
        elif self._clock.now() < survey.deleted_at + SETTLES_MS:
            later = survey.deleted_at + SETTLES_MS
            await self._records.surveys.change(
                place, lambda found: None if found is None else Written(found, wake=later)
            )
        else:
            await self._records.forget(survey.mode, survey.id)
            await self._records.surveys.change(place, lambda found: None if found is None else Written(None))

    async def _some_invitations(self, survey: Survey) -> bool:
        """Remove some; whether there may be more."""
        found, _ = await self._records.invitations.page(survey.mode, INVITATIONS, _PAGE, value=survey.id)
        await asyncio.gather(*map(self._end, found))
        return bool(found)

    async def _end(self, invitation: Invitation) -> None:
        for name in (invitation.id, invitation.reminder):
            if name is not None and not invitation.closed:
                try:
                    await self._broadcasts.cancel(invitation.mode, name)
                except (Over, KeyError):
                    continue  # it is done, or its record has been cleared away
        place = self._records.invitation(invitation.mode, invitation.id)
        await self._records.invitations.change(place, lambda found: self._writing.removed(found, place))

    async def _some_responses(self, survey: Survey) -> bool:
        found, _ = await self._records.responses.page(survey.mode, RESPONSES, _PAGE, value=survey.id)
        await asyncio.gather(*map(self._drop, found))
        return bool(found)

    async def _drop(self, response: Response) -> None:
        place = Place.of(response.id)

        def told(found: Response | None) -> Written[Response] | None:
            return None if found is None else Written(None, lists=self._records.lists(found, on=False, words=False))

        await self._records.responses.change(place, told)
        if response.customer is not None:
            await self._mine.drop(response.customer, place)


def _changed(survey: Survey, form: Form, now: int) -> Survey:
    """The survey with another form: a new version, if anybody was invited to the one it has."""
    if not survey.used:
        return msgspec.structs.replace(survey, form=form, changed_at=now)
    past = dict(sorted({**survey.past, survey.version: survey.form}.items())[-MOST_PAST:])
    return msgspec.structs.replace(survey, form=form, changed_at=now, version=survey.version + 1, used=False, past=past)
