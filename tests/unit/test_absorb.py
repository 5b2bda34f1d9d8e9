"""News of attempts: absorbed by rank, in any order, any number of times, to the same record."""

from __future__ import annotations

import copy
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.message import (
    ENGAGEMENT_RANK,
    LEVEL_RANK,
    STATUS_RANK,
    Attempt,
    AttemptStatus,
    Cost,
    Engagement,
    Fault,
    Message,
    Receipt,
    Verdict,
)
from gateway.news import absorb, level_of, proof
from tests.support.routing import T0, note

STATUSES: list[AttemptStatus] = ["started", "unknown", "accepted", "sent", "failed", "delivered"]
ENGAGEMENTS: list[Engagement] = ["none", "read", "clicked", "acknowledged", "answered"]


def begun(*channels: str, **changes: Any) -> Message:
    message = note(**changes)
    for number, channel in enumerate(channels or ("sms",)):
        attempt = Attempt(id=f"a{number + 1}", channel=channel, address="x", times={"started": T0 + number})
        message.attempts.append(attempt)
    return message


def told(message: Message, *receipts: Receipt) -> Message:
    for receipt in receipts:
        absorb(message, receipt)
    return message


def news(at: int = 1, **what: Any) -> Receipt:
    fields: dict[str, Any] = {"attempt": "a1", "at": T0 + at, **what}
    return Receipt(**fields)


def same_in_any_order(*receipts: Receipt) -> Message:
    """The record these leave, after seeing that every order and repetition leaves the same."""
    ends: list[Message] = []
    for order in permutations(receipts):
        ends.append(told(begun(), *order))
        ends.append(told(begun(), *order, *reversed(order)))
    assert all(end == ends[0] for end in ends)
    return ends[0]


def test_the_ranks_are_those_of_the_contract() -> None:
    assert sorted(STATUS_RANK, key=STATUS_RANK.__getitem__) == STATUSES
    assert sorted(ENGAGEMENT_RANK, key=ENGAGEMENT_RANK.__getitem__) == ENGAGEMENTS
    assert sorted(LEVEL_RANK, key=LEVEL_RANK.__getitem__) == ["accepted", "delivered", "read", "acknowledged"]


@pytest.mark.parametrize("first", STATUSES)
@pytest.mark.parametrize("second", STATUSES)
def test_the_higher_status_stays(first: AttemptStatus, second: AttemptStatus) -> None:
    attempt = told(begun(), news(status=first), news(2, status=second)).attempts[0]
    assert attempt.status == max(first, second, key=STATUS_RANK.__getitem__)


@pytest.mark.parametrize("first", ENGAGEMENTS)
@pytest.mark.parametrize("second", ENGAGEMENTS)
def test_the_higher_engagement_stays(first: Engagement, second: Engagement) -> None:
    attempt = told(begun(), news(engagement=first), news(2, engagement=second)).attempts[0]
    assert attempt.engagement == max(first, second, key=ENGAGEMENT_RANK.__getitem__)


@pytest.mark.parametrize("engagement", ENGAGEMENTS[1:])
@pytest.mark.parametrize("status", STATUSES)
def test_any_engagement_proves_delivery(engagement: Engagement, status: AttemptStatus) -> None:
    for order in permutations([news(status=status), news(2, engagement=engagement)]):
        attempt = told(begun(), *order).attempts[0]
        assert attempt.status == "delivered"
        assert LEVEL_RANK[level_of(attempt) or ""] >= LEVEL_RANK["read"]


@pytest.mark.parametrize(
    "status, engagement, level",
    [
        ("started", "none", None),
        ("unknown", "none", None),
        ("accepted", "none", "accepted"),
        ("sent", "none", "accepted"),
        ("failed", "none", None),
        ("delivered", "none", "delivered"),
        ("sent", "read", "read"),
        ("sent", "clicked", "read"),
        ("sent", "acknowledged", "acknowledged"),
        ("failed", "answered", "acknowledged"),
    ],
)
def test_what_each_piece_of_news_proves(status: Any, engagement: Any, level: str | None) -> None:
    assert level_of(told(begun(), news(status=status, engagement=engagement)).attempts[0]) == level


@pytest.mark.parametrize("status", STATUSES)
def test_only_a_human_who_heard_one_full_reading_makes_a_call_delivered(status: AttemptStatus) -> None:
    for by in ("human", "machine", "fax", "unknown", None):
        for heard in (True, False):
            attempt = same_in_any_order(
                news(1, status=status), news(2, answered_by=by), news(3, heard=heard), news(4, ended=True)
            ).attempts[0]
            assert attempt.status == ("delivered" if by == "human" and heard else status)


def test_human_outranks_what_detection_said_before() -> None:
    attempt = same_in_any_order(news(answered_by="unknown"), news(answered_by="human"), news(answered_by="machine"))
    assert attempt.attempts[0].answered_by == "human"


def test_the_times_of_news_are_the_earliest_heard() -> None:
    attempt = same_in_any_order(news(9, status="sent"), news(5, status="sent"), news(7, status="delivered")).attempts[0]
    assert attempt.times == {"started": T0, "sent": T0 + 5, "delivered": T0 + 7}


def test_the_time_of_delivery_does_not_depend_on_the_order_of_reading_and_older_news() -> None:
    attempt = same_in_any_order(news(5, status="sent"), news(10, engagement="read")).attempts[0]
    assert attempt.times["delivered"] == T0 + 10


def test_the_time_at_which_a_person_heard_it_does_not_depend_on_the_order() -> None:
    same_in_any_order(news(5, heard=True, status="sent"), news(8, answered_by="human"), news(20, status="sent"))


def test_news_never_moves_the_moment_an_attempt_began() -> None:
    attempt = told(begun(), news(-500, engagement="read"), news(-400, status="sent")).attempts[0]
    assert attempt.started_at == T0


