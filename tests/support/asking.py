"""Surveys on a real core: people, questions, and answers wherever they are given."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.broadcasts.nouns import Audience
from gateway.channels.base import Outbound
from gateway.delivery.drafts import Origin
from gateway.message import Message, Mode
from gateway.prompts import Answer
from gateway.store.things import Written
from gateway.surveys.invitations import Invited
from gateway.surveys.nouns import Alert, Form, Invitation, NewInvitation, Question, Response
from gateway.surveys.results import Outcome, Wanted
from tests.support.core import PHONE, Core, core, until
from tests.support.scripted import Scripted

NPS: Final = Question(id="nps", kind="nps", text="How likely is it that you recommend us?")
WHY: Final = Question(id="why", kind="text", text="What is the main reason?")
EASY: Final = Question(id="easy", kind="ces", text="It was easy to get help.")
TWO: Final = Form(questions=(NPS, WHY))
ALERTING: Final = Form(questions=(NPS, WHY), alerts=(Alert(question="nps", at_most=6, owner="anna", due_in=3600),))

FORM: Final[dict[str, Any]] = {
    "title": "After the visit",
    "questions": [
        {"id": "nps", "kind": "nps", "text": {"en": "How likely are you to recommend {{ who }}?"}},
        {"id": "easy", "kind": "ces", "text": "It was easy."},
        {"id": "why", "kind": "text", "text": "Why?"},
    ],
    "alerts": [{"question": "nps", "at_most": 6, "owner": "anna", "due_in": 3600}],
}
"""A survey as callers send it."""


class Desk:
    """What operators do with surveys, on a core."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.surveys = core.gateway.surveys
        self.results = core.gateway.survey_results

    async def survey(self, form: Form = TWO, name: str = "visit", mode: Mode = "live") -> None:
        """Store a survey."""
        await self.surveys.put(mode, name, form)

    async def invite(
        self, *customers: str, survey: str = "visit", mode: Mode = "live", origin: Origin | None = None, **more: Any
    ) -> Invited:
        """Ask people."""
        new = NewInvitation(audience=more.pop("audience", Audience(customers=customers)), **more)
        return await self.surveys.invite(mode, survey, new, origin or self.core.gateway.intake.origin())

    async def figures(self, survey: str = "visit", mode: Mode = "live", **wanted: Any) -> Outcome:
        """The results."""
        return await self.results.of(await self.surveys.get(mode, survey), Wanted(**wanted))

    async def responses(self, survey: str = "visit", mode: Mode = "live") -> list[Response]:
        """All responses, the newest first."""
        found = await self.surveys.get(mode, survey)
        return [one async for page in self.results.every(found, Wanted()) for one in page]

    async def response(self, survey: str = "visit", *, answers: int = 1) -> Response:
        """The newest response, once it has so many answers."""
        last: list[Response] = []

        async def there() -> bool:
            last[:] = await self.responses(survey)
            return bool(last) and len(last[0].answers) >= answers

        await until(there, seen=lambda: last)
        return last[0]

    async def answers_page(self, message: str, value: str | int | bool, words: str = "") -> None:
        """A person answers a message's own question on its page."""
        assert await self.core.gateway.pages.answer(message, value, words or str(value)) is not None

    def page(self, value: str | int | bool, words: str = "") -> Answer:
        """An answer from the page."""
        return Answer(value=value, text=words or str(value), channel="page", at=self.core.gateway.clock.now())


async def handed(channel: Scripted, number: int) -> Outbound:
    """The channel's n-th hand-over (from 1), once it has come."""
    await until(lambda: len(channel.handed) >= number, seen=lambda: [out.words.text for out in channel.handed])
    return channel.handed[number - 1]


async def told(desk: Desk, message: str) -> Message:
    """A message once whoever it serves has been told of it."""
    return await desk.core.when(message, lambda found: found.answer is not None and not found.owed)


async def taken(desk: Desk, message: str) -> None:
    """The provider has taken a message."""
    await desk.core.when(message, lambda found: any("accepted" in one.times for one in found.attempts))


async def invitation(desk: Desk, name: str) -> Invitation:
    records = desk.surveys._records  # pyright: ignore[reportPrivateUsage] - tests look inside
    found = await records.invitations.load(records.invitation("live", name))
    assert found is not None
    return found


async def shifted(desk: Desk, name: str, seconds: int) -> None:
    """Time passes for an invitation, at least until it reminds."""
    records, by = desk.surveys._records, seconds * 1000  # pyright: ignore[reportPrivateUsage] - tests look inside

    def older(found: Invitation | None) -> Written[Invitation]:
        assert found is not None
        remind = None if found.remind_at is None else desk.core.gateway.clock.now()
        aged = msgspec.structs.replace(found, created_at=found.created_at - by, remind_at=remind)
        return Written(aged, wake=1, lane="bulk")

    await records.invitations.change(records.invitation("live", name), older)


@contextlib.asynccontextmanager
async def asking(redis_url: str, folder: Path, *channels: Scripted) -> AsyncGenerator[Desk]:
    """A core at work with these channels, and Maria, who has a telephone."""
    async with core(redis_url, folder, *channels) as made:
        made.work()
        await made.person("maria", sms=PHONE)
        yield Desk(made)
