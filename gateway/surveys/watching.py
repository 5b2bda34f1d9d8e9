"""What happens to invitations while they run: they are counted, and their people are reminded."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
import structlog

from gateway.broadcasts.nouns import ALL, Audience, NewBroadcast, Report, Standing
from gateway.broadcasts.service import Broadcasts
from gateway.delivery.drafts import Origin
from gateway.delivery.intake import NoRoom, Rejected
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.keys import Partition
from gateway.store.pipe import StoreUnavailable
from gateway.store.things import Place, Written
from gateway.surveys.nouns import Invitation, prompt_of
from gateway.surveys.records import Records
from gateway.surveys.tally import INVITED, TOLD, total
from gateway.surveys.writing import AFTER_MS, Writing

CATEGORY: Final = "survey"
REMINDER: Final = "reminder"
REMINDER_TEMPLATE: Final = "survey-reminder"

log = structlog.get_logger()


class Watch:
    """Looks at them. Methods raise StoreUnavailable."""

    def __init__(self, records: Records, writing: Writing, broadcasts: Broadcasts, clock: Clock) -> None:
        self._records = records
        self._writing = writing
        self._broadcasts = broadcasts
        self._clock = clock

    async def work(self, at: Partition, taken: Taken) -> None:
        """Look at an invitation: count it, and remind when it is time."""
        place = Place(at.number, taken.member)
        invitation = self._records.invitations.taken(taken)
        survey = await self._records.surveys.load(self._records.survey(invitation.mode, invitation.survey))
        if survey is None or survey.deleted_at is not None:
            await self._records.invitations.change(place, lambda found: self._writing.removed(found, place))
            return
        if invitation.remind_at is not None and self._clock.now() >= invitation.remind_at:
            await self._remind(invitation, place)
        await self.count(place, looked=True)

    async def _remind(self, invitation: Invitation, place: Place) -> None:
        """Ask once more those who were told and have not answered."""
        now, name = self._clock.now(), f"{invitation.id}r"
        if now < invitation.closes_at:
            # It is known before it goes out, so that an answer that comes meanwhile finds it.
            remembered = msgspec.structs.replace
            await self._records.invitations.change(
                place,
                lambda found: (
                    None
                    if found is None
                    else self._writing.written(remembered(found, reminder=name), place, {}, soon=True)
                ),
            )
            left = max(60, (invitation.closes_at - now) // 1000)
            new = msgspec.structs.replace(
                broadcast_of(invitation, left),
                id=name,
                kind=REMINDER,
                audience=Audience(standing=Standing(broadcasts=(invitation.id,), names=("told",))),
                template=REMINDER_TEMPLATE,
                uncapped=True,
            )
            origin = Origin(hashlib.blake2b(name.encode(), digest_size=16).digest(), invitation.remind_at or now)
            try:
                await self._broadcasts.create(invitation.mode, new, origin)
            except Rejected as refused:
                log.warning("survey_reminder_refused", invitation=invitation.id, why=[p for p, _ in refused.problems])
            except NoRoom as full:
                raise StoreUnavailable("there is no room for a reminder") from full
        await self._records.invitations.change(
            place,
            lambda found: (
                None
                if found is None
                else self._writing.written(msgspec.structs.replace(found, remind_at=None), place, {}, soon=True)
            ),
        )

    async def count(self, place: Place, *, looked: bool = False) -> None:
        """Take over what its broadcast has counted by now. `looked`: it was its turn to be looked at."""
        known = await self._records.invitations.load(place)
        if known is None or known.closed:
            return
        try:
            report: Report | None = await self._broadcasts.state(known.mode, known.id)
        except KeyError:
            report = None  # it never came to be, or its record has been cleared away

        def told(found: Invitation | None) -> Written[Invitation] | None:
            if found is None or found.closed:
                return None
            over = self._clock.now() > found.closes_at + AFTER_MS
            now = _counted(found, report)
            now = msgspec.structs.replace(now, looked=found.looked + looked, closed=over)
            if now == found:
                return None
            steps = {
                total(found.version, INVITED): now.invited - found.invited,
                total(found.version, TOLD): now.told - found.told,
            }
            return self._writing.written(now, place, {name: step for name, step in steps.items() if step})

        await self._records.invitations.change(place, told)


def _counted(invitation: Invitation, report: Report | None) -> Invitation:
    """What a broadcast says of an invitation; while its audience is being gone through, what was known before counts.

    Afterwards only those count who were written to: whoever a newer invitation took over meanwhile was skipped.
    """
    if report is None:
        return invitation
    told, audience, broadcast = max(invitation.told, report.counts.told), report.counts.audience, report.broadcast
    cancelled = report.state == "cancelled"
    if broadcast.expanded_by != ALL and not cancelled:
        return msgspec.structs.replace(invitation, invited=max(invitation.invited, audience), told=told)
    invited = audience or (invitation.invited if told else 0)  # counts may be gone before the record is
    skipped = invitation.skipped
    if broadcast.listed is not None and not cancelled:
        skipped = max(0, broadcast.listed - invited)
    return msgspec.structs.replace(invitation, invited=invited, told=told, skipped=skipped)


def broadcast_of(invitation: Invitation, closes_in: int) -> NewBroadcast:
    """What an invitation and its reminder have in common."""
    return NewBroadcast(
        audience=Audience(),
        category=CATEGORY,
        data=invitation.data,
        reach=invitation.reach,
        prompt=prompt_of(invitation.form.questions[0], closes_in),
        thread=f"survey:{invitation.id}",
        about=invitation.about,
        reference=f"survey:{invitation.survey}",
    )
