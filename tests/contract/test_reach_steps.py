"""The reach contract over real HTTP: when a step begins, and what ends it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.waiting import eventually
from tests.contract.wire import DROP, Told, refused
from tests.contract.world import World

ORDER = {"channels": ["sms", "voice", "email"]}
LONG = {"step": 600, "within": 900}


def statuses(message: Any) -> dict[str, str]:
    return {one["channel"]: one["status"] for one in message["attempts"]}


async def test_a_receipt_reaches_and_nothing_further_is_sent(w: World) -> None:
    person = await w.person("sms", "voice", preferences=ORDER)
    message = await w.send(person, reach={"step": 1, "within": 30})
    text = await w.twilio.text(person.number)
    await w.twilio.report(text, "sent")
    await w.twilio.report(text, "delivered")
    done = await w.done(message)
    verdict = done["verdict"]
    assert (verdict["state"], verdict["proven"], verdict["late"]) == ("reached", True, False)
    assert (verdict["channel"], verdict["level"], verdict["attempt"]) == ("sms", "delivered", done["attempts"][0]["id"])
    assert done["route"] == []
    assert done["attempts"][0]["provider_id"] == text.sid
    assert set(done["attempts"][0]["times"]) >= {"started", "accepted", "sent", "delivered"}
    assert w.twilio.count(person.number) == 1


async def test_a_refusal_goes_on_at_once(w: World) -> None:
    person = await w.person("sms", "voice", preferences=ORDER)
    w.twilio.told[person.number].append(refused(21211))
    message = await w.send(person, reach=LONG)
    await w.twilio.call(person.number)
    now = await w.when(message, lambda one: len(one["attempts"]) == 2)
    first = now["attempts"][0]
    assert (first["channel"], first["status"], first["provider_code"]) == ("sms", "failed", "21211")
    assert first["fault"]
    assert now["verdict"]["state"] == "pending"


async def test_a_failed_receipt_goes_on_at_once(w: World) -> None:
    person = await w.person("sms", "voice", preferences=ORDER)
    message = await w.send(person, reach=LONG)
    text = await w.twilio.text(person.number)
    await w.twilio.report(text, "undelivered", ErrorCode="30005")
    await w.twilio.call(person.number)
    now = await w.when(message, lambda one: len(one["attempts"]) == 2)
    assert now["attempts"][0]["status"] == "failed"
    assert now["attempts"][0]["provider_code"] == "30005"


async def test_silence_goes_on_after_step_and_the_earlier_still_counts(w: World) -> None:
    person = await w.person("sms", "voice", preferences=ORDER)
    message = await w.send(person, reach={"step": 2, "within": 60})
    text, call = await w.twilio.text(person.number), await w.twilio.call(person.number)
    assert 1.8 <= call.at - text.at < 12
    await w.twilio.report(text, "delivered")
    done = await w.done(message)
    assert (done["verdict"]["state"], done["verdict"]["channel"]) == ("reached", "sms")


async def test_all_refused_is_unreached_at_once(w: World) -> None:
    person = await w.person("sms", "voice", preferences=ORDER)
    w.twilio.told[person.number].extend([refused(21211), refused(21217)])
    done = await w.done(await w.send(person, reach=LONG))
    assert (done["verdict"]["state"], done["verdict"]["code"]) == ("unreached", "all_failed")
    assert statuses(done) == {"sms": "failed", "voice": "failed"}


async def test_an_open_attempt_waits_for_the_deadline(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach={"step": 1, "within": 3})
    await w.twilio.report(await w.twilio.text(person.number), "sent")
    done = await w.done(message)
    assert (done["verdict"]["state"], done["verdict"]["code"]) == ("unreached", "no_receipt")
    assert done["verdict"]["at"] >= done["deadline"][:19]


async def test_settle_after_step_is_reached_but_not_proven(w: World) -> None:
    """(d) the channel can't give `until`: after `step` seconds without failure, `settle`."""
    person = await w.person("email", "sms", preferences={"channels": ["email", "sms"]})
    message = await w.send(person, category="service", reach={"step": 2, "within": 60})
    assert message["reach"]["unproven"] == "settle"
    await w.mail.mail(person.email)
    done = await w.done(message)
    verdict = done["verdict"]
    assert (verdict["state"], verdict["proven"], verdict["channel"]) == ("reached", False, "email")
    assert statuses(done)["email"] in {"accepted", "sent"}
    assert w.twilio.count(person.number) == 0


