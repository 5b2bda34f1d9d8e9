"""Cases on a real Redis: opened, offered, resolved, asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cases import machine
from gateway.cases.finding import Found
from gateway.cases.nouns import SILENCE_MS, NewCase
from gateway.cases.service import Known
from gateway.channels.base import Refused
from gateway.customer import ConsentEntry
from gateway.delivery.request import Rejected
from gateway.message import Fault, Message
from gateway.store.listing import Filter
from tests.support.cases import DAY, OPTIONS, complains, events, steps, world
from tests.support.core import PHONE, until


async def test_a_choice_by_text_is_taken_once(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        message = await at.offer()
        assert (await at.case()).status == "waiting"
        assert message.category == "service"
        await until(lambda: at.sms.handed)
        await at.core.hears(PHONE, "2")
        case = await at.when(lambda c: c.chosen)
        assert (case.status, case.chosen) == ("open", "visit")
        told = await at.core.message(message)
        await at.cases.follow(told)
        await at.cases.follow(told)
        assert steps(await at.case()) == ["opened", "offered", "chosen"]
        await until(lambda: len(at.sms.handed) == 2)
        assert at.sms.handed[1].words.text == "Thank you. You chose: A visit tomorrow. We see to it now."
        listed, _ = await at.core.gateway.listing.page("live", Filter(customer="ana"), 50, None)
        assert len(listed) == 2, "one offer, one word of thanks"


async def test_the_same_request_again_makes_no_second_case_and_no_second_message(
    redis_url: str, tmp_path: Path
) -> None:
    async with world(redis_url, tmp_path, work=False) as at:
        new = NewCase(customer="ana", subject="The bill", kind="website")
        first = await at.cases.create("live", new, "k1", token="a")
        again = await at.cases.create("live", new, "k1", token="a")
        assert (first.created_at, again.steps) == (again.created_at, 1)
        with pytest.raises(Known):
            await at.cases.create("live", new, "k1", token="b")
        assert (await at.offer()).id == (await at.offer()).id
        with pytest.raises(machine.NotNow, match="withdraw the offer"):
            await at.cases.offer("live", "k1", OPTIONS, DAY, by="key", token="other")
        with pytest.raises(machine.NotNow, match="waiting"):
            await at.resolve()
        listed, _ = await at.core.gateway.listing.page("live", Filter(customer="ana"), 50, None)
        assert len(listed) == 1


async def test_nobody_has_no_case(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path, work=False) as at:
        with pytest.raises(Rejected):
            await at.open(customer="nobody")
        assert await at.cases.get("live", "k1") is None


async def test_an_offer_lapses_and_a_choice_after_it_is_read_by_somebody(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        message = await at.offer(closes_in=600)
        await until(lambda: at.sms.handed)
        await at.pass_time(700)
        case = await at.when(lambda c: c.status == "open")
        assert case.offer is not None
        assert (case.offer.ended, case.chosen) == ("lapsed", None)
        await at.core.age(message, 700)
        await at.core.gateway.pages.answer(message.id, "visit", "A visit tomorrow")
        case = await at.when(lambda c: c.notes)
        assert (case.chosen, case.notes[0].text, case.notes[0].of) == (None, "A visit tomorrow", "customer")


async def test_an_answer_that_nobody_told_of_counts_before_the_offer_lapses(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        message = await at.offer()
        await until(lambda: at.sms.handed)
        await at.core.stop()
        await at.core.gateway.pages.answer(message.id, "credit", "20 euros off")
        await at.pass_time(2 * DAY)
        at.core.gateway.followers["case"] = nothing
        at.core.work()
        case = await at.when(lambda c: c.status == "open")
        assert case.chosen == "credit"


async def test_a_withdrawn_offer_stops_its_message_and_another_may_follow(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path, work=False) as at:
        await at.open()
        message = await at.offer()
        await at.cases.change("live", "k1", lambda case, now: machine.set_to(case, "open", now, "key"))
        at.core.work()
        assert (await at.core.ended(message)).verdict.state == "cancelled"
        second = await at.offer(token="t2")
        assert second.id != message.id
        case = await at.case()
        assert case.offer is not None
        assert (case.status, case.offer.n, case.drop) == ("waiting", 2, ())


async def test_an_offer_that_reaches_nobody_goes_back_to_its_owner(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path, usual=Refused(fault=Fault.UNREACHABLE)) as at:
        await at.open()
        await at.offer()
        case = await at.when(lambda c: c.status == "open")
        assert case.offer is not None
        assert case.offer.ended == "unreached"
        assert case.history[-1].facts["code"]


async def test_no_opens_it_again_with_the_words_and_yes_closes_it(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        await at.resolve(after=DAY)
        assert (await at.case()).status == "resolved"
        await at.pass_time(DAY)
        question = await at.asked()
        assert question.category == "follow_up"
        await until(lambda: at.sms.handed)
        await at.core.hears(PHONE, "No, the light still flickers")
        case = await at.when(lambda c: c.status == "reopened")
        assert [note.text for note in case.notes] == ["the light still flickers"]
        await until(complains(at, expected=True))
        await at.resolve(token="r2")
        second = await at.asked()
        assert second.id != question.id
        await until(lambda: len(at.sms.handed) == 3)
        assert any(out.words.text.startswith("We are sorry that it is not solved yet.") for out in at.sms.handed)
        await at.core.hears(PHONE, "yes")
        case = await at.when(lambda c: c.status == "closed")
        assert steps(case)[-2:] == ["confirmed", "closed"]
        await until(complains(at, expected=False))


async def test_silence_for_a_week_closes_it_and_a_late_no_opens_it_again(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        await at.resolve()
        question = await at.asked()
        await until(lambda: at.sms.handed)
        await at.pass_time(SILENCE_MS / 1000 - 60)
        await at.core.stop()
        assert (await at.case()).status == "resolved"
        at.core.work()
        await at.pass_time(120)
        case = await at.when(lambda c: c.status == "closed")
        assert case.history[-1].by == "gateway"
        await at.core.age(question, SILENCE_MS / 1000 + 60)
        await at.core.gateway.pages.answer(question.id, value=False, words="No")
        assert (await at.when(lambda c: c.status == "reopened")).closed_at is None


async def test_words_that_are_no_answer_are_no_silence(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        await at.resolve()
        await at.asked()
        await until(lambda: at.sms.handed)
        await at.core.hears(PHONE, "Somebody came by on Tuesday.")
        await at.when(lambda c: [note.text for note in c.notes] == ["Somebody came by on Tuesday."])
        await at.pass_time(SILENCE_MS / 1000 + 60)
        case = await at.when(lambda c: c.status != "resolved")
        assert (case.status, case.history[-1].by) == ("reopened", "gateway")


async def test_past_its_due_time_it_is_overdue_once_and_goes_up_step_by_step(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        case = await at.open(kind="billing")
        assert (case.owner, case.due_at - case.created_at) == ("billing-team", 3_600_000)
        await at.pass_time(3600)
        case = await at.when(lambda c: c.overdue_at)
        assert case.owner == "billing-team"
        late, _ = await at.cases.find("live", Found(overdue=True), 5, None)
        assert [one.id for one in late] == ["k1"]
        await at.pass_time(600)
        assert (await at.when(lambda c: c.escalations)).owner == "lead"
        await at.pass_time(600)
        case = await at.when(lambda c: c.escalations == 2)
        assert (case.owner, steps(case)) == ("head", ["opened", "overdue", "escalated", "escalated"])
        assert await events(at) == {"case.created": 1, "case.overdue": 1, "case.changed": 3}
        owned, _ = await at.cases.find("live", Found(owner="head", kind="billing"), 5, None)
        assert [one.id for one in owned] == ["k1"]
        assert await at.cases.find("live", Found(owner="lead"), 5, None) == ([], None)


async def test_who_has_opted_out_is_not_written_to_and_their_case_goes_on(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        no = ConsentEntry(channel="*", category="*", state="withdrawn", way="api", wording="No.", at=1)
        await at.core.gateway.customers.withdraw("sms", PHONE, [no])
        await at.open()
        await at.cases.offer("live", "k1", OPTIONS, DAY, by="key", token="t1")
        case = await at.when(lambda c: c.status == "open")
        assert case.offer is not None
        assert case.offer.ended == "unreached"
        await at.resolve()
        await at.asked()
        await at.pass_time(SILENCE_MS / 1000 + 60)
        await at.when(lambda c: c.status == "closed")
        assert not at.sms.handed


async def nothing(_message: Message) -> None:
    """A follower that died every time."""
