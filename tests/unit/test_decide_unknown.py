"""Lost answers: try again, reconcile, never again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.routing import SILENT, Shut, delivered, failed, granted, lost, news, note, person, refused, taken
from tests.support.routing_world import World, statuses

TRY_AGAIN = ["code", "outage"]
RECONCILE = ["reply", "service", "follow_up"]
NEVER_AGAIN = ["survey", "marketing"]
ASKABLE = ["sms", "wechat", "voice"]


def agreeing(*channels: str) -> Any:
    return person(*channels, consents=(granted(),))


@pytest.mark.parametrize("category", [*TRY_AGAIN, *RECONCILE, *NEVER_AGAIN])
def test_an_attempt_whose_lease_has_passed_is_always_recorded_as_unknown(category: str) -> None:
    world = World(agreeing("sms"), note(category), {"sms": lost()})
    assert statuses(world.run(4)) == ["started"]
    assert world.message.status == "sending"
    assert statuses(world.run(5))[0] == "unknown"


@pytest.mark.parametrize("category", [*TRY_AGAIN, *RECONCILE, *NEVER_AGAIN])
def test_a_worker_that_died_leaves_its_attempt_unknown_when_the_lease_passes(category: str) -> None:
    world = World(agreeing("sms"), note(category), {"sms": lost()}, latency=10**9)
    assert statuses(world.run(19)) == ["started"]
    assert statuses(world.run(20))[0] == "unknown"


@pytest.mark.parametrize("category", [*TRY_AGAIN, *RECONCILE])
def test_a_step_ends_on_time_though_the_provider_has_not_answered_yet(category: str) -> None:
    """Or the worker has died meanwhile: nobody can tell before the attempt's lease is over, 20 s."""
    world = World(person("sms", "email"), note(category, step=10), {"sms": taken()}, latency=18_000)
    assert world.run(10).began == [("sms", 0), ("email", 10)]
    assert statuses(world.run(18)) == ["accepted", "started"], "and still counts"


def test_where_a_lost_answer_allows_nothing_more_the_lease_is_waited_for() -> None:
    message = note("survey", step=10, rounds=2)
    world = World(agreeing("sms", "email"), message, {"sms": taken()}, latency=18_000)
    assert world.run(17).began == [("sms", 0)]


@pytest.mark.parametrize("channel", ["sms", "email", "wechat", "voice"])
@pytest.mark.parametrize("category", TRY_AGAIN)
def test_try_again_does_so_at_once_and_once_per_step(category: str, channel: str) -> None:
    other = "email" if channel != "email" else "sms"
    message = note(category)
    step = message.reach.step or 0
    world = World(person(channel, other), message, {channel: lost()}).run(step)
    assert world.began == [(channel, 0), (channel, 5), (other, step)]
    assert world.asked == []


@pytest.mark.parametrize("category", TRY_AGAIN)
def test_try_again_counts_anew_in_each_step(category: str) -> None:
    step = note(category).reach.step or 0
    world = World(person("sms", "email"), note(category), {"sms": lost(), "email": lost()}).run(step + 5)
    assert world.began == [("sms", 0), ("sms", 5), ("email", step), ("email", step + 5)]


@pytest.mark.parametrize("explained", ["accepted", "failed"])
def test_the_first_answer_coming_late_does_not_buy_a_third_try(explained: Any) -> None:
    first = lost(news(30, status=explained))
    world = World(person("sms", "email"), note(), {"sms": [first, lost()]}).run(299)
    assert world.began == [("sms", 0), ("sms", 5)]


def test_an_answer_that_comes_before_the_repeat_begins_makes_it_needless() -> None:
    fates = {"sms": lost(news(8, status="accepted"))}
    world = World(person("sms", "email"), note(), fates)
    world.at(1, lambda w: setattr(w, "line", {"sms": 10})).run(299)
    assert world.began == [("sms", 0)]


def test_a_repeat_that_is_refused_leads_to_the_next_step_at_once() -> None:
    world = World(person("sms", "email"), note(), {"sms": [lost(), refused()]}).run(100)
    assert world.began == [("sms", 0), ("sms", 5), ("email", 5)]


@pytest.mark.parametrize("channel", ASKABLE)
@pytest.mark.parametrize("category", RECONCILE)
def test_reconcile_asks_before_it_repeats(category: str, channel: str) -> None:
    step = note(category).reach.step or 0
    world = World(person(channel, "email"), note(category), {channel: lost(found="unknown")}).run(step - 1)
    assert world.began == [(channel, 0)]
    assert world.asked[0] == 5
    assert len(world.asked) > 1
    assert world.run(step).began == [(channel, 0), ("email", step)]


@pytest.mark.parametrize("channel", ASKABLE)
@pytest.mark.parametrize("category", RECONCILE)
def test_reconcile_repeats_what_the_provider_never_got(category: str, channel: str) -> None:
    world = World(person(channel, "email"), note(category), {channel: [lost(found="absent"), SILENT]}).run(200)
    assert [c for c, _ in world.began] == [channel, channel]
    assert 5 <= world.began[1][1] <= 95
    assert world.asked


