"""What ends or corrects a message from outside: cancel, acknowledge, retry, threads, late and reordered news."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.contract.wire import refused
from tests.contract.world import World, in_time

LONG = {"step": 600, "within": 900}


async def test_cancel_and_cancel_again(w: World) -> None:
    person = await w.person("sms", "voice")
    message = await w.send(person, send_at=in_time(days=1))
    assert message["status"] == "scheduled"
    answer = await w.api("POST", f"/v1/messages/{message['id']}/cancel")
    assert answer.status in {200, 202}
    done = await w.done(message)
    assert done["verdict"]["state"] == "cancelled"
    assert done["attempts"] == []
    again = await w.api("POST", f"/v1/messages/{message['id']}/cancel")
    assert again.status == 409
    assert again.headers["Content-Type"].startswith("application/problem+json")


async def test_what_a_provider_has_is_not_recalled_and_its_news_still_counts_as_news(w: World) -> None:
    person = await w.person("sms", "voice")
    message = await w.send(person, reach=LONG)
    text = await w.twilio.text(person.number)
    await w.when(message, lambda one: one["attempts"] and one["attempts"][0]["status"] == "accepted")
    await w.api("POST", f"/v1/messages/{message['id']}/cancel")
    await w.done(message)
    await w.twilio.report(text, "delivered")
    now = await w.when(message, lambda one: one["attempts"][0]["status"] == "delivered")
    assert now["verdict"]["state"] == "cancelled"


async def test_acknowledge_by_api(w: World) -> None:
    person = await w.person("sms", "voice")
    message = await w.send(person, reach={**LONG, "until": "acknowledged"})
    await w.twilio.text(person.number)
    answer = await w.api(
        "POST", f"/v1/messages/{message['id']}/acknowledge", {"by": "call centre", "note": "She rang."}
    )
    assert answer.status == 200
    done = await w.done(message)
    assert (done["verdict"]["state"], done["verdict"]["level"]) == ("reached", "acknowledged")
    assert w.twilio.count(person.number) == 1


async def test_acknowledge_before_anything_was_sent(w: World) -> None:
    message = await w.send(await w.person("sms"), send_at=in_time(days=1))
    assert (await w.api("POST", f"/v1/messages/{message['id']}/acknowledge")).status == 200
    done = await w.done(message)
    assert done["verdict"]["state"] == "reached"
    assert done["attempts"] == []


async def test_retry_is_a_new_message_of_the_same(w: World) -> None:
    person = await w.person("sms", "voice")
    w.twilio.told[person.number].extend([refused(21610), refused(21217)])
    message = await w.send(person, "The very text", reach=LONG, reference="r-1", metadata={"a": 1})
    assert (await w.done(message))["verdict"]["state"] == "unreached"
    answer = await w.api("POST", f"/v1/messages/{message['id']}/retry", {"reach": {"step": 30, "within": 60}})
    assert answer.status == 202
    again = answer.body
    assert again["id"] != message["id"]
    assert again["retry_of"] == message["id"]
    assert (again["category"], again["customer"], again["reference"]) == ("outage", person.id, "r-1")
    assert (again["reach"]["step"], again["reach"]["within"]) == (30, 60)


async def test_retry_of_a_pending_message_is_told_apart_from_a_done_one(w: World) -> None:
    """The contract doesn't say; whatever it is, it is no server error and no silence."""
    message = await w.send(await w.person("sms"), reach=LONG)
    assert (await w.api("POST", f"/v1/messages/{message['id']}/retry")).status in {202, 409}


async def test_a_newer_message_of_the_thread_supersedes(w: World) -> None:
    person, other = await w.person("sms", "voice"), await w.person("sms")
    first = await w.send(person, thread="cut-1", reach=LONG)
    same_thread_other_person = await w.send(other, thread="cut-1", reach=LONG)
    other_thread = await w.send(person, thread="cut-2", reach=LONG)
    await w.twilio.text(person.number, 2)
    second = await w.send(person, thread="cut-1", reach=LONG)
    assert (await w.done(first))["verdict"]["state"] == "superseded"
    for one in (second, same_thread_other_person, other_thread):
        assert (await w.get(one))["verdict"]["state"] == "pending"


async def test_a_scheduled_message_supersedes_only_when_due(w: World) -> None:
    person = await w.person("sms")
    first = await w.send(person, thread="cut-3", reach=LONG)
    await w.send(person, thread="cut-3", send_at=in_time(days=1))
    await w.twilio.report(await w.twilio.text(person.number), "delivered")
    assert (await w.done(first))["verdict"]["state"] == "reached"


