"""Every level, on every channel, with every outcome: what is done next and when, and how it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from gateway.message import LEVEL_RANK, AnsweredBy, Fault, Level
from tests.support.routing import (
    SILENT,
    TRAITS,
    Fate,
    acked,
    delivered,
    failed,
    granted,
    lost,
    news,
    note,
    person,
    read,
    refused,
    taken,
)
from tests.support.routing_world import World, statuses

LEVELS: list[Level] = ["accepted", "delivered", "read", "acknowledged"]
STEP = 300
NEXT = {"sms": "email", "email": "sms", "wechat": "sms", "voice": "sms"}


class Story(NamedTuple):
    """What happens to the first step: when it begins anew, what it proves and when (s), when it fails for good."""

    fates: Sequence[Fate]
    begins: Sequence[float]
    proves: Sequence[tuple[float, Level]] = ()
    fails: float | None = None
    taken: bool = True


STORIES = {
    "refused for good": Story([refused()], [0], fails=0, taken=False),
    "throttled, then silence": Story([refused(Fault.THROTTLED, 30), SILENT], [0, 30], [(30, "accepted")]),
    "throttled, then delivered": Story(
        [refused(Fault.THROTTLED, 30), taken(delivered(9))], [0, 30], [(30, "accepted"), (39, "delivered")]
    ),
    "unavailable, then delivered": Story(
        [refused(Fault.UNAVAILABLE, 40), taken(delivered(9))], [0, 40], [(40, "accepted"), (49, "delivered")]
    ),
    "unavailable beyond the step": Story([refused(Fault.UNAVAILABLE, STEP + 1)], [0], fails=0, taken=False),
    "throttled, then refused": Story([refused(Fault.THROTTLED, 30), refused()], [0, 30], fails=30, taken=False),
    "lost twice": Story([lost()], [0, 5], taken=False),
    "lost, explained in time": Story([lost(delivered(3))], [0], [(3, "delivered")]),
    "lost, explained after the repeat": Story(
        [lost(delivered(60)), SILENT], [0, 5], [(5, "accepted"), (60, "delivered")]
    ),
    "lost, then taken": Story([lost(), SILENT], [0, 5], [(5, "accepted")]),
    "silence": Story([SILENT], [0], [(0, "accepted")]),
    "failed later": Story([taken(failed(20))], [0], [(0, "accepted")], fails=20),
    "delivered": Story([taken(delivered(20))], [0], [(0, "accepted"), (20, "delivered")]),
    "read": Story([taken(delivered(20), read(40))], [0], [(0, "accepted"), (20, "delivered"), (40, "read")]),
    "read without a receipt": Story([taken(read(40))], [0], [(0, "accepted"), (40, "read")]),
    "clicked": Story([taken(news(40, engagement="clicked"))], [0], [(0, "accepted"), (40, "read")]),
    "acknowledged": Story([taken(acked(60))], [0], [(0, "accepted"), (60, "acknowledged")]),
    "answered": Story([taken(news(60, engagement="answered"))], [0], [(0, "accepted"), (60, "acknowledged")]),
    "failed, yet acknowledged": Story(
        [taken(failed(200), acked(60))], [0], [(0, "accepted"), (60, "acknowledged")], fails=200
    ),
}


@pytest.mark.parametrize("unproven", ["settle", "go_on"])
@pytest.mark.parametrize("until", LEVELS)
@pytest.mark.parametrize("channel", list(TRAITS))
@pytest.mark.parametrize("story", list(STORIES))
def test_first_step(story: str, channel: str, until: Level, unproven: Any) -> None:
    told = STORIES[story]
    other = NEXT[channel]
    message = note("outage", until=until, unproven=unproven, step=STEP)
    world = World(person(channel, other), message, {channel: told.fates, other: SILENT}).run(STEP)

    proved = next((at for at, level in told.proves if LEVEL_RANK[level] >= LEVEL_RANK[until]), None)
    begins: list[tuple[str, float]] = [(channel, at) for at in told.begins if proved is None or at <= proved]
    if proved is not None:
        assert (world.verdict.state, world.verdict.proven, world.verdict.late) == ("reached", True, False)
        assert (world.verdict.channel, world.done_at) == (channel, proved)
    elif until not in TRAITS[channel].proves and unproven == "settle" and told.taken and told.fails is None:
        assert (world.verdict.state, world.verdict.proven, world.verdict.late) == ("reached", False, False)
        assert (world.verdict.channel, world.done_at) == (channel, STEP)
    else:
        begins.append((other, STEP if told.fails is None else told.fails))
        if until == "accepted":
            assert (world.verdict.state, world.verdict.proven, world.verdict.channel) == ("reached", True, other)
        elif told.fails is not None and until not in TRAITS[other].proves and unproven == "settle":
            pass  # The second step may have settled by now, which is its own row.
        else:
            assert world.verdict.state == "pending"
    assert world.began == begins


@pytest.mark.parametrize("until", LEVELS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_higher_level_satisfies_a_lower_one(until: Level, level: Level) -> None:
    told = {"accepted": (), "delivered": (delivered(5),), "read": (read(5),), "acknowledged": (acked(5),)}[level]
    world = World(person("sms"), note(until=until), {"sms": taken(*told)}).run(10)
    assert (world.verdict.state == "reached") == (LEVEL_RANK[level] >= LEVEL_RANK[until])
    assert world.verdict.level == (level if world.message.done else None), "the highest that is known"


@pytest.mark.parametrize(
    "by, heard, key, proof",
    [
        ("human", True, False, True),
        ("human", False, False, False),
        ("machine", True, False, False),
        ("fax", True, False, False),
        ("unknown", True, False, False),
        (None, True, False, False),
        ("machine", False, True, True),
        ("unknown", False, True, True),
        (None, False, True, True),
    ],
)
def test_voice_is_delivered_to_a_human_who_heard_it_or_by_any_key(
    by: AnsweredBy | None, heard: bool, key: bool, proof: bool
) -> None:
    told = [news(10, status="sent", answered_by=by), news(20, status="sent", heard=heard)]
    told += [news(25, status="delivered")] if key else []
    told += [news(30, status="sent", ended=True)]
    world = World(person("voice"), note(), {"voice": taken(*told)}).run(299)
    attempt = world.message.attempts[0]
    assert (attempt.status, attempt.answered_by) == ("delivered" if proof else "sent", by)
    assert (world.verdict.state == "reached") == proof


@pytest.mark.parametrize("by", ["machine", "fax", "unknown"])
def test_voicemail_is_no_failure_and_the_next_step_comes_when_this_one_ends(by: AnsweredBy) -> None:
    told = taken(news(9, status="sent", answered_by=by, heard=True), news(30, status="sent", ended=True))
    world = World(person("voice", "sms"), note(), {"voice": told, "sms": SILENT})
    assert world.run(300).began == [("voice", 0), ("sms", 300)]


@pytest.mark.parametrize("fault", [Fault.NO_ANSWER, Fault.BUSY, Fault.UNREACHABLE])
def test_a_call_nobody_takes_has_failed_and_the_next_step_begins_at_once(fault: Fault) -> None:
    world = World(person("voice", "email"), note(), {"voice": taken(failed(25, fault))})
    assert world.run(26).began == [("voice", 0), ("email", 25)]


@pytest.mark.parametrize(
    "told, then",
    [
        ((), 180),
        ((news(70, status="sent"),), 180),
        ((news(70, status="sent"), news(100, status="sent", ended=True)), 100),
        ((news(40, status="sent", ended=True),), 60),
        ((failed(25, Fault.NO_ANSWER),), 25),
        ((news(170, status="sent", answered_by="machine"),), 180),
    ],
)
def test_no_step_ends_while_its_call_rings_or_runs(told: tuple[Any, ...], then: float) -> None:
    world = World(person("voice", "email"), note("code"), {"voice": taken(*told)})
    assert world.run(181).began == [("voice", 0), ("email", then)]


def test_a_call_that_runs_past_the_deadline_does_not_move_it() -> None:
    world = World(person("voice"), note("code", within=100)).run()
    assert (world.done_at, world.verdict.state) == (100, "unreached")


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_leads_on_within_the_step(fault: Fault) -> None:
    world = World(person("sms", "email"), note(), {"sms": refused(fault)}).run()
    assert next(at for channel, at in world.began if channel == "email") <= 300
    assert world.verdict.state == "unreached"


def test_proof_of_any_earlier_attempt_counts_while_a_later_step_runs() -> None:
    world = World(person("sms", "wechat", "email"), note(), {"sms": taken(delivered(310))}).run()
    assert world.began == [("sms", 0), ("wechat", 300)]
    assert (world.verdict.state, world.verdict.channel, world.done_at) == ("reached", "sms", 310)
    assert statuses(world) == ["delivered", "accepted"]


def test_failure_of_an_earlier_attempt_does_not_end_the_present_step() -> None:
    world = World(person("sms", "wechat", "email"), note(), {"sms": taken(failed(310))}).run(900)
    assert world.began == [("sms", 0), ("wechat", 300), ("email", 600)]


def test_settling_is_measured_from_the_beginning_of_the_step_not_of_its_last_repeat() -> None:
    fates = {"email": [refused(Fault.THROTTLED, 400), SILENT]}
    world = World(person("email", "voice"), note("service"), fates).run()
    assert world.began == [("email", 0), ("email", 400)]
    assert (world.verdict.state, world.verdict.proven, world.done_at) == ("reached", False, 900)


def test_settling_after_a_lost_answer_and_its_one_repeat() -> None:
    world = World(person("email", "voice"), note("service"), {"email": [lost(), SILENT]}).run()
    assert world.began == [("email", 0), ("email", 5)]
    assert (world.verdict.state, world.verdict.proven, world.done_at) == ("reached", False, 900)


def test_an_earlier_unproven_step_settles_only_where_the_contract_says_so() -> None:
    world = World(person("email", "voice"), note("outage"), {"email": SILENT}).run()
    assert world.began == [("email", 0), ("voice", 300)]
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("unreached", "no_receipt", 3600)


@pytest.mark.parametrize(
    "fates, state, code, at",
    [
        ({"sms": refused(), "email": refused()}, "unreached", "all_failed", 0),
        ({"sms": refused(), "email": taken(failed(50))}, "unreached", "all_failed", 50),
        ({"sms": taken(failed(400)), "email": refused()}, "unreached", "all_failed", 400),
        ({"sms": SILENT, "email": refused()}, "unreached", "no_receipt", 3600),
        ({"sms": refused(), "email": SILENT}, "unreached", "no_receipt", 3600),
        ({"sms": lost(), "email": lost()}, "unreached", "outcome_unknown", 3600),
    ],
)
def test_nothing_left_ends_at_once_unless_an_attempt_is_open(
    fates: dict[str, Fate], state: str, code: str, at: float
) -> None:
    world = World(person("sms", "email"), note(), fates).run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == (state, code, at)


def test_a_call_that_has_ended_brings_no_proof_so_nothing_is_waited_for_after_its_step() -> None:
    told = taken(news(9, status="sent", answered_by="machine"), news(30, status="sent", ended=True))
    world = World(person("voice"), note(), {"voice": told}).run()
    assert (world.verdict.state, world.verdict.code) == ("unreached", "no_receipt")
    assert world.done_at is not None
    assert world.done_at <= 300


def test_acknowledgement_through_the_api_reaches_at_any_level() -> None:
    world = World(person("sms", "email"), note()).at(42, World.acknowledge).run()
    assert (world.verdict.state, world.verdict.proven, world.verdict.level) == ("reached", True, "acknowledged")
    assert (world.done_at, world.began) == (42, [("sms", 0)])


def test_without_fall_back_a_failure_is_the_end_and_silence_waits_for_the_deadline() -> None:
    customer = person("sms", "email", consents=(granted(),))
    ended = World(customer, note("marketing"), {"sms": refused()}).run()
    assert (ended.began, ended.verdict.code, ended.done_at) == ([("sms", 0)], "all_failed", 0)
    silent = World(customer, note("marketing", until="delivered"), {"sms": SILENT}).run()
    assert (silent.began, silent.verdict.code, silent.done_at) == ([("sms", 0)], "no_receipt", 86400)
