"""Records of services on a real Redis: swapped by version, listed, looked at when they wish, erased with their person."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from gateway.app import Gateway
from gateway.privacy.things import Concern
from gateway.store.changes import Taken
from gateway.store.keys import Partition
from gateway.store.scripts import Scripts
from gateway.store.things import Listed, Place, Shelf, Written
from tests.support.core import PHONE, core, until
from tests.support.scripted import Scripted


class Note(msgspec.Struct):
    """A thing for these tests."""

    id: str
    count: int = 0
    at: int = 0


@pytest.fixture
def shelf(redis_client: Redis) -> Shelf[Note]:
    return Shelf(Scripts(redis_client), "case", Note)


def counted(found: Note | None) -> Written[Note]:
    return Written(Note("n", (found.count if found else 0) + 1))


async def test_a_thing_is_made_changed_and_removed(shelf: Shelf[Note]) -> None:
    place = shelf.place("live", "n")
    assert await shelf.load(place) is None
    assert (await shelf.change(place, counted)) == Note("n", 1)
    assert (await shelf.change(place, counted)) == Note("n", 2)
    assert (await shelf.change(place, lambda _found: None)) == Note("n", 2)
    assert await shelf.change(place, lambda _found: Written(None)) is None
    assert await shelf.load(place) is None


async def test_changes_at_once_are_all_counted(shelf: Shelf[Note]) -> None:
    place = shelf.place("live", "n")
    await asyncio.gather(*(shelf.change(place, counted) for _ in range(20)))
    assert await shelf.load(place) == Note("n", 20)


async def test_what_was_made_anew_is_not_what_was_seen_before(shelf: Shelf[Note], redis_client: Redis) -> None:
    place = shelf.place("live", "n")
    await shelf.change(place, counted)
    version = await redis_client.hget(place.at.member(place.member), "v")
    await shelf.change(place, lambda _found: Written(None))
    server: Any = redis_client  # redis-py's own types are partly unknown
    before: tuple[int, int] = await server.time()

    async def later() -> bool:
        now: tuple[int, int] = await server.time()
        return (now[0] - before[0]) * 1000 + (now[1] - before[1]) / 1000 > 5

    await until(later)
    await shelf.change(place, counted)
    assert not await shelf.put(place, Written(Note("n", 9)), int(version or 0))
    assert await shelf.load(place) == Note("n", 1)


async def test_a_list_is_read_newest_first_over_all_partitions(shelf: Shelf[Note]) -> None:
    for n in range(40):
        listed = Listed("live", "all", n)
        written = Written(Note(f"n{n}", n, n), lists=[listed])
        assert await shelf.put(shelf.place("live", f"n{n}"), written, 0)
    found, cursor = await shelf.page("live", "all", 15)
    assert [note.count for note in found] == list(range(39, 24, -1))
    await shelf.put(shelf.place("live", "n99"), Written(Note("n99", 99, 99), lists=[Listed("live", "all", 99)]), 0)
    rest: list[int] = []
    while cursor is not None:
        page, cursor = await shelf.page("live", "all", 15, cursor)
        rest += [note.count for note in page]
    assert rest == list(range(24, -1, -1)), "the cursor is unmoved by new entries"
    assert await shelf.count("live", "all") == 41
    assert await shelf.page("test", "all", 15) == ([], None)


async def test_equal_times_are_each_shown_once(shelf: Shelf[Note]) -> None:
    for n in range(30):
        await shelf.put(shelf.place("live", f"n{n}"), Written(Note(f"n{n}", n), lists=[Listed("live", "all", 7)]), 0)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await shelf.page("live", "all", 4, cursor)
        seen += [note.id for note in page]
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"n{n}" for n in range(30))


async def test_a_thing_leaves_a_list_and_one_that_is_gone_is_passed_over(shelf: Shelf[Note]) -> None:
    place, other = shelf.place("live", "a"), shelf.place("live", "b")
    await shelf.put(place, Written(Note("a"), lists=[Listed("live", "open", 1)]), 0)
    await shelf.put(other, Written(Note("b"), lists=[Listed("live", "open", 2)]), 0)
    await shelf.change(place, lambda _f: Written(Note("a"), lists=[Listed("live", "open", 1, on=False)]))
    await shelf.change(other, lambda _f: Written(None))
    assert await shelf.page("live", "open", 5) == ([], None)
    assert await shelf.count("live", "open") == 0


async def test_the_worker_hands_out_a_thing_that_wishes_to_be_looked_at(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as made:
        gw: Gateway = made.gateway
        shelf = Shelf(gw.scripts, "case", Note)
        place, seen = shelf.place("live", "n"), list[int]()

        async def work(at: Partition, taken: Taken) -> None:
            assert Place(at.number, taken.member) == place
            seen.append(shelf.taken(taken).count)
            await shelf.change(
                place, lambda f: Written(Note("n", 5), wake=None if f and f.count == 5 else gw.clock.now())
            )

        gw.kinds["case"] = work
        made.work()
        await shelf.put(place, Written(Note("n", 1), wake=gw.clock.now()), 0)
        await until(lambda: seen == [1, 5])


async def test_what_speaks_of_a_person_goes_with_them(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as made:
        gw = made.gateway
        shelf = Shelf(gw.scripts, "case", Note)

        async def erase(place: Place, _customer: str, _nobody: str) -> None:
            await shelf.change(place, lambda _f: Written(None))

        async def export(place: Place) -> dict[str, object] | None:
            found = await shelf.load(place)
            return None if found is None else {"id": found.id}

        gw.concerns["case"] = Concern("cases", erase, export)
        await made.person("ana", sms=PHONE)
        place = shelf.place("live", "n")
        assert await gw.mine.add("ana", place)
        await shelf.change(place, counted)
        held = await gw.holdings.of("ana")
        assert held is not None
        assert held.things == {"cases": [{"id": "n"}]}
        made.work()
        erasure = await gw.erasures.begin("ana", "test")
        await until_done(gw, erasure)
        assert await shelf.load(place) is None
        assert not await gw.mine.add("ana", place), "nobody is there any more"
        assert await gw.mine.of("ana") == []


async def until_done(gw: Gateway, erasure: str) -> None:
    async def ended() -> bool:
        found = await gw.erasures.certificate(erasure)
        return found is not None and found.state == "done" and found.erased.get("cases") == 1

    await until(ended)


@pytest.mark.parametrize("cursor", ["junk", "", "000000000case:00.00", f"000000000note:{'0' * 32}.00"])
async def test_a_cursor_that_no_page_gave_is_refused(shelf: Shelf[Note], cursor: str) -> None:
    with pytest.raises(ValueError):
        await shelf.page("live", "all", 5, cursor)