async def test_a_suppressed_message_supersedes_nothing(w: World) -> None:
    person = await w.person("sms")
    first = await w.send(person, thread="cut-4", reach=LONG)
    await w.twilio.text(person.number)
    second = await w.send(person, thread="cut-4", category="marketing")
    assert (await w.done(second))["verdict"]["state"] == "suppressed"
    assert (await w.get(first))["verdict"]["state"] == "pending"


async def test_an_answer_counts_for_the_newest_open_prompt_of_the_thread(w: World) -> None:
    person = await w.person("sms")
    prompt = {"kind": "yes_no", "question": "Is it on again?"}
    first = await w.send(person, thread="cut-5", reach=LONG, prompt=prompt)
    await w.twilio.text(person.number)
    second = await w.send(person, thread="cut-5", reach=LONG, prompt=prompt)
    await w.twilio.text(person.number, 2)
    await w.twilio.inbound(person.number, "yes")
    now = await w.when(second, lambda one: one["answer"])
    assert now["answer"]["value"] in {True, "yes"}
    assert (await w.get(first))["answer"] is None


async def test_late_proof_turns_unreached_into_reached(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach={"step": 1, "within": 2})
    text = await w.twilio.text(person.number)
    assert (await w.done(message))["verdict"]["state"] == "unreached"
    await w.twilio.report(text, "delivered")
    now = await w.when(message, lambda one: one["verdict"]["state"] == "reached")
    assert (now["verdict"]["late"], now["verdict"]["proven"]) == (True, True)


async def test_a_failure_after_an_unproven_verdict_is_bounced(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach={"until": "accepted", "step": 30, "within": 60})
    text = await w.twilio.text(person.number)
    assert (await w.done(message))["verdict"]["state"] == "reached"
    await w.twilio.report(text, "undelivered", ErrorCode="30003")
    await w.when(message, lambda one: one["attempts"][0]["status"] == "failed")
    assert (await w.get(message))["verdict"]["state"] == "reached", "a proven verdict isn't taken back"


async def test_a_bounce_takes_an_unproven_verdict_back(w: World) -> None:
    person = await w.person("email")
    message = await w.send(person, category="service", reach={"step": 1, "within": 60})
    done = await w.done(message)
    assert (done["verdict"]["state"], done["verdict"]["proven"]) == ("reached", False)
    sender = await w.mail.sender(person.email)
    dsn = (
        f"From: MAILER-DAEMON@example.org\r\nTo: {sender}\r\nSubject: Undelivered\r\nAuto-Submitted: auto-replied\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nNo such user.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; {person.email}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\r\n--b--\r\n"
    )
    await bounced(w, sender, dsn)
    now = await w.when(message, lambda one: one["verdict"]["state"] == "unreached")
    assert now["verdict"]["code"] == "bounced"
    assert now["attempts"][0]["status"] == "failed"


async def bounced(w: World, to: str, mail: str) -> None:
    """The returned mail arrives on the bounce port."""
    import aiosmtplib

    port = int(w.gateway.variables["GATEWAY_BOUNCE_PORT"])
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, local_hostname="mx.example.org")
    await client.connect()
    await client.sendmail("", [to], mail.encode())
    await client.quit()


NEWS: list[tuple[str, dict[str, str]]] = [("sent", {}), ("undelivered", {"ErrorCode": "30003"}), ("delivered", {})]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=lambda one: "".join(map(str, one)))
async def test_the_same_news_in_any_order_gives_the_same_end(w: World, order: tuple[int, ...]) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach={"step": 30, "within": 60})
    text = await w.twilio.text(person.number)
    for which in order:
        status, fields = NEWS[which]
        for _ in range(2):
            assert (await w.twilio.report(text, status, **fields))[0] == 200
    done = await w.when(message, lambda one: one["attempts"][0]["status"] == "delivered")
    done = await w.done(message)
    assert (done["verdict"]["state"], done["attempts"][0]["status"]) == ("reached", "delivered")


async def test_the_message_object_has_the_promised_shape(w: World) -> None:
    message: Any = await w.send(await w.person("sms"), reference="ref", metadata={"k": [1]}, thread="th")
    assert set(message) >= {
        "id", "mode", "customer", "category", "priority", "template", "thread", "reference", "metadata", "reach",
        "status", "held", "due_at", "deadline", "verdict", "route", "skipped", "attempts", "prompt", "answer",
        "retry_of", "created_at",
    }  # fmt: skip
    assert set(message["verdict"]) >= {"state", "proven", "late", "channel", "attempt", "level", "at", "code", "text"}
    assert message["verdict"]["state"] == "pending"
    assert (message["reference"], message["metadata"], message["thread"]) == ("ref", {"k": [1]}, "th")
    assert set(message["reach"]) >= {"until", "within", "step", "mode", "rounds", "channels", "unproven"}
