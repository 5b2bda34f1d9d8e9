"""Invitations: people asked to a survey by a broadcast, once each, reminded once, and counted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from gateway.broadcasts.expanding import message_id
from gateway.broadcasts.nouns import Broadcast, NewBroadcast
from gateway.broadcasts.service import Broadcasts
from gateway.cases.service import Cases
from gateway.delivery.drafts import Origin
from gateway.delivery.intake import NoRoom, Rejected
from gateway.store.mine import Mine
from gateway.store.things import Place
from gateway.surveys.forms import Problem, filled
from gateway.surveys.nouns import INVITATION, Invitation, NewInvitation, Survey
from gateway.surveys.records import Records
from gateway.surveys.tally import INVITED, total
from gateway.surveys.watching import REMINDER, broadcast_of
from gateway.surveys.writing import Writing

TEMPLATE: Final = "survey-invitation"
LISTED_MOST: Final = 5_000
"""Of a list of up to so many the answer says at once how many were asked before."""


class Invited(msgspec.Struct, frozen=True):
    """An invitation as it was accepted; None: to be found out as the audience is gone through."""

    broadcast: str
    invited: int | None
    skipped: int | None


class Invitations:
    """Invites and reminds. `locale`, `zone`: in which texts are filled in where they say nothing else.

    Methods raise StoreUnavailable.
    """

    def __init__(
        self,
        records: Records,
        writing: Writing,
        broadcasts: Broadcasts,
        cases: Cases,
        mine: Mine,
        *,
        locale: str,
        zone: str,
    ) -> None:
        self._records = records
        self._writing = writing
        self._broadcasts = broadcasts
        self._cases = cases
        self._mine = mine
        self._locale = locale
        self._zone = zone

    async def drafted(self, survey: Survey, new: NewInvitation, origin: Origin) -> Invitation:
        """An invitation that is checked, and not sent yet; the one that is there, if it has the same origin. Raises Rejected."""
        name = f"s{hashlib.blake2b(origin.seed, digest_size=12).hexdigest()}"
        known = await self._records.invitations.load(self._records.invitation(survey.mode, name))
        return known or await self._drafted(survey, new, name, origin.at)

    async def invite(self, survey: Survey, invitation: Invitation, new: NewInvitation, origin: Origin) -> Invited:
        """Send one that was drafted; done again it is sent once. Raises Rejected, NoRoom."""
        name, place = invitation.id, self._records.invitation(survey.mode, invitation.id)
        await self._begun(invitation, place)
        try:
            await self._broadcasts.create(survey.mode, _asking(invitation, new), origin)
        except (Rejected, NoRoom):
            await self._records.invitations.change(place, lambda found: self._writing.removed(found, place))
            raise
        customers = new.audience.customers
        if customers is None or len(customers) > LISTED_MOST or invitation.skipped is None:
            return Invited(name, None, None)
        before = set[str]() if new.again else await self._asked_before(survey, customers, name)
        asked = [one for one in customers if one not in before]
        await self._records.invite(survey.mode, survey.id, name, asked, again=new.again)
        return Invited(name, invitation.invited, invitation.skipped)

    async def faults(self, survey: Survey, new: NewInvitation) -> list[Problem]:
        """Everything that is wrong with an invitation; nothing is stored."""
        return (await self._tried(survey, new, "tried", survey.changed_at))[1]

    async def _drafted(self, survey: Survey, new: NewInvitation, name: str, at: int) -> Invitation:
        invitation, faults = await self._tried(survey, new, name, at)
        if faults:
            raise Rejected(faults)
        invited, skipped = await self._counted(survey, new, name)
        return msgspec.structs.replace(invitation, invited=invited or 0, skipped=skipped)

    async def _tried(self, survey: Survey, new: NewInvitation, name: str, at: int) -> tuple[Invitation, list[Problem]]:
        """The invitation as it would be, and what is wrong with it: one sentence for each place."""
        form, found = filled(survey.form, new.data, self._locale, self._zone)
        found += await self._faults(survey, new)
        invitation = Invitation(
            id=name,
            mode=survey.mode,
            survey=survey.id,
            version=survey.version,
            form=form,
            created_at=at,
            closes_in=new.closes_in,
            again=new.again,
            case=new.case,
            data=new.data,
            reach=new.reach,
            remind_at=None if new.remind_after is None else at + new.remind_after * 1000,
        )
        try:
            await self._broadcasts.check(survey.mode, _asking(invitation, new))
        except Rejected as refused:
            found += refused.problems
        first: dict[str, str] = {}
        for pointer, detail in found:
            first.setdefault(pointer, detail)
        return invitation, list(first.items())

    async def _faults(self, survey: Survey, new: NewInvitation) -> list[Problem]:
        found: list[Problem] = []
        if new.remind_after is not None and new.remind_after >= new.closes_in:
            found.append(("/remind_after", f"must be less than closes_in, which is {new.closes_in}."))
        if new.case is not None and await self._cases.get(survey.mode, new.case) is None:
            found.append(("/case", "There is no such case."))
        return found

    async def _counted(self, survey: Survey, new: NewInvitation, name: str) -> tuple[int | None, int | None]:
        """How many of a list are asked, and how many are not: asked before, or nobody we know."""
        customers = new.audience.customers
        if customers is None or len(customers) > LISTED_MOST:
            return None, None
        people = list(dict.fromkeys(customers))
        before = set[str]() if new.again else await self._asked_before(survey, people, name)
        gone = await asyncio.gather(*(self._mine.gone(one) for one in people))
        strangers = {one for one, none in zip(people, gone, strict=True) if none}
        left = len(set(people) - before - strangers)
        return left, len(people) - left

    async def _asked_before(self, survey: Survey, customers: Sequence[str], name: str) -> set[str]:
        asked = await self._records.invited(survey.mode, survey.id, customers)
        return {one for one, by in zip(customers, asked, strict=True) if by not in (None, name)}

    async def _begun(self, invitation: Invitation, place: Place) -> None:
        counts = {total(invitation.version, INVITED): invitation.invited} if invitation.invited else {}
        written = self._writing.written(invitation, place, counts)
        await self._records.invitations.change(place, lambda found: written if found is None else None)

    # While it runs.

    async def pass_over(self, broadcast: Broadcast, customers: Sequence[str]) -> Collection[str]:
        """Of the people that a broadcast is about to write to, those it leaves out: asked before, or answered already."""
        if broadcast.kind == REMINDER:
            return await self._answered(broadcast, customers)
        invitation = await self._records.invitations.load(self._records.invitation(broadcast.mode, broadcast.id))
        if invitation is None:
            return customers
        mode, survey = invitation.mode, invitation.survey
        await self._records.invite(mode, survey, invitation.id, customers, again=invitation.again)
        asked = await self._records.invited(mode, survey, customers)
        ours = [one for one, by in zip(customers, asked, strict=True) if by == invitation.id]
        place = self._records.invitation(mode, invitation.id)
        await asyncio.gather(*(self._mine.add(one, place) for one in ours))
        return set(customers) - set(ours)

    async def _answered(self, broadcast: Broadcast, customers: Sequence[str]) -> Collection[str]:
        name = (broadcast.about or "").partition(":")[2]
        places = [self._records.response(broadcast.mode, name, one) for one in customers]
        found = await self._records.responses.load_many(places)
        return {one for one, response in zip(customers, found, strict=True) if response is not None}

    async def reminding(self, invitation: Invitation, customer: str) -> str | None:
        """The message that reminds a customer, if there is a reminder."""
        if invitation.reminder is None:
            return None
        broadcast = await self._broadcasts.load(invitation.mode, invitation.reminder)
        return None if broadcast is None else message_id(broadcast, customer)


def _asking(invitation: Invitation, new: NewInvitation) -> NewBroadcast:
    return msgspec.structs.replace(
        broadcast_of(invitation, invitation.closes_in),
        id=invitation.id,
        kind=INVITATION,
        audience=new.audience,
        template=TEMPLATE,
    )
