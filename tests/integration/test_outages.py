"""Outages on a real Redis: everybody once, told, told more, told that it is over; who is counted as what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Accepted
from gateway.outages import records
from gateway.outages.service import Over, Taken
from tests.support.core import Core, core, until
from tests.support.keyleaks import leaks
from tests.support.outages import (
    begin,
    counted,
    listed,
    message_to,
    people,
    picky,
    resolve,
    said,
    standing,
    update,
)
from tests.support.scripted import Hang, Scripted


def sums(counts: Any) -> bool:
    return counts.audience == sum(
        (counts.waiting, counts.told_only, counts.reached, counts.unreached, counts.suppressed)
    )


async def answered(made: Core, customer: str) -> None:
    found = await message_to(made, customer)
    assert await made.gateway.receipts.acknowledge(found.id, "test") is not None


async def test_everybody_stands_as_what_became_of_their_notice(redis_url: str, tmp_path: Path) -> None:
    sms = picky("+306900000003")
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 5)
        await made.gateway.people.put("c9", {"locale": "en", "addresses": [], "attributes": {"area": "Kypseli"}})
        made.work()
        await begin(made)
        found = await counted(made, told_only=4, unreached=1, suppressed=1)
        assert (found.audience, found.told, found.acknowledged, found.waiting) == (6, 4, 0, 0)
        await answered(made, "c0")
        found = await counted(made, reached=1, told_only=3)
        assert (found.audience, found.told, found.acknowledged) == (6, 4, 1)
        shown = await standing(made)
        assert (shown.by_channel["sms"].told, shown.by_channel["sms"].failed) == (4, 1)
        [left_out] = await listed(made, state="suppressed")
        assert left_out.customer.id == "c9"
        assert left_out.why is not None
        assert left_out.why.code == "no_route"


async def test_an_update_takes_the_place_of_what_has_not_gone_out(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 6)
        made.work()
        await begin(made)
        await counted(made, told_only=6)
        sms.usual = hang  # nobody gets anything more for now
        await update(made, said("Another hour."))
        found = await counted(made, waiting=6)
        assert (found.told, found.audience) == (6, 6), "told by the notice is told"
        sms.usual = None
        hang.answer(Accepted(provider_id="late"))
        await counted(made, waiting=0, told_only=6, told=6)


async def test_an_update_while_the_notice_finds_people_is_all_that_the_others_get(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SOON_MS", 300)
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as made:
        names = await people(made, 12)
        await begin(made)  # nobody works yet: the notice finds nobody
        await update(made, said("Another hour."))
        made.work()
        found = await counted(made, told_only=12)
        assert found.audience == 12
        outage = await made.gateway.outages.load("live", "o1")
        texts = [out.message for out in sms.handed]
        assert len(texts) == len(names), "each got one message"
        for name in texts:
            assert (await made.message(name)).broadcast == outage.newest.broadcast
        old = outage.parts[0].broadcast

        async def over() -> bool:
            notice = await made.gateway.broadcasts.load("live", old)
            return notice is not None and notice.cancelled_at is not None

        await until(over)


async def test_the_all_clear_goes_to_those_who_were_told_and_to_them_once(redis_url: str, tmp_path: Path) -> None:
    sms = picky("+306900000001", "+306900000002")
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 6)
        made.work()
        await begin(made)
        await counted(made, told_only=4, unreached=2)
        sms.usual = None  # the number works again
        await update(made, said("Another hour."))
        await counted(made, told_only=6, told=6)
        await people(made, 2, first=6)  # moved in too late to have heard of it
        before = len(sms.handed)
        await resolve(made)

        async def all_told() -> bool:
            found = (await standing(made)).all_clear
            return found is not None and found.reached + found.told_only == 6

        await until(all_told)
        assert len(sms.handed) == before + 6
        outage = await made.gateway.outages.load("live", "o1")
        assert outage.state == "resolving"
        assert "over" in sms.handed[-1].words.text
        with pytest.raises(Over):
            await update(made, said("More."))
        with pytest.raises(Over):
            await resolve(made)


async def test_nobody_who_was_not_told_gets_the_all_clear(redis_url: str, tmp_path: Path) -> None:
    sms = picky("+306900000001")
    async with core(redis_url, tmp_path, sms) as made:
        await people(made, 4)
        made.work()
        await begin(made)
        await counted(made, told_only=3, unreached=1)
        await resolve(made, said("It is over.", prompt=None))

        async def told() -> bool:
            found = (await standing(made)).all_clear
            return found is not None and found.audience == 3 and found.waiting == 0

        await until(told)
        assert [out.to for out in sms.handed].count("+306900000001") == 1


async def test_an_outage_is_resolved_once_its_all_clear_has_ended(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        await people(made, 3)
        made.work()
        await begin(made)
        await counted(made, told_only=3)
        await resolve(made, said("It is over.", prompt=None, until="accepted"))

        async def over() -> bool:
            return (await made.gateway.outages.load("live", "o1")).state == "resolved"

        await until(over)
        assert await events(made, "outage.done") == ["live:o1"]
        assert set(await events(made, "outage.progress")) == {"live:o1"}
        assert [one.id for one in (await made.gateway.outages.page("live", 9, state="resolved"))[0]] == ["o1"]
        assert (await made.gateway.outages.page("live", 9, state="active"))[0] == []
        assert (await made.gateway.outages.page("live", 9, state="resolving"))[0] == []
        assert await leaks(made.client) == []


async def test_the_same_id_is_one_outage_and_a_repeat_of_the_request_is_it_again(
    redis_url: str, tmp_path: Path
) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        await people(made, 2)
        outage = await begin(made)
        assert (await begin(made)).parts == outage.parts, "the same words are the same outage"
        with pytest.raises(Taken):
            await begin(made, words=said("Something else."))
        assert len(outage.parts) == 1
        assert sums((await standing(made)).counts)


async def events(made: Core, kind: str) -> list[str]:
    """What was told of that kind, in all partitions."""
    found: list[str] = []
    async for key in made.client.scan_iter(match="*:events"):
        for _, fields in await made.client.xrange(key):
            if fields[b"t"].decode() == kind:
                found.append(fields[b"id"].decode())
    return found
