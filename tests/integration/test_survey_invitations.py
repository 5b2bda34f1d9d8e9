"""Invitations on a real core: each person is asked once, reminded once, and finishes the form they began."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from gateway.broadcasts.expanding import message_id
from gateway.broadcasts.nouns import Audience
from gateway.delivery.request import Rejected
from gateway.surveys.nouns import Form, Question
from tests.support.asking import NPS, TWO, WHY, Desk, asking, handed, invitation, shifted, taken
from tests.support.core import OTHER_PHONE, PHONE, core, until
from tests.support.scripted import Scripted


@pytest.fixture
def sms() -> Scripted:
    return Scripted("sms")


@pytest.fixture
async def desk(redis_url: str, tmp_path: Path, sms: Scripted) -> AsyncGenerator[Desk]:
    async with asking(redis_url, tmp_path, sms) as made:
        yield made


async def test_who_was_asked_finishes_the_form_they_began(desk: Desk, sms: Scripted) -> None:
    await desk.survey(TWO)
    await desk.invite("maria")
    await handed(sms, 1)
    changed = Form(questions=(NPS, Question(id="again", kind="yes_no", text="Would you come again?")))
    survey, created = await desk.surveys.put("live", "visit", changed)
    assert (survey.version, created) == (2, False)
    unused, _ = await desk.surveys.put("live", "visit", Form(questions=(NPS,)))
    assert unused.version == 2  # nobody was invited to it yet
    await desk.core.hears(PHONE, "9")
    second = await handed(sms, 2)
    assert second.prompt is not None
    assert second.prompt.question == WHY.text
    await desk.core.hears(PHONE, "Kind people.")
    await desk.response(answers=2)
    assert [one.question.id for one in (await desk.figures(version=1)).questions] == ["nps", "why"]
    both = await desk.figures()
    assert both.questions[0].all.answers == 1
    assert (await desk.figures(version=2)).responses == 0


async def test_nobody_is_asked_twice_unless_it_is_wanted(desk: Desk, sms: Scripted) -> None:
    await desk.core.person("nikos", sms=OTHER_PHONE)
    await desk.survey(TWO)
    assert (await desk.invite("maria")).invited == 1
    await handed(sms, 1)
    second = await desk.invite("maria", "nikos", "maria", "nobody-we-know")
    assert (second.invited, second.skipped) == (1, 2)
    third = await desk.invite("maria", again=True)
    assert (third.invited, third.skipped) == (1, 0)
    await handed(sms, 2)

    async def whole() -> bool:
        return (await desk.figures()).invited == 3

    await until(whole)
    reports = [await desk.core.gateway.broadcasts.state("live", one.broadcast) for one in (second, third)]
    assert [report.counts.audience for report in reports] == [1, 1]


async def test_who_was_passed_over_by_a_newer_invitation_was_skipped(desk: Desk) -> None:
    await desk.survey(TWO)
    await desk.core.kill()
    made = [await desk.invite("maria", again=True) for _ in range(3)]
    desk.core.work()

    async def counts() -> list[tuple[int, int | None, int]]:
        await desk.figures()
        reports = [await desk.core.gateway.broadcasts.state("live", one.broadcast) for one in made]
        found = [await invitation(desk, one.broadcast) for one in made]
        return [(one.invited, one.skipped, of.counts.audience) for one, of in zip(found, reports, strict=True)]

    seen: list[Any] = []

    async def all_known() -> bool:
        seen[:] = await counts()
        return all(invited == audience and skipped == 1 - audience for invited, skipped, audience in seen)

    await until(all_known, seen=lambda: seen)
    assert (await desk.figures()).invited == sum(audience for _, _, audience in seen) > 0


async def test_the_same_request_again_is_the_same_invitation(desk: Desk, sms: Scripted) -> None:
    await desk.survey(TWO)
    origin = desk.core.gateway.intake.origin()
    first = await desk.invite("maria", origin=origin)
    assert await desk.invite("maria", origin=origin) == first
    await handed(sms, 1)
    assert (await desk.figures()).invited == 1


async def test_one_reminder_goes_to_those_who_were_told_and_are_silent(desk: Desk, sms: Scripted) -> None:
    await desk.core.person("nikos", sms=OTHER_PHONE)
    await desk.survey(TWO)
    made = await desk.invite("maria", "nikos", remind_after=3600)
    await handed(sms, 2)
    await desk.core.hears(PHONE, "9")
    await handed(sms, 3)
    await shifted(desk, made.broadcast, 3601)
    reminding = await handed(sms, 4)
    message = await desk.core.message(reminding.message)
    assert (message.customer, message.category, message.thread) == ("nikos", "survey", f"survey:{made.broadcast}")
    report = await desk.core.gateway.broadcasts.state("live", f"{made.broadcast}r")
    assert report.counts.audience == 1
    await desk.core.hears(OTHER_PHONE, "7")
    second = await handed(sms, 5)
    assert second.to == OTHER_PHONE
    figures = await desk.figures()
    assert (figures.invited, figures.responses) == (2, 2)
    assert (await invitation(desk, made.broadcast)).remind_at is None


async def test_a_reminder_that_waits_is_dropped_once_they_answer(desk: Desk, sms: Scripted) -> None:
    await desk.survey(TWO)
    made = await desk.invite("maria", remind_after=3600)
    asked = (await handed(sms, 1)).message
    await taken(desk, asked)
    board = desk.core.gateway.boards["live"]
    await board.pause("sms", "for the test", "test")
    await shifted(desk, made.broadcast, 3601)

    async def waits() -> str | None:
        found = (await invitation(desk, made.broadcast)).reminder
        report = None if found is None else await desk.core.gateway.broadcasts.load("live", found)
        if report is None:
            return None
        name = message_id(report, "maria")
        return name if await desk.core.gateway.messages.load(name) else None

    reminder = await until(waits)
    await desk.answers_page(asked, 9)
    ended = await desk.core.ended(reminder or "")
    assert ended.verdict.state == "cancelled"
    assert len(sms.handed) == 1


async def test_modes_are_kept_apart(redis_url: str, tmp_path: Path) -> None:
    trial, real = Scripted("sms"), Scripted("sms")
    async with core(redis_url, tmp_path, real, test_channels=[trial]) as made:
        made.work()
        await made.person("maria", sms=PHONE)
        desk = Desk(made)
        await desk.survey(TWO)
        await desk.survey(TWO, mode="test")
        await desk.invite("maria", mode="test")
        out = await handed(trial, 1)
        assert await made.gateway.pages.answer(out.message, 9, "9") is not None
        await until(lambda: _answered(desk))
        assert (await desk.figures()).responses == 0
        assert (await desk.invite("maria")).invited == 1
        await handed(real, 1)


async def _answered(desk: Desk) -> bool:
    return (await desk.figures(mode="test")).responses == 1


async def test_an_audience_is_gone_through_once_however_often_it_begins(desk: Desk, sms: Scripted) -> None:
    people = [f"p{n}" for n in range(30)]
    for n, name in enumerate(people):
        await desk.core.person(name, sms=f"+3069123457{n:02d}")
    await desk.core.gateway.groups.put("all", tuple(people), None)
    await desk.survey(TWO)
    made = await desk.invite(audience=Audience(group="all"))
    assert (made.invited, made.skipped) == (None, None)
    await desk.core.kill()
    desk.core.work()
    await handed(sms, 30)
    again, seen = await desk.invite(audience=Audience(group="all")), list[Any]()

    async def known() -> bool:
        await desk.figures()
        seen[:] = [await desk.core.gateway.broadcasts.state("live", again.broadcast)]
        return (await invitation(desk, again.broadcast)).skipped == 30

    await until(known, 5, lambda: seen)
    figures = await desk.figures()
    assert figures.invited == 30
    assert len(sms.handed) == 30


async def test_a_refused_invitation_leaves_nothing_behind(desk: Desk, sms: Scripted) -> None:
    await desk.survey(TWO)
    with pytest.raises(Rejected) as refused:
        await desk.invite("maria", reach={"channels": ["pigeon"]}, case="none")
    assert {pointer for pointer, _ in refused.value.problems} == {"/reach/channels/0", "/case"}
    found, _ = await desk.surveys.invitations("live", "visit", 10)
    assert found == []
    assert (await desk.figures()).invited == 0
    survey, _ = await desk.surveys.put("live", "visit", Form(questions=(NPS,)))
    assert survey.version == 1  # nobody has been asked yet
    assert (await desk.invite("maria")).invited == 1
    await handed(sms, 1)
