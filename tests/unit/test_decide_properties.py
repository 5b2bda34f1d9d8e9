"""Whatever the person wants, the providers do and the clock says: what always holds."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import note as remark
from hypothesis import strategies as st

from gateway.customer import AddressHealth, Customer, Preferences
from gateway.message import LANES, LEVEL_RANK, Fault, Message
from gateway.news import level_of
from gateway.routing.policy import CATEGORIES
from gateway.routing.view import Turn
from tests.support.routing import (
    T0,
    TRAITS,
    Fate,
    News,
    Shut,
    acked,
    delivered,
    failed,
    granted,
    news,
    note,
    person,
    read,
    withdrawn,
)
from tests.support.routing_world import World

QUICK = settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
CHANNELS = ["sms", "wechat", "email", "voice"]
SECONDS = st.sampled_from([0, 1, 3, 5, 20, 59, 60, 61, 180, 299, 300, 301, 899, 900, 2000, 5000])


def hung_up(at: float) -> News:
    return news(at, status="sent", ended=True)


def voicemail(at: float) -> News:
    return news(at, status="sent", answered_by="machine")


def later() -> st.SearchStrategy[News]:
    return st.one_of(
        st.builds(delivered, SECONDS),
        st.builds(failed, SECONDS, st.sampled_from([Fault.UNREACHABLE, Fault.BAD_ADDRESS, Fault.BUSY])),
        st.builds(read, SECONDS),
        st.builds(acked, SECONDS),
        st.builds(hung_up, SECONDS),
        st.builds(voicemail, SECONDS),
    )


def fates() -> st.SearchStrategy[Fate]:
    return st.builds(
        Fate,
        st.sampled_from(["accepted", "accepted", "sent", "failed", "failed", "lost"]),
        st.sampled_from([Fault.THROTTLED, Fault.UNAVAILABLE, Fault.BAD_ADDRESS, Fault.NO_ANSWER, Fault.ACCOUNT_SHUT]),
        st.sampled_from([None, None, 5, 100, 400]),
        st.lists(later(), max_size=2).map(tuple),
        st.sampled_from(["accepted", "absent", "unknown"]),
    ).map(lambda fate: fate if fate.answer == "failed" else fate._replace(fault=None, retry_after=None))


@st.composite
def people(draw: st.DrawFn) -> Customer:
    owned = draw(st.lists(st.sampled_from([*CHANNELS, "sms:+306987654321"]), max_size=5, unique=True))
    customer = person(*owned, complaint_open=draw(st.booleans()) and draw(st.booleans()))
    if draw(st.booleans()):
        customer.preferences = Preferences()
    scopes = [("*", "*"), ("sms", "*"), ("voice", "outage"), ("*", "survey"), ("email", "service")]
    away = draw(st.lists(st.sampled_from(scopes), max_size=1))
    yes = (granted(at=T0 - 9),) if draw(st.booleans()) else ()
    customer.consents = (*yes, *(withdrawn(*scope, at=T0) for scope in away))
    if draw(st.booleans()) and customer.addresses:
        spoilt = customer.addresses[0]
        health = AddressHealth(state="suppressed", reason="gone", at=T0)
        customer.health = {f"{spoilt.channel}:{customer.keys[spoilt.value]}": health}
    return customer


@st.composite
def messages(draw: st.DrawFn) -> Message:
    category = draw(st.sampled_from(list(CATEGORIES)))
    lane = draw(st.sampled_from(LANES[LANES.index(CATEGORIES[category].priority) :]))
    asked: dict[str, Any] = {
        "within": draw(st.sampled_from([1, 60, 600, 3600, 20_000])),
        "mode": draw(st.sampled_from(["in_turn", "in_turn", "all_at_once"])),
        "rounds": draw(st.integers(1, 3)),
        "lane": lane,
    }
    if draw(st.booleans()):
        asked["until"] = draw(st.sampled_from(["accepted", "delivered", "read", "acknowledged"]))
    if draw(st.booleans()):
        asked["unproven"] = draw(st.sampled_from(["settle", "go_on"]))
    if CATEGORIES[category].step is not None and draw(st.booleans()):
        asked["step"] = draw(st.sampled_from([1, 60, 300, 900, 5000]))
    start = T0 + draw(st.sampled_from([0, 0, 8 * 3600 + 3300, 9 * 3600, 20 * 3600 - 1])) * 1000
    asked["send_at"] = start + draw(st.sampled_from([0, 0, 500_000]))
    if draw(st.booleans()) and draw(st.booleans()):
        asked["expires_at"] = start + draw(st.sampled_from([1000, 700_000, 3_000_000]))
    return note(category, start, **asked)


SHUTS = st.builds(
    Shut,
    st.sampled_from([0, 5, 600]),
    st.sampled_from([60, 700, 10**7]),
    st.sampled_from(["channel_down", "paused"]),
    st.sampled_from([30, 60]),
)


def stop(world: World) -> None:
    world.customer = copy.copy(world.customer)
    world.customer.consents = (*world.customer.consents, withdrawn(at=world.now))


def cancel(world: World) -> None:
    world.message.cancelled_at = world.now


def supersede(world: World) -> None:
    world.message.superseded_by = "m-2"


def complain(world: World) -> None:
    world.customer.complaint_open = not world.customer.complaint_open


def reorder(world: World) -> None:
    world.customer.preferences = Preferences(channels=("voice", "email", "sms"))


EVENTS = st.tuples(SECONDS, st.sampled_from([stop, cancel, supersede, complain, reorder, World.acknowledge]))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    message = draw(messages())
    line = draw(st.dictionaries(st.sampled_from(CHANNELS), st.sampled_from([1, 100, 5000]), max_size=2))
    world = World(
        draw(people()),
        message,
        draw(st.dictionaries(st.sampled_from(CHANNELS), st.lists(fates(), min_size=1, max_size=3))),
        shut=draw(st.dictionaries(st.sampled_from(CHANNELS), SHUTS, max_size=2)),
        line=line,
        waits=line,
        cap_uses=draw(st.lists(st.sampled_from([message.created_at - 1000, T0 - 3_500_000]), max_size=5)),
        latency=draw(st.sampled_from([0, 300, 12_000])),
        strict=True,
    )
    for after, change in draw(st.lists(EVENTS, max_size=2)):
        world.at((message.created_at - T0) / 1000 + after, change)
    return world


def allowed(world: World, turn: Turn) -> None:
    """The promises kept at the moment an attempt begins."""
    message, customer, category = world.message, world.customer, CATEGORIES[world.message.category]
    channel, value = turn.channel, turn.address.value
    assert not message.done
    assert message.due_at <= world.now < world.following.deadline
    assert message.expires_at is None or world.now < message.expires_at
    assert message.cancelled_at is None
    assert message.superseded_by is None
    assert message.acknowledged_at is None
    assert all(LEVEL_RANK.get(level_of(a) or "", 0) < LEVEL_RANK[message.reach.until] for a in message.attempts)
    for entry in customer.consents:
        if entry.state == "withdrawn":
            assert not (entry.channel in ("*", channel) and entry.category in ("*", message.category)), "opted out"
    assert category.consent != "opt_in" or any(entry.state == "granted" for entry in customer.consents)
    assert f"{channel}:{customer.keys[value]}" not in customer.health
    assert 1 <= turn.round <= message.reach.rounds
    passes = category.quiet_hours == "pass" or (category.quiet_hours != "held" and message.lane == "critical")
    assert passes or 8 <= (world.now // 3_600_000 + 2) % 24 < 21, "quiet hours in Athens"
    assert not (message.category == "survey" and customer.complaint_open)


def in_its_turn(world: World, turn: Turn) -> None:
    """No step before the one before it has ended, no second attempt of a step that the rules don't allow."""
    message, category = world.message, CATEGORIES[world.message.category]
    key = turn.round, turn.channel, turn.address.value
    own = [a for a in message.attempts if (a.round, a.channel, a.address) == key]
    if category.unknown == "never_again":
        assert not any(a.status == "unknown" for a in message.attempts), "never again"
    if own:
        last = own[-1]
        assert last.status in ("failed", "unknown"), "two live attempts of one step"
        if last.status == "unknown":
            assert category.unknown == "try_again" or not TRAITS[turn.channel].finds, "asked before repeated"
            assert sum("unknown" in a.times for a in own) == 1, "once per step"
        return
    if message.reach.mode == "all_at_once" or not message.attempts:
        return
    last = message.attempts[-1]
    assert message.reach.step is not None, "no fall-back"
    steps = [a for a in message.attempts if (a.round, a.channel, a.address) == (last.round, last.channel, last.address)]
    ended = world.now >= steps[0].started_at + message.reach.step * 1000
    rings = TRAITS[last.channel].rings * 1000
    if rings and last.status in ("accepted", "sent") and not last.ended:
        ended = ended and world.now >= last.started_at + rings
    passed_over = last.status == "unknown" and world.states()[last.channel].shut is not None
    assert ended or last.status == "failed" or passed_over, "the step before has not ended"


