"""Outages in trouble: tried again, told late, written down by somebody who died; lists of people, and who goes first."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import pytest

from gateway.broadcasts import jobs as jobs_at_work
from gateway.broadcasts.nouns import Audience, Retry
from gateway.channels.base import Accepted, Refused
from gateway.message import Fault
from gateway.outages.nouns import Outage, Part, Said
from gateway.outages.records import written
from gateway.outages.service import NewOutage
from gateway.store.things import Shelf
from tests.support.core import Core, core, until
from tests.support.outages import (
    AREA,
    begin,
    counted,
    listed,
    message_to,
    origin,
    people,
    picky,
    resolve,
    said,
    standing,
    update,
)
from tests.support.scripted import Hang, Scripted


async def test_trying_some_again_shows_in_the_counts_of_the_outage(redis_url: str, tmp_path: Path) -> None:
    sms = picky("+306900000001", "+306900000002")
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 5)
        made.work()
        outage = await begin(made)
        await counted(made, told_only=3, unreached=2)
        sms.usual = None
        wanted = Retry(names=("unreached",))
        again = await made.gateway.broadcasts.retry("live", outage.newest.broadcast, wanted, origin(made))
        found = await counted(made, told_only=5, unreached=0)
        assert (found.audience, found.told) == (5, 5)
        shown = await standing(made)
        assert [one.id for one in shown.repeats] == [again.id]
        assert (shown.by_channel["sms"].told, shown.by_channel["sms"].failed) == (5, 0)
        assert await listed(made, state="unreached") == []
        assert len(await listed(made)) == 5
        before = len(sms.handed)
        second = await made.gateway.broadcasts.retry("live", outage.newest.broadcast, wanted, origin(made))

        async def done() -> bool:
            found = await made.gateway.broadcasts.load("live", second.id)
            return found is not None and found.expanded_by == (1 << 16) - 1

        await until(done)
        assert len(sms.handed) == before, "who was tried again is tried again by that retry, not by another"
        assert (await counted(made, told_only=5)).audience == 5
        third = await made.gateway.broadcasts.retry(
            "live", outage.newest.broadcast, Retry(names=("told_only",)), origin(made)
        )
        await until(lambda: len(sms.handed) == before + 3)
        await until(partial(_told_by, made, third.id, 3))
        assert (await standing(made)).by_channel["sms"].told == 5, "people, not messages"
        await resolve(made, said("It is over.", prompt=None))

        async def told() -> bool:
            found = (await standing(made)).all_clear
            return found is not None and found.audience == 5 and found.waiting == 0

        await until(told)


async def test_medical_priority_goes_first_and_is_tried_three_rounds(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_at_work, "HEAD_START_MS", 60_000)  # however slow the machine is
    sms = Scripted("sms", usual=Refused(fault=Fault.UNREACHABLE))
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 9, medical=(4, 7))
        made.work()
        await begin(made)
        await counted(made, audience=9)
        assert {out.to for out in sms.handed[:2]} == {"+306900000004", "+306900000007"}
        rounds = {name: (await message_to(made, name)).reach.rounds for name in ("c4", "c7", "c3")}
        assert rounds == {"c4": 3, "c7": 3, "c3": 1}
        found = await listed(made)
        assert [one.customer.id in ("c4", "c7") for one in found] == [True, True, *[False] * 7]
        assert [one.medical for one in found[:3]] == [True, True, False]


async def test_a_list_of_people_is_kept_where_an_erasure_finds_it(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, DATA_DIR=str(tmp_path)) as made:
        await people(made, 3)
        made.work()
        await begin(made, customers=("c2", "c0", "nobody"))
        await counted(made, told_only=2)
        outage = await made.gateway.outages.load("live", "o1")
        assert b'"c0"' not in msgspec.json.encode(outage)
        await update(made, said("More."))
        await counted(made, told_only=2, told=2)
        assert len(sms.handed) == 4
        erasure = await made.gateway.erasures.begin("c0", "test")
        await until(lambda: erased(made, erasure))
        await update(made, said("Still more."))
        await counted(made, audience=1, told_only=1)
        assert len(sms.handed) == 5


async def test_what_was_written_down_is_sent_by_a_worker_when_whoever_was_asked_has_died(
    redis_url: str, tmp_path: Path
) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        await people(made, 2)
        now = made.gateway.clock.now()
        notice = Part(broadcast="b-notice", kind="notice", at=now, mark="first", said=said())
        update = Part(broadcast="b-update", kind="update", at=now + 1, mark="second", said=said("Another hour."))
        gone = Part(broadcast="b-gone", kind="update", at=now + 2, mark="third", said=Said(template="no-such"))
        outage = Outage(
            id="o1",
            mode="live",
            title="Power cut",
            audience=Audience(where=AREA),
            created_at=now,
            parts=(notice, update, gone),
        )
        shelf = Shelf(made.gateway.scripts, "outage", Outage)
        assert await shelf.put(shelf.place("live", "o1"), written(None, outage, now - 60_000), 0)
        made.work()
        found = await counted(made, told_only=2, told=2)
        assert found.audience == 2

        async def tidy() -> bool:
            kept = await made.gateway.outages.load("live", "o1")
            return [(one.broadcast, one.said) for one in kept.parts] == [("b-notice", None), ("b-update", None)]

        await until(tidy)


async def test_who_is_told_late_is_told(redis_url: str, tmp_path: Path) -> None:
    """A provider takes the notice only after the update has taken its place: that person gets the all-clear, too."""
    hang = Hang()
    sms = Scripted("sms", hang, timeout=20.0)
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 1)
        made.work()
        await begin(made, words=said(prompt=None))
        await hang.reached.wait()
        sms.usual = Refused(fault=Fault.DECLINED)
        await update(made, said("Another hour.", prompt=None))
        hang.answer(Accepted(provider_id="late"))
        found = await counted(made, unreached=1, told=1)
        assert found.audience == 1
        sms.usual = None
        await resolve(made, said("It is over.", prompt=None))

        async def told() -> bool:
            clear = (await standing(made)).all_clear
            return clear is not None and clear.told == 1

        await until(told)


async def erased(made: Core, erasure: str) -> bool:
    found = await made.gateway.erasures.certificate(erasure)
    return found is not None and found.state == "done"


async def test_the_all_clear_names_the_place_only_where_the_notice_did(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 1)
        made.work()
        named = Said(template="outage-notice", data={"area": "Kypseli"})
        told = {"o1": (said(), "The outage is over."), "o2": (named, "The outage in Kypseli is over.")}
        for name, (notice, words) in told.items():
            new = NewOutage(title="P-150 (crew: ext 4411)", audience=Audience(where=AREA), said=notice, id=name)
            await made.gateway.outages.begin("live", new, origin(made))
            await counted(made, name, told=1)
            before = len(sms.handed)
            await resolve(made, name=name)
            await until(partial(_more_than, sms, before))
            assert sms.handed[-1].words.text.startswith(words)
            assert "4411" not in sms.handed[-1].words.text


async def _told_by(made: Core, broadcast: str, count: int) -> bool:
    return (await made.gateway.broadcasts.state("live", broadcast)).counts.told == count


def _more_than(channel: Scripted, count: int) -> bool:
    return len(channel.handed) > count


async def test_why_is_said_of_those_who_are_not_reached(redis_url: str, tmp_path: Path) -> None:
    sms = picky("+306900000001")
    async with core(redis_url, tmp_path, sms, Scripted("wechat")) as made:
        for name in await people(made, 3):
            await made.gateway.people.put_preferences(name, {"channels": ["wechat", "sms"]})
        await made.gateway.people.put("c3", {"locale": "en", "attributes": {"area": "Kypseli"}})
        made.work()
        await begin(made)
        await counted(made, told_only=2, unreached=1, suppressed=1)
        found = {one.customer.id: one for one in await listed(made)}
        assert found["c0"].why is None
        assert found["c0"].message.skipped, "left out: wechat"
        assert found["c1"].why is not None
        assert found["c1"].why.code != "no_address"
        assert found["c3"].why is not None
        assert found["c3"].why.code == "no_route"


async def test_an_update_and_the_all_clear_count_those_they_have_still_to_find(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        await people(made, 3)
        made.work()
        await begin(made)
        await counted(made, told_only=3)
        await made.stop()
        await update(made, said("Another hour."))
        found = (await standing(made)).counts
        assert (found.audience, found.waiting, found.told) == (3, 3, 3)
        await resolve(made)
        clear = (await standing(made)).all_clear
        assert clear is not None
        assert (clear.audience, clear.waiting) == (3, 3)
