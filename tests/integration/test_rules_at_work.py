"""Rules on a real core: a run waits, is cancelled by contrary events however they come, and acts once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.delivery.request import Rejected
from gateway.rules import journal as journals
from gateway.rules.event import Event
from gateway.rules.events import KIND as EVENT
from gateway.rules.journal import MOST_OPEN, Journal, Open
from gateway.rules.run import Run
from gateway.store.entries import Entry
from gateway.store.things import Shelf, Written
from gateway.surveys.nouns import Form
from tests.support.core import PHONE, Core, core, until
from tests.support.keyleaks import leaks
from tests.support.ruling import THEN, fall_due, rule, run_of, runs, sent, tell, when
from tests.support.scripted import Scripted

HOUR = 3_600_000


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Core]:
    async with core(redis_url, tmp_path, Scripted("sms"), DATA_DIR=str(tmp_path)) as made:
        await made.person("ana", sms=PHONE)
        made.work()
        yield made


async def test_an_event_a_wait_and_one_question(gw: Core) -> None:
    await rule(gw, then={**THEN, "thread": "order-{{ event.order }}", "prompt": {"kind": "yes_no"}})
    event = await tell(gw, "order.placed", "1", order="4711")
    run = await run_of(gw, event)
    assert (run.state, run.due_at - run.at) == ("waiting", HOUR)
    assert await sent(gw) == []
    await fall_due(gw, run)
    acted = await when(gw, run, "acted")
    [message] = await sent(gw)
    assert (message.id, message.about, message.thread) == (acted.made, f"run:{run.id}", "order-4711")
    assert acted.data == {}, "what the event said is held no longer than it is needed"

    async def heard() -> bool:
        return (await run_of(gw, event)).verdict == "reached"

    await gw.when(message, lambda found: found.attempts)
    assert await gw.hears(PHONE, "yes") == "answer"
    await until(heard)
    assert await tell(gw, "order.placed", "1", at=None, order="4711") == event
    assert len(await sent(gw)) == 1
    lines, _ = await gw.gateway.timeline.page("ana", "live", 50, None)
    told = [(line.entry.kind, line.entry.facts) for line in lines if isinstance(line.entry, Entry)]
    assert ("event", {"type": "order.placed", "id": "1"}) in told
    assert any(kind == "run" and facts["rule"] == "ask" for kind, facts in told)


async def test_a_rule_without_a_wait_acts_at_once(gw: Core) -> None:
    await rule(gw, wait=0)
    await when(gw, await run_of(gw, await tell(gw, "order.placed", "1", order="1")), "acted")


async def test_a_contrary_event_cancels_what_waits(gw: Core) -> None:
    await rule(gw)
    one, other = [await run_of(gw, await tell(gw, "order.placed", n, order=n)) for n in "12"]
    await tell(gw, "order.paid", "p", order="1")
    ended = await when(gw, one, "cancelled")
    assert ended.why is not None
    assert ended.why.code == "contrary_event"
    await fall_due(gw, other)
    await when(gw, other, "acted")
    assert len(await sent(gw)) == 1


async def test_a_contrary_event_may_come_before_what_it_is_contrary_to(gw: Core) -> None:
    await rule(gw)
    now = gw.gateway.clock.now()
    await tell(gw, "order.paid", "p", at=now - 5_000, order="1")
    before = await tell(gw, "order.placed", "1", at=now - 10_000, order="1")
    after = await tell(gw, "order.placed", "2", at=now, order="1")
    assert (await run_of(gw, before)).state == "cancelled", "it was placed and then paid"
    assert (await run_of(gw, after)).state == "waiting", "it was placed once more after that"


async def test_a_contrary_event_also_stops_a_message_that_is_under_way(gw: Core) -> None:
    await rule(gw, wait=0, then={**THEN, "reach": {"until": "delivered", "step": 600}})
    run = await when(gw, await run_of(gw, await tell(gw, "order.placed", "1", order="1")), "acted")
    assert run.made is not None
    await gw.when(run.made, lambda message: message.attempts)
    await tell(gw, "order.paid", "p", order="1")
    assert (await gw.ended(run.made)).verdict.state == "cancelled"

    async def heard() -> bool:
        found = await gw.gateway.runs.records.get("live", run.id)
        return found is not None and found.verdict == "cancelled"

    await until(heard)
    stored = await gw.gateway.runs.records.get("live", run.id)
    assert stored is not None
    assert stored.why is not None
    assert stored.why.code == "contrary_event"


async def test_the_same_event_again_starts_the_wait_anew(gw: Core) -> None:
    await rule(gw, "idle", on="page.seen", unless=[{"type": "page.seen"}])
    now = gw.gateway.clock.now()
    seen = [await tell(gw, "page.seen", str(n), at=now + n, order=n) for n in (2, 1, 3)]
    states = [(await run_of(gw, event)).state for event in seen]
    assert states == ["cancelled", "cancelled", "waiting"], "only the last visit counts, in whatever order they come"


async def test_the_customer_is_looked_at_when_the_rule_acts(gw: Core) -> None:
    await rule(gw, when=[{"field": "event.order", "exists": True}, {"field": "customer.attributes.vip", "ne": True}])
    assert (await tell(gw, "order.placed", "0")).runs == (), "the event alone says that it never will"
    run = await run_of(gw, await tell(gw, "order.placed", "1", order="1"))
    profile = {"locale": "en", "addresses": [{"channel": "sms", "value": PHONE}], "attributes": {"vip": True}}
    await gw.gateway.people.put("ana", profile)
    await fall_due(gw, run)
    dropped = await when(gw, run, "dropped")
    assert dropped.why is not None
    assert dropped.why.code == "conditions"
    assert await sent(gw) == []


async def test_once_per_customer_within_a_time(gw: Core) -> None:
    await rule(gw, once_per="customer", per=86_400, wait=0)
    events = await asyncio.gather(*(tell(gw, "order.placed", str(n), order=str(n)) for n in range(5)))
    assert sum(len(event.runs) for event in events) == 1
    [run] = await runs(gw)
    await when(gw, run, "acted")
    assert (await tell(gw, "order.placed", "later", order="9")).runs == ()


async def test_a_run_that_was_cancelled_leaves_room_for_another(gw: Core) -> None:
    await rule(gw, once_per="customer", per=86_400)
    await tell(gw, "order.placed", "1", order="1")
    assert (await tell(gw, "order.placed", "2", order="2")).runs == ()
    await tell(gw, "order.paid", "p", order="1")
    assert len((await tell(gw, "order.placed", "3", order="3")).runs) == 1


async def test_runs_finish_with_the_version_they_began_with(gw: Core) -> None:
    await rule(gw)
    run = await run_of(gw, await tell(gw, "order.placed", "1", order="1"))
    await rule(gw, then={"category": "service", "content": {"text": "Something else"}}, enabled=False)
    assert (await tell(gw, "order.placed", "2", order="2")).runs == ()
    await fall_due(gw, run)
    await when(gw, run, "acted")
    [message] = await sent(gw)
    body = await gw.gateway.messages.body(message)
    assert body is not None
    assert b"order 1?" in body


async def test_deleting_a_rule_ends_what_waits_and_not_what_waits_for_its_successor(gw: Core) -> None:
    await rule(gw)
    old = [await run_of(gw, await tell(gw, "order.placed", n, order=n)) for n in "123"]
    await gw.stop()
    assert await gw.gateway.rulebook.delete("live", "ask")
    await rule(gw)
    new = await run_of(gw, await tell(gw, "order.placed", "4", order="4"))
    assert await gw.gateway.rulebook.version("live", "ask", old[0].born, old[0].version) is None
    assert await gw.gateway.rulebook.version("live", "ask", new.born, new.version) is not None
    gw.work()
    for run in old:
        ended = await when(gw, run, "cancelled")
        assert ended.why is not None
        assert ended.why.code == "rule_deleted"

    async def swept() -> bool:
        kept = await gw.gateway.rulebook.get("live", "ask")
        return kept is not None and not kept.sweep

    await until(swept)
    await fall_due(gw, new)
    await when(gw, new, "acted")


async def test_what_a_text_lacks_is_said_of_the_run(gw: Core) -> None:
    await rule(gw, wait=0)
    failed = await when(gw, await run_of(gw, await tell(gw, "order.placed", "1")), "failed")
    assert failed.why is not None
    assert "event.order" in failed.why.text


async def test_a_case_is_opened_once(gw: Core) -> None:
    await rule(gw, wait=0, then={"case": {"kind": "billing", "subject": "Order {{ event.order }} came back"}})
    run = await when(gw, await run_of(gw, await tell(gw, "order.placed", "1", order="1")), "acted")
    found = await gw.gateway.cases.get("live", run.made or "")
    assert found is not None
    assert (found.customer, found.subject) == ("ana", "Order 1 came back")


async def test_a_survey_is_asked(gw: Core) -> None:
    form = {"questions": [{"id": "q", "kind": "nps", "text": "How was order {{ order }}?"}]}
    await gw.gateway.surveys.put("live", "after", msgspec.convert(form, Form))
    await rule(gw, wait=0, then={"survey": "after", "data": {"order": {"event": "order"}}})
    await when(gw, await run_of(gw, await tell(gw, "order.placed", "1", order="1")), "acted")
    await until(lambda: sent(gw))
    assert len(await sent(gw)) == 1


async def test_too_many_runs_of_one_customer_are_refused(gw: Core) -> None:
    await rule(gw)
    shelf = Shelf(gw.gateway.scripts, journals.KIND, Journal)
    waiting = {f"r{n}": Open("ask", "order.placed", str(n), 0, 0) for n in range(MOST_OPEN)}
    await shelf.change(shelf.place("live", "ana"), lambda _found: Written(Journal(customer="ana", open=waiting)))
    with pytest.raises(Rejected, match="1000 runs"):
        await tell(gw, "order.placed", "1", order="1")
    await tell(gw, "order.seen", "2", order="1")


async def test_events_and_runs_are_handed_over_and_forgotten_with_their_person(gw: Core) -> None:
    await rule(gw)
    event = await tell(gw, "order.placed", "1", order="4711")
    run = await run_of(gw, event)
    held = await gw.gateway.holdings.of("ana")
    assert held is not None
    assert held.things["runs"][0]["data"] == {"order": "4711"}
    assert held.things["events"][0]["id"] == "1"
    erasure = await gw.gateway.erasures.begin("ana", "test")

    async def done() -> Any:
        found = await gw.gateway.erasures.certificate(erasure)
        return found is not None and found.state == "done" and found.erased

    counts = await until(done)
    assert (counts["runs"], counts["events"]) == (1, 1)
    assert await gw.gateway.runs.records.get("live", run.id) is None
    assert await runs(gw, customer="ana") == []
    assert await gw.gateway.mine.of("ana") == []
    with pytest.raises(Rejected):
        await tell(gw, "order.placed", "1", order="4711")
    assert await leaks(gw.client) == []


async def test_what_has_been_kept_for_long_enough_goes_with_every_trace_of_it(gw: Core) -> None:
    await rule(gw, wait=0)
    event = await tell(gw, "order.placed", "1", order="1")
    run = await when(gw, await run_of(gw, event), "acted")
    long_ago = gw.gateway.clock.now() - 400 * 24 * HOUR
    shelf = Shelf(gw.gateway.scripts, EVENT, Event)
    place = shelf.place("live", "order.placed\0" + "1")
    old = msgspec.structs.replace(event, received_at=long_ago)
    await shelf.change(place, lambda _found: Written(old, wake=1, keep=HOUR))
    await gw.gateway.runs.records.change(run.place, lambda found: msgspec.structs.replace(found, ended_at=long_ago))

    async def gone() -> bool:
        kinds = {one.kind for one in await gw.gateway.mine.of("ana")}
        return not kinds & {"run", "event"} and await shelf.load(place) is None

    await until(gone)
    assert await gw.gateway.runs.records.get("live", run.id) is None
    for name, value in (("run", ""), ("run.rule", "ask"), ("run.customer", "ana"), ("run.live", "ask")):
        assert await Shelf(gw.gateway.scripts, "run", Run).count("live", name, value=value) == 0
