"""How invitations are written: with what is counted of them, and when they are looked at next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.store.clock import Clock
from gateway.store.things import Listed, Place, Written
from gateway.surveys.nouns import Invitation
from gateway.surveys.records import INVITATIONS, RUNNING, Records, tally_key
from gateway.surveys.tally import INVITED, TOLD, total

LOOKS: Final = (2, 10, 60, 600)
"""When an invitation is looked at to count it, seconds after it was made; then every hour."""
HOUR_MS: Final = 3_600_000
AFTER_MS: Final = 86_400_000
"""How long after its closing the last news of an invitation is waited for."""


class Writing:
    """Makes what is to be written."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def written(
        self, invitation: Invitation, place: Place, counts: Mapping[str, int], *, soon: bool = False
    ) -> Written[Invitation]:
        """An invitation, with steps of what is counted. `soon`: it is looked at again at once."""
        now = self._clock.now()
        return Written(
            invitation,
            wake=None if invitation.closed else now if soon else _next_look(invitation, now),
            lane="bulk",
            lists=_lists(invitation),
            tally=counts,
            tally_of=tally_key(place, invitation.mode, invitation.survey),
            keep=self._records.keep if invitation.closed else None,
        )

    def removed(self, found: Invitation | None, place: Place) -> Written[Invitation] | None:
        """An invitation that came to nothing takes back what it had counted."""
        if found is None:
            return None
        counts = {total(found.version, INVITED): -found.invited, total(found.version, TOLD): -found.told}
        return Written(
            None,
            lists=[msgspec.structs.replace(one, on=False) for one in _lists(found)],
            tally={name: step for name, step in counts.items() if step},
            tally_of=tally_key(place, found.mode, found.survey),
        )


def _lists(invitation: Invitation) -> list[Listed]:
    mode, at, survey = invitation.mode, invitation.created_at, invitation.survey
    return [Listed(mode, INVITATIONS, at, survey), Listed(mode, RUNNING, at, survey, on=not invitation.closed)]


def _next_look(invitation: Invitation, now: int) -> int:
    """When to look at it next: often at first, while anybody has still to be told, at its reminder, when it is over."""
    times = [invitation.closes_at + AFTER_MS + 1]
    if invitation.looked < len(LOOKS):
        times.append(invitation.created_at + LOOKS[invitation.looked] * 1000)
    elif not 0 < invitation.invited <= invitation.told:
        times.append(now + HOUR_MS)
    times += [] if invitation.remind_at is None else [invitation.remind_at]
    return min(times)