@pytest.mark.parametrize("channel", ASKABLE)
@pytest.mark.parametrize("category", ["service", "follow_up"])
def test_reconcile_goes_on_where_the_provider_took_it(category: str, channel: str) -> None:
    world = World(person(channel, "email"), note(category), {channel: lost(found="accepted")})
    step = note(category).reach.step or 0
    world.run(step - 1)
    assert (world.began, world.asked, statuses(world)) == ([(channel, 0)], [5], ["accepted"])
    assert world.run(step).began == [(channel, 0), ("email", step)]


def test_reply_that_the_provider_turns_out_to_have_taken_is_reached() -> None:
    world = World(person("sms", "email"), note("reply"), {"sms": lost(found="accepted")}).run()
    assert (world.verdict.state, world.verdict.proven, world.done_at) == ("reached", True, 5)


@pytest.mark.parametrize("category", RECONCILE)
def test_reconcile_repeats_a_mail_once_since_smtp_cannot_be_asked(category: str) -> None:
    step = note(category).reach.step or 0
    world = World(person("email", "sms"), note(category), {"email": lost()}).run(step)
    assert world.began == [("email", 0), ("email", 5), ("sms", step)]
    assert world.asked == []


@pytest.mark.parametrize("category", RECONCILE)
def test_reconcile_asks_forever_at_decent_intervals_only(category: str) -> None:
    world = World(person("sms"), note(category, within=1000), {"sms": lost()}).run()
    gaps = [later - earlier for earlier, later in zip(world.asked, world.asked[1:], strict=False)]
    assert min(gaps) >= 5
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("unreached", "outcome_unknown", 1000)


def test_a_provider_that_is_down_can_still_be_asked_and_nothing_is_repeated_before() -> None:
    world = World(person("sms", "email"), note("service"), {"sms": lost()}, shut={"sms": Shut(1)}).run(899)
    assert (world.began, world.asked[0]) == ([("sms", 0)], 5)


@pytest.mark.parametrize("channel", ["sms", "email", "wechat", "voice"])
@pytest.mark.parametrize("category", NEVER_AGAIN)
def test_never_again_neither_repeats_nor_falls_back(category: str, channel: str) -> None:
    other = "email" if channel != "email" else "sms"
    message = note(category, rounds=2)
    within = message.reach.within
    world = World(agreeing(channel, other), message, {channel: lost()}).run(within - 1)
    assert (world.began, world.verdict.state, world.held) == ([(channel, 0)], "pending", "unknown_outcome")
    assert world.asked == []
    assert world.deadline == within
    world.run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("unreached", "outcome_unknown", within)
    assert world.began == [(channel, 0)]


def test_never_again_ends_well_when_a_receipt_comes() -> None:
    world = World(agreeing("sms", "email"), note("survey"), {"sms": lost(delivered(9000))}).run()
    assert (world.verdict.state, world.done_at, world.began) == ("reached", 9000, [("sms", 0)])


def test_never_again_goes_on_when_the_attempt_turns_out_to_have_failed() -> None:
    world = World(agreeing("sms", "email"), note("survey"), {"sms": lost(failed(500))}).run(500)
    assert (world.began, world.held) == ([("sms", 0), ("email", 500)], None)


def test_never_again_goes_on_with_the_step_when_the_attempt_turns_out_to_be_taken() -> None:
    fates = {"sms": lost(news(500, status="accepted"))}
    world = World(agreeing("sms", "email"), note("survey"), fates).run(3600)
    assert world.began == [("sms", 0), ("email", 3600)]


def test_never_again_in_the_second_step_waits_as_well_and_the_first_still_counts() -> None:
    fates = {"sms": taken(delivered(9000)), "wechat": lost()}
    world = World(agreeing("sms", "wechat", "email"), note("survey"), fates).run(8999)
    assert (world.began, world.held) == ([("sms", 0), ("wechat", 3600)], "unknown_outcome")
    assert world.run().verdict.channel == "sms"


def test_never_again_stops_what_has_not_begun_all_at_once() -> None:
    message = note("survey", mode="all_at_once")
    world = World(agreeing("sms", "email"), message, {"sms": lost()}, line={"email": 60}).run()
    assert world.began == [("sms", 0)]
    assert world.verdict.code == "outcome_unknown"


@pytest.mark.parametrize("category", NEVER_AGAIN)
def test_never_again_is_late_when_proof_comes_after_the_deadline(category: str) -> None:
    message = note(category, until="delivered")
    world = World(agreeing("sms"), message, {"sms": lost(delivered(message.reach.within + 10))}).run()
    assert (world.verdict.state, world.verdict.late, world.verdict.proven) == ("reached", True, True)


@pytest.mark.parametrize("category", [*TRY_AGAIN, *RECONCILE])
def test_a_lost_answer_is_waited_for_to_the_deadline_when_nothing_else_is_left(category: str) -> None:
    message = note(category, within=2000)
    world = World(person("sms"), message, {"sms": lost()}).run()
    assert (world.verdict.state, world.verdict.code, world.done_at) == ("unreached", "outcome_unknown", 2000)


@pytest.mark.parametrize("category", TRY_AGAIN)
def test_a_lost_answer_on_a_channel_that_is_down_since_does_not_keep_a_critical_message(category: str) -> None:
    world = World(person("sms", "email"), note(category), {"sms": lost()}, shut={"sms": Shut(6)}).run(20)
    assert world.began[-1][0] == "email"
    assert world.began[-1][1] < 20
