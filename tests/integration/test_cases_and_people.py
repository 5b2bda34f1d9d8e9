"""What a case does to its customer's record, thread and words; and whoever dies of it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cases import machine
from gateway.cases.announcing import Choice
from gateway.cases.finding import Found
from gateway.cases.nouns import Case, Note
from gateway.delivery.drafts import Origin
from gateway.delivery.request import Rejected
from gateway.message import Mode
from gateway.settings_types import CaseSettings
from gateway.store.entries import Entry
from gateway.store.listing import Filter
from tests.support.cases import DAY, KINDS, OPTIONS, Killed, steps, world
from tests.support.core import OTHER_PHONE, PHONE, until
from tests.support.keyleaks import leaks


async def test_surveys_wait_while_any_complaint_is_open(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path, work=False) as at:
        at.cases.kinds = {**KINDS, "praise": CaseSettings(complaint=False)}
        await at.open("praise", kind="praise")
        assert not (await at.core.customer("ana")).complaint_open
        await at.open("tested", mode="test")
        assert not (await at.core.customer("ana")).complaint_open, "a test changes no customer"
        await at.open("k1")
        await at.open("k2")
        survey = await at.core.send("ana", "survey")
        assert survey.held is not None
        assert survey.held.code == "complaint_open"
        await at.resolve("k1")
        assert (await at.core.customer("ana")).complaint_open
        await at.resolve("k2")
        assert not (await at.core.customer("ana")).complaint_open


@pytest.mark.parametrize("task", ["offer", "question", "tell", "flag"])
async def test_who_dies_in_between_leaves_nothing_undone_or_done_twice(
    redis_url: str, tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the deed and before it is marked: the worker does it again, to no effect."""
    async with world(redis_url, tmp_path, work=False) as at:
        effects = at.cases._effects  # pyright: ignore[reportPrivateUsage] - death strikes here
        does, dead = effects.do, list[str]()

        async def dies(what: Any, case: Case) -> Any:
            mark = await does(what, case)
            if what == task and not dead:
                dead.append(what)
                raise Killed
            return mark

        monkeypatch.setattr(effects, "do", dies)
        with contextlib.suppress(Killed):
            await at.open()
        with contextlib.suppress(Killed):
            await at.cases.offer("live", "k1", OPTIONS, DAY, by="key", token="t1")
        await at.cases.change("live", "k1", lambda case, now: machine.set_to(case, "open", now, "key"))
        with contextlib.suppress(Killed):
            await at.resolve()
        assert dead == [task]
        at.core.work()
        case = await at.when(lambda c: c.flagged and c.told == c.steps and not c.drop and c.follow_up is not None)
        await at.asked()
        assert steps(case) == ["opened", "offered", "offer_withdrawn", "resolved", "asked"]
        made, _ = await at.core.gateway.listing.page("live", Filter(customer="ana"), 50, None)
        assert len(made) == 2
        lines, _ = await at.core.gateway.timeline.page("ana", "live", 100, None)
        told = [e.facts["what"] for line in lines if isinstance(e := line.entry, Entry) and e.kind == "case"]
        assert told == steps(case)[::-1]
        assert not (await at.core.customer("ana")).complaint_open


async def test_free_words_go_to_the_case_that_was_last_spoken_of_and_is_not_over(
    redis_url: str, tmp_path: Path
) -> None:
    async with world(redis_url, tmp_path) as at:
        for name in ("k1", "k2", "k3"):
            await at.open(name)
        await at.resolve("k3", after=DAY)
        await at.cases.offer("live", "k1", OPTIONS, DAY, by="key", token="t1")
        await at.cases.change("live", "k1", lambda case, now: machine.set_to(case, "open", now, "key"))
        await at.core.hears(PHONE, "By the way, my new number comes next week")
        case = await at.when(lambda c: c.notes)
        assert [(note.of, note.channel, note.text) for note in case.notes] == [
            ("customer", "sms", "By the way, my new number comes next week")
        ]
        for name in ("k1", "k2"):
            await at.resolve(name, after=DAY)
            await at.cases.change("live", name, lambda case, now: machine.set_to(case, "closed", now, "key"))
        await at.core.hears(PHONE, "And thank you for your patience with me")
        assert (await at.when(lambda c: c.notes, "k3")).status == "resolved"
        assert [len((await at.case(name)).notes) for name in ("k1", "k2", "k3")] == [1, 0, 1]


