"""Surveys, joined with what they are built on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.content.filters import Reader
from gateway.message import Mode
from gateway.prompts import Prompt
from gateway.settings_types import Settings
from gateway.store.glances import Glances
from gateway.surveys.invitations import Invitations
from gateway.surveys.nouns import INVITATION, KIND, RESPONSE
from gateway.surveys.onward import Onward
from gateway.surveys.privacy import Privacy
from gateway.surveys.records import Records
from gateway.surveys.responses import Responses
from gateway.surveys.results import Results
from gateway.surveys.surveys import Surveys
from gateway.surveys.watching import REMINDER, Watch
from gateway.surveys.writing import Writing

if TYPE_CHECKING:
    from gateway.app.engines import Engines


def asking(parts: Engines, settings: Settings) -> tuple[Surveys, Results]:
    """The services behind `/v1/surveys`; broadcasts and cases must be there. They are told of messages, pages and erasures."""
    clock, broadcasts, mine = parts.clock, parts.broadcasts, parts.mine
    records = Records(parts.scripts, parts.customers.address_key, settings.retention_timeline_days)
    writing, privacy = Writing(records, clock), Privacy(records)
    invitations = Invitations(
        records,
        writing,
        broadcasts,
        parts.cases,
        mine,
        locale=settings.default_locale,
        zone=settings.default_time_zone,
    )

    def carries(mode: Mode, channel: str, prompt: Prompt | None) -> bool:
        post = parts.boards[mode].posts.get(channel)
        if post is None:
            return False
        traits = post.channel.traits
        return traits.rings == 0 if prompt is None else prompt.kind in traits.prompts

    async def reading(customer: str) -> Reader:
        found = await parts.customers.load(customer)
        language = None if found is None else found[0].preferences.language or found[0].locale
        zone = None if found is None else found[0].time_zone
        return Reader(language or settings.default_locale, zone or settings.default_time_zone)

    onward = Onward(parts.cases, parts.intake, parts.messages, parts.timeline, carries, invitations.reminding, reading)
    responses = Responses(records, privacy, mine, clock, onward)
    watch = Watch(records, writing, broadcasts, clock)
    surveys = Surveys(records, writing, invitations, broadcasts, mine, clock)
    parts.followers[RESPONSE] = responses.told
    parts.following[RESPONSE] = responses
    parts.concerns |= privacy.concerns()
    parts.kinds |= {KIND: surveys.work, INVITATION: watch.work}
    parts.gates |= {INVITATION: invitations.pass_over, REMINDER: invitations.pass_over}
    return surveys, Results(records, watch, Glances(parts.scripts))