async def test_settle_does_not_settle_what_could_be_proven(w: World) -> None:
    """An SMS can give `delivered`; its silence is (c), never `settle`."""
    person = await w.person("sms")
    done = await w.done(await w.send(person, category="service", reach={"step": 1, "within": 3}))
    assert done["verdict"]["state"] == "unreached"


async def test_go_on_treats_the_unprovable_as_silence(w: World) -> None:
    person = await w.person("email", "sms", preferences={"channels": ["email", "sms"]})
    message = await w.send(person, reach={"step": 1, "within": 60, "unproven": "go_on"})
    await w.mail.mail(person.email)
    await w.twilio.report(await w.twilio.text(person.number), "delivered")
    assert (await w.done(message))["verdict"]["channel"] == "sms"


async def test_accepted_satisfies_accepted(w: World) -> None:
    person = await w.person("email", "sms", preferences={"channels": ["email", "sms"]})
    done = await w.done(await w.send(person, reach={"until": "accepted", "step": 1, "within": 60}))
    verdict = done["verdict"]
    assert (verdict["state"], verdict["proven"], verdict["level"]) == ("reached", True, "accepted")


async def test_several_addresses_of_a_channel_are_steps_in_stored_order(w: World) -> None:
    person, second = await w.person("sms"), await w.person("sms")
    addresses = [{"channel": "sms", "value": one.number} for one in (second, person)]
    assert (await w.api("PUT", f"/v1/customers/{person.id}", {"addresses": addresses})).status == 200
    w.twilio.told[second.number].append(refused(21211))
    message = await w.send(person, reach=LONG)
    assert [one["channel"] for one in message["route"]] == ["sms", "sms"]
    assert [one["address"][-4:] for one in message["route"]] == [second.number[-4:], person.number[-4:]]
    await w.twilio.report(await w.twilio.text(person.number), "delivered")
    assert (await w.done(message))["verdict"]["state"] == "reached"


async def test_rounds_repeat_the_order_without_permanently_failed_addresses(w: World) -> None:
    person = await w.person("sms", "voice", preferences=ORDER)
    w.twilio.told[person.number].append(refused(21211))
    message = await w.send(person, reach={"step": 1, "within": 60, "rounds": 2})
    await w.twilio.report(await w.twilio.call(person.number), "no-answer")
    await w.twilio.call(person.number, 2)
    now = await w.when(message, lambda one: len(one["attempts"]) >= 3)
    assert [(one["channel"], one["round"]) for one in now["attempts"]] == [("sms", 1), ("voice", 1), ("voice", 2)]
    assert sum(one.to == person.number for one in w.twilio.texts) == 1


async def test_all_at_once_and_the_first_proof_ends_it(w: World) -> None:
    person = await w.person("sms", "email", "wechat")
    message = await w.send(
        person, reach={"mode": "all_at_once", "step": 600, "within": 900, "channels": ["sms", "email"]}
    )
    text = await w.twilio.text(person.number)
    await w.mail.mail(person.email)
    await w.twilio.report(text, "delivered")
    assert (await w.done(message))["verdict"]["channel"] == "sms"


async def test_all_at_once_step_is_the_time_to_the_next_round(w: World) -> None:
    person = await w.person("sms", "email")
    reach = {"mode": "all_at_once", "step": 2, "within": 60, "rounds": 2}
    message = await w.send(person, reach=reach)
    first, second = await w.twilio.text(person.number, 1), await w.twilio.text(person.number, 2)
    assert 1.8 <= second.at - first.at < 12
    now = await w.when(message, lambda one: len(one["attempts"]) == 4)
    assert sorted((one["round"], one["channel"]) for one in now["attempts"]) == [
        (1, "email"), (1, "sms"), (2, "email"), (2, "sms"),
    ]  # fmt: skip
    await w.twilio.report(first, "delivered")
    assert (await w.done(message))["verdict"]["state"] == "reached"


async def test_reach_channels_narrows_and_never_widens(w: World) -> None:
    person = await w.person("sms", "voice", "email", preferences={"channels": ["voice", "sms"]})
    answer = await w.api(
        "POST", "/v1/messages",
        {"customer": person.id, "category": "outage", "content": {"text": "x"}, "reach": {"channels": ["email", "sms"]}},
        dry_run="true",
    )  # fmt: skip
    assert [one["channel"] for one in answer.body["route"]] == ["sms"]
    why = {one["channel"]: one["why"]["code"] for one in answer.body["skipped"]}
    assert why["voice"] == "not_in_reach"
    assert why["email"] in {"not_wanted", "not_in_reach"}


