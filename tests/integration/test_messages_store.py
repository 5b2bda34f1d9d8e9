"""Messages in Redis: what is stored is what comes back, and nothing stays for ever that was not meant to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.channels.base import Refused
from gateway.message import Attempt, Cost, Fault, Held, Message, Receipt, Skipped, Verdict, Why
from gateway.prompts import Answer, Option, Prompt
from gateway.routing.view import Next
from gateway.store.clock import Clock
from gateway.store.messages import Before, Messages
from gateway.store.roll import Roll
from gateway.store.scripts import Scripts
from tests.support.changes import DAY_MS, message
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Scripted, core, where
from tests.support.keyleaks import leaks

LATER = Next(status="queued", wake_at=10**13, deadline=10**13)


@pytest.fixture
def store(scripts: Scripts, clock: Clock) -> Messages:
    return Messages(scripts, clock, Roll(scripts, clock, "here"), keep_records=90, keep_content=30)


def full() -> Message:
    """A record with something in every field."""
    made = message(
        template="outage-notice",
        template_version=3,
        thread="t",
        reference="SAP-1",
        metadata={"a": [1, None, "ä"]},
        addresses=(("sms", PHONE),),
        prompt=Prompt(kind="choice", options=(Option("a", "A"), Option("b", "B"))),
        retry_of="m0",
        expires_at=9,
        send_at=8,
    )
    made.attempts = [
        Attempt(
            id="a1", channel="sms", address=PHONE, cost=Cost("0.05", "USD", "provider"), times={"started": 5, "sent": 6}
        ),
        Attempt(id="a2", channel="email", address=MAIL, fault=Fault.MAILBOX_FULL, times={"started": 7}),
    ]
    made.held = Held(until=3, code="quiet_hours", text="x", since=1)
    made.skipped = (Skipped("voice", Why("opted_out", "x"), PHONE),)
    made.answer = Answer(value="a", text="A", channel="sms", at=4)
    made.later_answers = [Answer(value=None, text="?", channel="sms", at=5, late=True)]
    made.closing = made.verdict = Verdict(state="unreached", code="no_receipt", at=9)
    return made


async def test_what_goes_in_comes_out(store: Messages) -> None:
    made = full()
    assert await store.accept(made, LATER, b"body", claims=False) == "ok"
    loaded = await store.load(made.id)
    assert loaded is not None
    assert (loaded.message, loaded.version) == (made, 1)
    assert await store.body(made) == b"body"
    assert await store.load_many([made.id, "nonsense", message(2).id, made.id]) == [loaded, None, None, loaded]


async def test_accepting_again_changes_nothing(store: Messages) -> None:
    made = message()
    await store.accept(made, LATER, b"body", claims=True)
    other = message(category="code")
    assert await store.accept(other, LATER, b"other", claims=True) == "exists"
    loaded = await store.load(made.id)
    assert loaded is not None
    assert (loaded.message.category, await store.body(made)) == ("outage", b"body")


async def test_content_outlives_the_deadline_by_its_retention(store: Messages, clock: Clock, redis_client: Any) -> None:
    made = message()
    deadline = clock.now() + DAY_MS
    await store.accept(made, Next(status="queued", wake_at=1, deadline=deadline), b"body", claims=False)
    left = await redis_client.pttl(where(made.id).body(made.id))
    assert 31 * DAY_MS - 10_000 < left <= 31 * DAY_MS


async def test_a_lost_race_writes_nothing(store: Messages) -> None:
    made = message()
    await store.accept(made, LATER, b"body", claims=False)
    one = await store.load(made.id)
    assert one is not None
    first, second = one.message, one.message
    assert await store.commit(Before.of(first), first, 1, LATER) == ("ok", 2)
    assert await store.commit(Before.of(second), second, 1, LATER) == ("conflict", 1)
    assert await store.commit(Before.of(first), message(9), 1, LATER) == ("gone", 1)
    assert await store.cancel(message(9).id) == "gone"
    assert await store.cancel("nonsense") == "gone"


async def test_events_and_counters_tell_what_happened(redis_url: str, tmp_path: Path) -> None:
    sms, mail = Scripted("sms", Refused(fault=Fault.BAD_ADDRESS)), Scripted("email")
    async with core(redis_url, tmp_path, sms, mail) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL)
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: len(m.attempts) == 2 and m.attempts[1].status == "accepted")
        await gw.gateway.receipts.absorb(sent.id, [Receipt(attempt="a2", at=1, status="delivered")])
        at = where(sent.id)
        kinds = [f[b"t"].decode() for _, f in await gw.client.xrange(at.events) if f[b"id"].decode() == sent.id]
        assert kinds[0] == "message.accepted"
        assert kinds[-1] == "message.done"
        assert kinds.count("message.done") == 1
        counts: dict[str, int] = {}
        async for key in gw.client.scan_iter(match=f"{at.prefix}count:live:*"):
            for name, n in (await gw.client.hgetall(key)).items():
                counts[name.decode()] = counts.get(name.decode(), 0) + int(n)
        assert counts == {"accepted:outage": 1, "begun:sms": 1, "begun:email": 1, "reached:outage": 1}


async def test_nothing_stays_for_ever(redis_url: str, tmp_path: Path, redis_client: Redis) -> None:
    """After everything has ended every key has a lifetime or a stated permit."""
    scale = Prompt(kind="scale", min=0, max=10)
    channels = Scripted("sms", Refused(fault=Fault.ACCOUNT_SHUT)), Scripted("voice", recalls=True), Scripted("email")
    async with core(redis_url, tmp_path, *channels) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        await gw.person("nikos", email="nikos@example.org", sms=OTHER_PHONE)
        sent = [
            await gw.send("maria", thread="t"),
            await gw.send("maria", thread="t", reference="r", prompt=scale),
            await gw.send("nikos", "code"),
            await gw.send("nikos", "survey", prompt=scale, reach={"channels": ["email"]}),
            *await gw.send_many(["maria", "nikos"], "service"),
        ]
        await gw.when(sent[1], lambda m: m.attempts)
        await gw.hears(OTHER_PHONE, "9")
        await gw.hears(PHONE, "STOP")
        for one in sent:
            await gw.gateway.messages.cancel(one.id)
            await gw.ended(one)
        for one in sent:
            assert await gw.wake(one) is None
        await gw.stop()
        assert await leaks(redis_client, ended=True) == []
        for kind in ("agenda", "line"):
            assert [k async for k in gw.client.scan_iter(match=f"*:{kind}:*")] == []
