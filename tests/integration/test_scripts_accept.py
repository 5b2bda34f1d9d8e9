"""The accept script: a message enters whole, once, and takes its place in its thread."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.store.keys import BELL
from gateway.store.scripts import Scripts
from tests.support.changes import AT, MINUTE, accept, change, dump, line
from tests.support.core import until

THREAD = AT.thread("live", "c-1", "outage-1")


async def record(client: Any, name: str) -> dict[str, str]:
    return {k.decode(): v.decode() for k, v in (await client.hgetall(AT.message(name))).items()}


async def test_everything_is_written_together(redis_client: Any, scripts: Scripts) -> None:
    index = AT.index("live", "all")
    told = await accept(
        scripts,
        "m1",
        wake=123_456_789,
        places={line("sms"): 7, line("voice"): 7},
        event="message.accepted message.held",
        counters=["accepted:outage", "accepted"],
        index=[f"+{index}"],
    )
    assert told == "ok"
    assert await record(redis_client, "m1") == {"v": "1", "s": "state", "l": "critical"}
    assert await redis_client.get(AT.body("m1")) == b"body"
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") == 123_456_789
    for channel in ("sms", "voice"):
        assert await redis_client.zscore(line(channel), "m:m1") == 7
    assert await redis_client.zscore(index, "m1") == 0
    kinds = [fields[b"t"] for _, fields in await redis_client.xrange(AT.events)]
    assert kinds == [b"message.accepted", b"message.held"]
    assert await redis_client.hgetall(MINUTE) == {b"accepted:outage": b"1", b"accepted": b"1"}
    assert 0 < await redis_client.ttl(MINUTE) <= 8 * 86400


async def test_an_id_that_exists_changes_nothing(redis_client: Any, scripts: Scripts) -> None:
    """Also when the second says something else: a retry simply runs again."""
    await accept(scripts, "m1", places={line(): 7}, event="message.accepted", counters=["a"])
    before = await dump(redis_client)
    again = await accept(
        scripts,
        "m1",
        b"other",
        state=b"other",
        lane="bulk",
        wake=1,
        places={line("voice"): 1},
        event="message.accepted",
        counters=["a"],
        index=[f"+{AT.index('live', 'all')}"],
        thread=THREAD,
        order=9,
        done=True,
    )
    assert again == "exists"
    assert await dump(redis_client) == before


async def test_a_message_born_done_lives_its_time_and_never_wakes(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", wake=None, done=True, keep_record=50_000, keep_body=40_000)
    assert 0 < await redis_client.pttl(AT.message("m1")) <= 50_000
    assert 0 < await redis_client.pttl(AT.body("m1")) <= 40_000
    assert await redis_client.zcard(AT.agenda("critical")) == 0


async def test_a_live_record_has_no_lifetime_but_its_content_has(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", keep_body=40_000)
    assert await redis_client.pttl(AT.message("m1")) == -1
    assert 0 < await redis_client.pttl(AT.body("m1")) <= 40_000


async def test_a_newer_message_of_the_thread_marks_and_wakes_the_older(redis_client: Any, scripts: Scripts) -> None:
    for n, lane in enumerate(("critical", "bulk"), 1):
        await accept(scripts, f"m{n}", lane=lane, thread=THREAD, order=n)
    now = (await redis_client.time())[0] * 1000
    assert (await record(redis_client, "m1")) == {"v": "2", "s": "state", "l": "critical", "sup": "m2"}
    await accept(scripts, "m3", thread=THREAD, order=3)
    assert (await record(redis_client, "m1"))["sup"] == "m2", "who took its place is not rewritten"
    assert (await record(redis_client, "m2"))["sup"] == "m3"
    for name, lane in (("m1", "critical"), ("m2", "bulk")):
        assert abs(await redis_client.zscore(AT.agenda(lane), f"m:{name}") - now) < 5_000, (
            "in the agenda of its own lane"
        )
    assert "sup" not in await record(redis_client, "m3")
    assert await redis_client.zrange(THREAD, 0, -1) == [b"*", b"m3"]


async def test_an_older_message_that_comes_later_is_born_superseded(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m2", thread=THREAD, order=2)
    await accept(scripts, "m1", thread=THREAD, order=1)
    assert (await record(redis_client, "m1"))["sup"] == "m2"
    assert "sup" not in await record(redis_client, "m2")
    now = (await redis_client.time())[0] * 1000
    assert abs(await redis_client.zscore(AT.agenda("critical"), "m:m1") - now) < 5_000


async def test_of_two_in_the_same_moment_one_remains(redis_client: Any, scripts: Scripts) -> None:
    """Two of a batch have one time: never both are left, never none."""
    await accept(scripts, "m1", thread=THREAD, order=5)
    await accept(scripts, "m2", thread=THREAD, order=5)
    superseded = ["sup" in await record(redis_client, name) for name in ("m1", "m2")]
    assert sorted(superseded) == [False, True]
    assert await redis_client.zcard(THREAD) == 2, "the one, and the mark of the newest"


async def test_who_claims_nothing_supersedes_nobody(redis_client: Any, scripts: Scripts) -> None:
    """Suppressed, or scheduled for later: its thread is named, but it takes no place in it."""
    await accept(scripts, "m1", thread=THREAD, order=1)
    await accept(scripts, "m2", thread=THREAD, order=None, done=True, wake=None)
    assert "sup" not in await record(redis_client, "m1")
    assert await redis_client.zrange(THREAD, 0, -1) == [b"*", b"m1"]


async def test_what_is_done_is_not_superseded(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", thread=THREAD, order=1)
    assert await scripts.commit(AT, "m1", 1, change(wake=None, done=True), MINUTE) == ("ok", 2)
    await accept(scripts, "m2", thread=THREAD, order=2)
    assert await record(redis_client, "m1") == {"v": "2", "s": "state", "l": "critical", "d": "1"}
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") is None


async def test_a_message_of_the_thread_that_is_gone_harms_nothing(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", thread=THREAD, order=1)
    await redis_client.delete(AT.message("m1"))
    await redis_client.zrem(AT.agenda("critical"), "m:m1")
    await accept(scripts, "m2", thread=THREAD, order=2)
    assert await redis_client.exists(AT.message("m1")) == 0
    assert await redis_client.zscore(AT.agenda("critical"), "m:m1") is None
    assert await redis_client.zrange(THREAD, 0, -1) == [b"*", b"m2"]


async def test_a_scheduled_message_claims_when_it_falls_due(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", thread=THREAD, order=1)
    await accept(scripts, "m2", thread=THREAD, order=None)
    told = await scripts.commit(AT, "m2", 1, change(thread=THREAD, order=2), MINUTE)
    assert told == ("ok", 2)
    assert (await record(redis_client, "m1"))["sup"] == "m2"


async def test_an_older_message_that_is_not_due_yet_is_superseded_too(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m1", thread=THREAD, order=1, joins=True)
    await accept(scripts, "m2", thread=THREAD, order=2)
    assert (await record(redis_client, "m1"))["sup"] == "m2"


async def test_a_newer_message_that_is_not_due_yet_takes_nobodys_place(redis_client: Any, scripts: Scripts) -> None:
    await accept(scripts, "m2", thread=THREAD, order=2, joins=True)
    await accept(scripts, "m1", thread=THREAD, order=1)
    assert "sup" not in await record(redis_client, "m1")
    assert await scripts.commit(AT, "m2", 1, change(thread=THREAD, order=2), MINUTE) == ("ok", 2)
    assert (await record(redis_client, "m1"))["sup"] == "m2"


async def test_other_threads_people_and_modes_are_apart(redis_client: Any, scripts: Scripts) -> None:
    threads = [THREAD, AT.thread("test", "c-1", "outage-1"), AT.thread("live", "c-1", "outage-2")]
    threads.append(AT.thread("live", "c-2", "outage-1"))
    for n, thread in enumerate(threads):
        await accept(scripts, f"m{n}", thread=thread, order=n)
    for n in range(len(threads)):
        assert "sup" not in await record(redis_client, f"m{n}")


@pytest.mark.parametrize(
    "more, rings",
    [
        ({"places": {line(): 1}}, True),
        ({"wake": 1}, True),
        ({"wake": 10_000_000_000_000}, False),
        ({"wake": None, "done": True}, False),
    ],
)
async def test_the_bell_rings_for_what_is_ready(redis_client: Any, scripts: Scripts, more: Any, rings: bool) -> None:
    async with redis_client.pubsub() as bells:
        await bells.subscribe(BELL)
        await until(lambda: bells.get_message(timeout=0.1))
        await accept(scripts, "m1", **more)
        await redis_client.publish(BELL, "end")
        heard: list[bytes] = []

        async def all_heard() -> bool:
            note = await bells.get_message(ignore_subscribe_messages=True, timeout=0.1)
            heard.extend([note["data"]] if note else [])
            return b"end" in heard

        await until(all_heard)
    assert heard[:-1] == ([f"critical:{AT.number}:{'sms' if 'places' in more else ''}".encode()] if rings else [])


async def test_the_stream_of_events_is_trimmed(redis_client: Any, scripts: Scripts) -> None:
    async with redis_client.pipeline(transaction=False) as pipe:
        for n in range(30_000):
            pipe.xadd(AT.events, {"t": "x", "id": str(n), "v": 1})
        await pipe.execute()
    await accept(scripts, "m1", event="message.accepted")
    assert await redis_client.xlen(AT.events) < 21_000