async def test_nothing_to_try_is_no_route(w: World) -> None:
    person = await w.person("email", preferences={"channels": ["voice"]})
    done = await w.done(await w.send(person))
    assert done["verdict"]["state"] in {"unreached", "suppressed"}, "the contract names the code, not the state"
    assert done["verdict"]["code"] == "no_route"
    assert done["attempts"] == []


async def test_retry_after_is_honoured(w: World) -> None:
    person = await w.person("sms")
    w.twilio.told[person.number].append(refused(20429, 429, **{"Retry-After": "2"}))
    message = await w.send(person, reach={"step": 30, "within": 60})
    first, second = await w.twilio.text(person.number, 1), await w.twilio.text(person.number, 2)
    assert 1.9 <= second.at - first.at < 20
    await w.twilio.report(second, "delivered")
    assert (await w.done(message))["verdict"]["state"] == "reached"


async def test_an_unknown_outcome_of_an_outage_is_tried_again_once(w: World) -> None:
    person = await w.person("sms")
    w.twilio.told[person.number].extend([Told(fate=DROP), Told(fate=DROP), Told(fate=DROP)])
    message = await w.send(person, reach={"step": 12, "within": 13})
    await w.twilio.text(person.number, 2)
    done = await w.done(message)
    assert sum(one.to == person.number for one in w.twilio.texts) == 2
    assert {one["status"] for one in done["attempts"]} == {"unknown"}
    assert (done["verdict"]["state"], done["verdict"]["code"]) == ("unreached", "outcome_unknown")


async def test_trying_again_comes_at_once(w: World) -> None:
    """Unknown outcome: *try again* at once, also when `step` is short."""
    person = await w.person("sms")
    w.twilio.told[person.number].append(Told(fate=DROP))
    message = await w.send(person, reach={"step": 4, "within": 8})
    first, second = await w.twilio.text(person.number, 1), await w.twilio.text(person.number, 2, seconds=12)
    assert second.at - first.at < 4
    await w.twilio.report(second, "delivered")
    assert (await w.done(message))["verdict"]["state"] == "reached"


@pytest.mark.parametrize("within", [3, 7])
async def test_an_unknown_outcome_of_a_survey_is_never_repeated(w: World, within: int) -> None:
    person = await w.person("sms", "voice", preferences=ORDER)
    w.twilio.told[person.number].append(Told(fate=DROP))
    message = await w.send(person, category="survey", reach={"step": 1, "within": within})
    done = await w.done(message)
    assert w.twilio.count(person.number) == 1
    assert statuses(done) == {"sms": "unknown"}
    assert (done["verdict"]["state"], done["verdict"]["code"]) == ("unreached", "outcome_unknown")


async def test_an_unknown_outcome_of_a_service_message_is_asked_about_first(w: World) -> None:
    """`reconcile`: the provider shows the message in its list, so it isn't sent again."""
    person = await w.person("sms")
    w.twilio.told[person.number].append(Told(fate=DROP))
    message = await w.send(person, category="service", reach={"step": 60, "within": 300})
    await eventually(lambda: [one for one in w.twilio.asked if person.number[1:] in one], 45, "never asked")
    now = await w.when(message, lambda one: one["attempts"][0]["provider_id"])
    assert now["attempts"][0]["status"] in {"accepted", "sent"}
    assert w.twilio.count(person.number) == 1


async def test_a_receipt_for_an_unknown_outcome_settles_it(w: World) -> None:
    person = await w.person("sms")
    w.twilio.told[person.number].append(Told(fate=DROP))
    message = await w.send(person, category="survey", reach={"step": 60, "within": 90})
    await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] == "unknown")
    await w.twilio.report(await w.twilio.text(person.number), "delivered")
    assert (await w.done(message))["verdict"]["state"] == "reached"


@pytest.mark.parametrize("status", [500, 503])
async def test_a_carriers_trouble_is_unknown_too(w: World, status: int) -> None:
    person = await w.person("sms")
    w.twilio.told[person.number].append(Told(status, {"code": 20500, "message": "no", "status": status}))
    message = await w.send(person, reach={"step": 30, "within": 60})
    again = await w.twilio.text(person.number, 2)
    now = await w.when(message, lambda one: len(one["attempts"]) == 2)
    assert now["attempts"][0]["status"] == "unknown"
    await asyncio.gather(w.twilio.report(again, "delivered"))
    assert (await w.done(message))["verdict"]["state"] == "reached"
