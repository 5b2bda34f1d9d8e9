"""Standing in a broadcast: whatever happens to its messages, the five states sum to them and a recount says the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway import standing
from gateway.channels.base import Accepted, Outbound, Refused
from gateway.delivery.desk import Case
from gateway.message import Attempt, Fault, Message, Receipt
from gateway.news import absorb
from gateway.prompts import Answer, Prompt
from gateway.routing.view import Next
from gateway.store.derived import Before
from gateway.store.keys import PARTITIONS, partition
from gateway.store.messages import Messages
from gateway.store.morgue import Morgue
from gateway.store.standing import Standings
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Scripted, core, where
from tests.support.keyleaks import leaks

PEOPLE = ("maria", "nikos", "eleni")
ACTS = ("accepted", "sent", "delivered", "failed", "read", "answer", "later", "acknowledge", "cancel", "give_up", "age")


async def recount(gw: Core, ids: list[str]) -> tuple[dict[str, int], Counter[str], dict[str, set[str]]]:
    """What the records say."""
    counts, channels = dict.fromkeys(standing.NAMES, 0), Counter[str]()
    members: dict[str, set[str]] = {name: set() for name in standing.NAMES}
    for message in [await gw.message(one) for one in ids]:
        for name in standing.names(message):
            counts[name] += 1
            members[name].add(message.id)
        channels.update(standing.by_channel(message))
    return dict(counts), channels, members


async def agrees(gw: Core, broadcast: str, ids: list[str]) -> dict[str, int]:
    """The counts, once they have been found to be what the records say."""
    found = await Standings(gw.gateway.scripts).counts("live", broadcast)
    counts, channels, members = await recount(gw, ids)
    assert found == counts
    assert sum(found[name] for name in standing.STANDINGS) == len(ids)
    by_channel = await gw.gateway.standings.by_channel("live", broadcast)
    said = {
        f"{what}:{channel}": getattr(of, what) for channel, of in by_channel.items() for what in of.__struct_fields__
    }
    assert {what: n for what, n in said.items() if n} == dict(channels)
    for name in standing.NAMES:
        listed, cursor = set[str](), None
        while True:
            page, cursor = await gw.gateway.standings.page("live", broadcast, [name], 2, cursor)
            assert not listed & set(page)
            listed |= set(page)
            if cursor is None:
                break
        assert listed == members[name]
    return found


def happens(message: Message, act: str, attempt: Attempt | None, now: int) -> None:
    """One thing that can become known of a message."""
    given = Answer(value=True, text="yes", channel="sms", at=now)
    match act:
        case "answer":
            message.answer = message.answer or given
        case "later" if message.answer is not None:
            message.later_answers.append(given)
        case "acknowledge":
            message.acknowledged_at = message.acknowledged_at or now
        case "cancel":
            message.cancelled_at = message.cancelled_at or now
        case "accepted" | "sent" | "delivered" if attempt is not None:
            absorb(message, Receipt(attempt=attempt.id, at=now, status=act))
        case "failed" if attempt is not None:
            absorb(message, Receipt(attempt=attempt.id, at=now, status="failed", fault=Fault.UNREACHABLE))
        case "read" if attempt is not None:
            absorb(message, Receipt(attempt=attempt.id, at=now, engagement="read"))
        case _:
            return


async def test_any_history(redis_url: str, tmp_path: Path) -> None:
    """Attempts are begun and told of in any order; after every step both ways of counting must agree."""
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email")) as gw:
        for name in PEOPLE:
            await gw.person(name, sms=PHONE, email=MAIL)
        loop, number = asyncio.get_running_loop(), 0

        async def history(steps: list[tuple[int, str, int]]) -> None:
            nonlocal number
            number += 1
            broadcast = f"b-{number}"
            sent = [
                await gw.send(
                    name, broadcast=broadcast, prompt=Prompt(kind="acknowledge"), reach={"until": "delivered"}
                )
                for name in PEOPLE
            ]
            for who, act, which in steps:
                await step(gw, sent[who].id, act, which)
            await agrees(gw, broadcast, [one.id for one in sent])

        steps = st.tuples(st.integers(0, 2), st.sampled_from((*ACTS, "begin", "begin")), st.integers(0, 2))

        @settings(
            max_examples=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(st.lists(steps, max_size=12))
        def histories(steps: list[tuple[int, str, int]]) -> None:
            asyncio.run_coroutine_threadsafe(history(steps), loop).result()

        await asyncio.to_thread(histories)
        assert number >= 40


async def step(gw: Core, message_id: str, act: str, which: int) -> None:
    """Let something happen to a message, and let the desk write down what follows."""
    if act == "age":
        await gw.age(message_id, 4_000)
    case = await gw.gateway.desk.reopen(message_id)
    assert case is not None
    if act == "begin":
        await begin(gw, case)
        return
    attempts = case.message.attempts

    def news(message: Message, now: int) -> None:
        attempt = message.attempts[which % len(attempts)] if attempts else None
        happens(message, act, attempt, now)

    assert await gw.gateway.desk.settle(case, news)


async def begin(gw: Core, case: Case) -> None:
    """An attempt begins, as a worker would have it."""
    following: Next = gw.gateway.desk.decide(case)
    if case.message.done or not following.turns:
        return
    turn, message = following.turns[0], case.message
    attempt = Attempt(
        id=f"a{len(message.attempts) + 1}",
        channel=turn.channel,
        address=turn.address.value,
        round=turn.round,
        times={"started": gw.gateway.clock.now()},
        lease_until=gw.gateway.clock.now() + 60_000,
    )
    message.attempts.append(attempt)
    following = gw.gateway.desk.decide(case)
    store: Messages = gw.gateway.messages
    before: Before = case.before
    done = await store.begin(before, message, (case.version, case.customer_version), following, ())
    assert done[0] == "ok"


async def test_a_broadcast_at_work(redis_url: str, tmp_path: Path) -> None:
    async def carrier(out: Outbound) -> Accepted | Refused:
        taken = out.to == PHONE
        return Accepted(provider_id=out.message) if taken else Refused(fault=Fault.BAD_ADDRESS)

    async with core(redis_url, tmp_path, Scripted("sms", usual=carrier)) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=OTHER_PHONE)
        ids = [(await gw.send(name, broadcast="b-1", reach={"until": "delivered"})).id for name in PEOPLE[:2]]
        other = await gw.send("maria", broadcast="b-2")
        assert (await agrees(gw, "b-1", ids))["waiting"] == 2
        await gw.gateway.messages.cancel(other.id)
        gw.work()
        await gw.when(ids[0], lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.ended(ids[1])
        await gw.ended(other)
        found = await agrees(gw, "b-1", ids)
        assert (found["told_only"], found["told"], found["unreached"]) == (1, 1, 1)
        assert (await agrees(gw, "b-2", [other.id]))["suppressed"] == 1


async def test_every_key_of_it_lapses(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        await gw.send("maria", broadcast="b-1", reach={"within": 5 * 86_400})
        keys = [key async for key in gw.client.scan_iter(match="*stand:*")]
        assert keys
        for key in keys:
            assert await gw.client.pttl(key) / 86_400_000 > 94.9, (
                "as long as the record, which ends in five days at most"
            )
        at = next(partition(n) for n in range(PARTITIONS) if keys[0].decode().startswith(partition(n).prefix))
        assert await gw.gateway.standings.members(at, "live", "b-1", "waiting")
        assert not await gw.gateway.standings.members(at, "test", "b-1", "waiting")


async def test_who_is_thrown_away_from_the_morgue_waits_no_more(redis_url: str, tmp_path: Path) -> None:
    """Else its broadcast would never be done."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", broadcast="b-1")
        await gw.gateway.scripts.bury(where(sent.id), f"m:{sent.id}", "a bug")
        assert (await gw.gateway.standings.counts("live", "b-1"))["waiting"] == 1
        assert await Morgue(gw.gateway.scripts).discard() == 1
        counts = await gw.gateway.standings.counts("live", "b-1")
        assert (counts["waiting"], counts["suppressed"]) == (0, 1)
        assert await leaks(gw.client) == []