async def test_an_announcement_that_was_broken_off_goes_on_and_nobody_hears_it_twice(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.core.person("eva", sms=OTHER_PHONE)
        for name, customer in (("k1", "ana"), ("k2", "eva")):
            await at.open(name, customer)
            await at.resolve(name, after=DAY)
        made, origin = at.core.gateway.announcements, Origin(b"announced" * 4, at.core.gateway.clock.now())
        change, died = at.cases.change, list[str]()

        async def dies(mode: Mode, case: str, told: Any) -> Case:
            if case == "k1" and not died:
                died.append(case)
                raise Killed
            return await change(mode, case, told)

        monkeypatch.setattr(at.cases, "change", dies)
        choice = Choice(root_cause="A WORN cable")
        with pytest.raises(Killed):
            await made.announce("live", choice, origin, by="key")
        await at.open("k9", "ana")
        await at.cases.resolve("live", "k9", "A worn cable", "Else", DAY, by="key", token="r9")
        told = await made.announce("live", choice, origin, by="key")
        again = await made.announce("live", choice, origin, by="key", patience=0)
        assert (told.broadcast, told.people) == (again.broadcast, 2)
        await until(lambda: len(at.sms.handed) >= 2)
        for name in ("k1", "k2"):
            assert steps(await at.case(name)).count("announced") == 1
        assert sorted(out.to for out in at.sms.handed) == sorted((PHONE, OTHER_PHONE))


async def test_yes_that_the_provider_takes_for_its_own_start_is_an_answer_all_the_same(
    redis_url: str, tmp_path: Path
) -> None:
    """Twilio marks YES as START, whatever has been asked."""
    async with world(redis_url, tmp_path) as at:
        await at.open()
        await at.resolve()
        await at.asked()
        await until(lambda: at.sms.handed)
        assert await at.core.hears(PHONE, "Yes", kind="opt_in") == "answer"
        await at.when(lambda c: c.status == "closed")
        assert await at.core.hears(PHONE, "START", kind="opt_in") == "consent"


async def test_the_thread_tells_of_it_with_the_words_of_notes(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        await at.cases.note("live", "k1", Note(id="n", at=1, of="operator", by="maria", text="Called her"))
        await at.core.hears(PHONE, "I am at home on Friday")
        await at.when(lambda c: len(c.notes) == 2 and c.told == c.steps)
        posts, _ = await at.core.gateway.threads.page("ana", "live", 50, None)
        told = [(post.kind, post.text) for post in posts if post.kind in ("case", "note", "inbound")]
        assert sorted(told) == [("case", "The bill"), ("inbound", "I am at home on Friday"), ("note", "Called her")]
        found = await at.core.gateway.lookup.by_address("live", PHONE)
        [caller] = found.customers
        assert [case["id"] for case in caller.parts["cases"]] == ["k1"]
        assert "complaint_open" in [hint.code for hint in caller.hints]


async def test_nothing_is_left_behind_for_ever(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open()
        await at.resolve()
        await at.asked()
        await until(lambda: at.sms.handed)
        await at.core.hears(PHONE, "2")
        await at.when(lambda c: c.status == "reopened")
        assert await leaks(at.core.client) == []
        ttl = "PTTL", at.cases.place("live", "k1").at.member(at.cases.place("live", "k1").member)
        assert await at.core.client.execute_command(*ttl) == -1
        await at.resolve(token="r2")
        await at.cases.change("live", "k1", lambda case, now: machine.set_to(case, "closed", now, "key"))
        assert await at.core.client.execute_command(*ttl) > 700 * DAY * 1000


async def test_two_cases_closed_and_opened_at_once_leave_the_flag_right(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path, work=False) as at:
        for n in range(4):
            await at.open(f"a{n}")
        await asyncio.gather(*(at.resolve(f"a{n}") for n in range(4)), *(at.open(f"b{n}") for n in range(3)))
        assert (await at.core.customer("ana")).complaint_open
        await asyncio.gather(*(at.resolve(f"b{n}") for n in range(3)))
        assert not (await at.core.customer("ana")).complaint_open


async def test_a_person_who_is_forgotten_leaves_a_case_without_words(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.open(description="She is ill")
        await at.cases.note("live", "k1", Note(id="n", at=1, of="operator", by="maria", text="She cried"))
        await at.resolve(after=DAY)
        held = await at.core.gateway.holdings.of("ana")
        assert held is not None
        assert [one["description"] for one in held.things["cases"]] == ["She is ill"]
        erasure = await at.core.gateway.erasures.begin("ana", "test")

        async def over() -> bool:
            found = await at.core.gateway.erasures.certificate(erasure)
            return found is not None and found.state == "done" and found.erased.get("cases") == 1

        await until(over)
        case = await at.case()
        assert (case.customer, case.status, case.kind, case.root_cause) == (None, "closed", "website", "A worn cable")
        kept = msgspec.json.encode(case).decode()
        assert not any(word in kept for word in ("ana", "ill", "cried", "replaced", "The bill"))
        assert await at.cases.find("live", Found(customer="ana"), 5, None) == ([], None)
        with pytest.raises(machine.NotNow):
            await at.resolve(token="r3")
        with pytest.raises(Rejected):
            await at.open()


async def test_two_people_who_share_a_fault(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path, work=False) as at:
        await at.core.person("eva", sms=OTHER_PHONE)
        for name, customer in (("k1", "ana"), ("k2", "ana"), ("k3", "eva")):
            await at.open(name, customer, outage="out-7")
        await at.cases.resolve("live", "k1", "Worn  Cable", "Mended", DAY, by="key", token="r1")
        await at.cases.resolve("live", "k3", "worn cable", "Mended", DAY, by="key", token="r1")
        assert [case.id for case in await at.cases.having("live", "outage", "out-7")] == ["k3", "k2", "k1"]
        assert [case.id for case in await at.cases.having("live", "cause", "worn cable")] == ["k3", "k1"]


async def test_an_announcement_waits_for_nobody_who_cannot_be_told(redis_url: str, tmp_path: Path) -> None:
    async with world(redis_url, tmp_path) as at:
        await at.core.person("eva", email="eva@example.org")
        for name, customer in (("k1", "ana"), ("k2", "eva")):
            await at.open(name, customer)
            await at.cases.resolve("live", name, "Worn cable", "Mended", DAY, by="key", token="r1")
        choice, origin = Choice(cases=("k1", "k2")), at.core.gateway.intake.origin()
        told = at.core.gateway.announcements.announce("live", choice, origin, by="key", patience=600)
        async with asyncio.timeout(20):  # far below the patience
            made = await told
        assert (made.people, made.told) == (2, 1)