def test_what_the_provider_charged_beats_the_estimate_in_any_order() -> None:
    estimate, real = Cost("0.08", "EUR", "list"), Cost("0.07", "EUR", "provider")
    same_in_any_order(news(1, status="accepted", cost=estimate), news(2, status="sent", cost=real))


def test_retry_after_does_not_depend_on_the_order() -> None:
    same_in_any_order(
        news(1, status="failed", fault=Fault.THROTTLED, retry_after=5),
        news(2, status="failed", fault=Fault.THROTTLED, retry_after=9),
        news(3, status="failed", fault=Fault.UNAVAILABLE),
    )


def test_units_and_provider_codes_do_not_depend_on_the_order() -> None:
    same_in_any_order(
        news(1, status="sent", units=1, provider_code="b"),
        news(2, status="sent", units=2, provider_code="a"),
        news(3, status="failed", fault=Fault.BUSY, provider_code="z"),
        news(4, status="failed", fault=Fault.BLOCKED),
    )


def test_failed_and_delivered_both_reported_is_delivered_and_keeps_the_fault() -> None:
    failure = news(1, status="failed", fault=Fault.UNREACHABLE, provider_code="30003")
    attempt = same_in_any_order(failure, news(2, status="delivered")).attempts[0]
    assert (attempt.status, attempt.fault, attempt.provider_code) == ("delivered", Fault.UNREACHABLE, "30003")


def test_news_of_an_attempt_that_is_not_known_changes_nothing() -> None:
    message = begun()
    before = copy.deepcopy(message)
    assert absorb(message, Receipt(attempt="a9", at=T0, status="delivered")) is False
    assert message == before


def test_it_says_whether_anything_changed() -> None:
    message = begun()
    assert absorb(message, news(status="delivered")) is True
    assert absorb(message, news(status="delivered")) is False
    assert absorb(message, news(9, status="started")) is False


def test_news_is_recorded_after_the_end_too() -> None:
    message = begun()
    message.closing = message.verdict = Verdict(state="cancelled", at=T0)
    told(message, news(status="delivered", engagement="clicked"))
    assert (message.attempts[0].status, message.attempts[0].engagement) == ("delivered", "clicked")
    assert message.verdict.state == "cancelled"


def test_news_of_one_attempt_leaves_the_others_alone() -> None:
    message = begun("sms", "email")
    told(message, news(status="delivered"))
    assert message.attempts[1] == begun("sms", "email").attempts[1]


@pytest.mark.parametrize("until", ["delivered", "read", "acknowledged"])
def test_proof_is_the_attempt_that_proved_first(until: Any) -> None:
    message = begun("sms", "email", until=until)
    told(message, Receipt(attempt="a2", at=T0 + 5, engagement="answered"), news(9, engagement="answered"))
    found = proof(message)
    assert found is not None
    assert found.id == "a2"


def test_proof_of_reading_is_measured_by_the_reading_not_by_the_delivery() -> None:
    message = begun("sms", "email", until="acknowledged")
    told(
        message,
        news(1, status="delivered"),
        Receipt(attempt="a2", at=T0 + 5, engagement="answered"),
        news(50, engagement="answered"),
    )
    found = proof(message)
    assert found is not None
    assert found.id == "a2"


RECEIPTS = st.builds(
    Receipt,
    attempt=st.sampled_from(["a1", "a1", "a2"]),
    at=st.integers(T0 + 1, T0 + 100),
    status=st.sampled_from(STATUSES[1:]),
    engagement=st.sampled_from(["none", "none", "none", *ENGAGEMENTS]),
    answered_by=st.sampled_from([None, None, "human", "machine", "fax", "unknown"]),
    heard=st.booleans(),
    ended=st.booleans(),
    fault=st.none(),
)
CLOSINGS = [
    None,
    Verdict(state="unreached", at=T0 + 9, code="no_receipt"),
    Verdict(state="reached", at=T0 + 9, channel="sms", attempt="a1", level="accepted"),
    Verdict(state="reached", proven=True, at=T0 + 9, channel="sms", attempt="a1", level="delivered"),
    Verdict(state="cancelled", at=T0 + 9),
]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_order_and_repetition_leaves_the_same_record(data: st.DataObject) -> None:
    receipts = data.draw(st.lists(RECEIPTS, min_size=1, max_size=6))
    receipts = [
        msgspec.structs.replace(r, fault=data.draw(st.sampled_from([Fault.BUSY, Fault.BLOCKED])))
        if r.status == "failed"
        else r
        for r in receipts
    ]
    closing = data.draw(st.sampled_from(CLOSINGS))
    shuffled = data.draw(st.permutations(receipts + data.draw(st.lists(st.sampled_from(receipts), max_size=4))))
    ends: list[Message] = []
    for order in (receipts, shuffled):
        message = begun("sms", "voice", until=data.draw(st.sampled_from(["delivered"])))
        message.closing = closing
        message.verdict = closing or message.verdict
        ends.append(told(message, *order))
    assert ends[0] == ends[1]


@settings(max_examples=100, deadline=None)
@given(st.lists(RECEIPTS, max_size=8))
def test_news_is_monotone(receipts: list[Receipt]) -> None:
    message = begun("sms", "voice")
    for receipt in receipts:
        before = copy.deepcopy(message)
        absorb(message, receipt)
        for old, new in zip(before.attempts, message.attempts, strict=True):
            assert STATUS_RANK[new.status] >= STATUS_RANK[old.status]
            assert ENGAGEMENT_RANK[new.engagement] >= ENGAGEMENT_RANK[old.engagement]
            assert all(new.times[name] <= at for name, at in old.times.items())
            assert (new.heard, new.ended) >= (old.heard, old.ended)