def watch(world: World, turn: Turn) -> None:
    allowed(world, turn)
    in_its_turn(world, turn)


@QUICK
@given(worlds())
def test_it_always_ends_and_never_begins_what_it_must_not(world: World) -> None:
    remark(repr(world))
    world.watch = watch
    world.run()
    message = world.message
    assert message.done
    assert message.status == "done"
    assert world.done_at is not None
    assert world.done_at * 1000 + T0 <= world.following.deadline


@QUICK
@given(worlds())
def test_the_verdict_says_what_the_attempts_show(world: World) -> None:
    remark(repr(world))
    message = world.run().message
    verdict, wanted = message.verdict, LEVEL_RANK[message.reach.until]
    proved = [a for a in message.attempts if LEVEL_RANK.get(level_of(a) or "", 0) >= wanted]
    relied_on = message.attempt(verdict.attempt or "")
    match verdict.state:
        case "reached" if verdict.proven:
            accepted_once = message.reach.until == "accepted" and relied_on is not None
            assert proved or accepted_once or message.acknowledged_at is not None
        case "reached":
            assert relied_on is not None
            assert relied_on.status in ("accepted", "sent", "delivered")
            assert message.reach.unproven == "settle"
            assert message.reach.until not in TRAITS[relied_on.channel].proves
        case "unreached":
            assert message.attempts
            assert not proved
            assert verdict.code in ("no_receipt", "all_failed", "bounced", "outcome_unknown")
        case "expired" | "suppressed":
            assert not message.attempts
        case _:
            assert verdict.state in ("cancelled", "superseded")
    assert verdict.late <= (verdict.state == "reached" and verdict.proven)
    assert all(a.status != "started" for a in message.attempts), "an attempt without an outcome is called unknown"


@QUICK
@given(worlds(), st.integers(0, 40))
def test_waking_it_for_nothing_changes_nothing(world: World, every: int) -> None:
    """A message that is looked at more often than it asked for goes the same way, where no line or channel changes."""
    world.shut, world.line, world.waits = {}, {}, {}
    remark(repr(world))
    nervous = copy.deepcopy(world)
    start = (world.message.created_at - T0) / 1000
    for number in range(every):
        nervous.at(start + number * 97.003, lambda _world: None)
    world.run()
    nervous.run()
    assert nervous.began == world.began
    assert nervous.verdict == world.verdict
