"""What the tour expects of each sample person, and what it would call a deviation."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli.tour_plan import STRANDED, Expected, Queued, deviation, expected_of, fates_of, order_of
from gateway.message import Attempt, AttemptStatus, Message, Reach, State, Verdict
from gateway.sandbox.behaviour import Fate, Manner
from gateway.sandbox.people import Sample, ana, samples

STEP = 5


def person(order: str, *, machine: bool = False, **fates: Fate) -> Sample:
    manner = Manner(answer="machine") if machine else Manner()
    return Sample(id="p", customer={}, preferences={"channels": order.split()}, fates=dict(fates), manner=manner)


def message(state: State, by: str | None, *tries: tuple[str, AttemptStatus, int]) -> Message:
    attempts = [
        Attempt(id=f"a{n}", channel=channel, address="x", status=status, times={"started": at * 1000})
        for n, (channel, status, at) in enumerate(tries, 1)
    ]
    verdict = Verdict(state=state, channel=by)
    reach = Reach(until="delivered", within=30, step=STEP)
    return Message(
        id="m",
        mode="live",
        customer="p",
        category="outage",
        lane="critical",
        reach=reach,
        created_at=0,
        due_at=0,
        status="done",
        attempts=attempts,
        verdict=verdict,
        closing=verdict,
    )  # fmt: skip - one call


@pytest.mark.parametrize(
    "order, fates, channels",
    [
        ("sms voice", {}, ("sms", "voice")),
        ("email sms", {}, ("sms",)),
        ("email", {}, ()),
        ("wechat email", {"wechat": Fate.REFUSED}, ()),
        ("sms wechat voice", {"sms": Fate.NO_RECEIPT}, ("wechat", "voice")),
        ("voice sms", {"voice": Fate.VOICEMAIL}, ("sms",)),
        ("voice sms", {"voice": Fate.RINGS_OUT}, ("sms",)),
        ("sms", {"sms": Fate.UNDELIVERED}, ()),
    ],
)
def test_the_channels_that_can_prove_it_in_her_order(order: str, fates: dict[str, Fate], channels: tuple[str]) -> None:
    assert expected_of(person(order), fates, STEP).channels == channels


def test_a_machine_that_answers_proves_nothing() -> None:
    assert expected_of(person("voice", machine=True), {}, STEP).channels == ()


def test_ana_and_the_samples() -> None:
    assert expected_of(ana(), ana().fates, STEP).channels == ("voice",)
    assert order_of(ana()) == ["wechat", "sms", "voice"]
    expected = {one.id: expected_of(one, fates_of(one), STEP, failing="sms") for one in samples()[1:]}
    lost = {name for name, one in expected.items() if not one.channels}
    assert set(STRANDED) < lost
    assert len(lost) == 22
    assert {one.channels[0] for one in expected.values() if one.channels} == {"sms", "voice", "wechat"}


TWO = Expected(("sms", "voice"), STEP)
DOWN = Expected(("sms", "voice"), STEP, failing="sms")
NONE = Expected((), STEP)

Case = tuple[str, Expected, Message | None, bool]
CASES: list[Case] = [
    ("the first", TWO, message("reached", "sms", ("sms", "delivered", 0)), True),
    ("the second, too early", TWO, message("reached", "voice", ("sms", "sent", 0), ("voice", "delivered", 3)), False),
    ("the second in time", TWO, message("reached", "voice", ("sms", "sent", 0), ("voice", "delivered", 5)), True),
    ("the second at a failure", TWO, message("reached", "voice", ("sms", "failed", 0), ("voice", "sent", 1)), True),
    ("the first left out", TWO, message("reached", "voice", ("voice", "delivered", 0)), False),
    ("the first was down", DOWN, message("reached", "voice", ("voice", "delivered", 0)), True),
    ("another channel", TWO, message("reached", "email", ("email", "delivered", 0)), False),
    ("not reached", TWO, message("unreached", None, ("sms", "failed", 0)), False),
    ("nobody can be, and wasn't", NONE, message("unreached", None, ("sms", "failed", 0)), True),
    ("nobody can be, all known", NONE, message("suppressed", None), True),
    ("nobody can be, but was", NONE, message("reached", "sms", ("sms", "delivered", 0)), False),
    ("no message", TWO, None, False),
]  # fmt: skip - a table


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_deviations(case: Any) -> None:
    _, expected, found, right = case
    assert (deviation(person("sms voice"), expected, found) is None) is right


def test_a_message_that_goes_on_is_named() -> None:
    going_on = message("pending", None)
    going_on.closing, going_on.status = None, "waiting"
    found = deviation(person("sms"), TWO, going_on)
    assert found is not None
    assert (found.expected, found.found) == ("reached by sms", "still waiting")


@pytest.mark.parametrize(
    "stood, right", [((0,), True), ((500,), False), ((0, 3_000), False), ((6_000,), False), ((), False)]
)
def test_a_line_too_long_for_a_whole_step_is_a_chance(stood: tuple[int, ...], right: bool) -> None:
    queued, found = Queued(), message("reached", "voice", ("voice", "delivered", 5))
    for since in stood:
        found.turns = {"sms": since}
        queued.see(found)
    found.turns = {"voice": 5_000}
    queued.see(found)
    assert (deviation(person("sms voice"), TWO, found, queued) is None) is right


@pytest.mark.parametrize("lost_at, right", [(1, True), (2, False)])
def test_a_lost_answer_that_was_explained_later_was_a_chance(lost_at: int, right: bool) -> None:
    found = message("reached", "voice", ("sms", "delivered", 0), ("voice", "delivered", 1))
    found.attempts[0].times |= {"unknown": lost_at * 1000, "delivered": 3_000}
    assert (deviation(person("sms voice"), TWO, found) is None) is right
