"""Story 4. "Don't make me start over": an SMS, a chat and a call are one conversation, and whoever answers sees all of it."""

from __future__ import annotations

from typing import Any

from tests.support.running import Running, until

PHONE = "+447400000410"
SISTERS = "+447400000411"
OPENID = "oEleniOnWeChat0001"


async def thread(gw: Running) -> list[dict[str, Any]]:
    answer = await gw.api("GET", "/v1/customers/eleni/timeline?limit=200")
    assert answer.status == 200, answer
    return answer.body["items"]


async def until_seen(gw: Running, text: str) -> dict[str, Any]:
    """What she wrote, once it stands in the thread."""
    found: list[dict[str, Any]] = []

    async def there() -> list[dict[str, Any]]:
        found[:] = [one for one in await thread(gw) if one["kind"] == "inbound" and one["text"] == text]
        return found

    await until(there, seen=lambda: text)
    return found[0]


async def test_she_writes_chats_and_calls_and_it_is_one_thread(gw: Running) -> None:
    await gw.customer(
        "eleni",
        sms=PHONE,
        wechat=OPENID,
        voice=PHONE,
        preferences={"channels": ["sms", "wechat"], "language": "en"},
        attributes={"medical_priority": True},
    )
    # She is asked by SMS how it went, and answers there.
    asked = await gw.send(
        "eleni",
        "survey",
        content={"text": "How did the engineer's visit go?"},
        prompt={"kind": "scale", "min": 0, "max": 10},
        reach={"channels": ["sms"]},
    )
    await gw.when(asked["id"], lambda m: m["attempts"] and m["attempts"][0]["status"] == "delivered")
    await gw.texts_us(PHONE, "2 - he never came")
    await gw.when(asked["id"], lambda m: m["answer"])
    # Then she complains in WeChat, and once more from her sister's telephone.
    await gw.sandbox.wechat.write(OPENID, "I have waited two days for you")
    await until_seen(gw, "I have waited two days for you")
    case = {
        "customer": "eleni",
        "kind": "technical",
        "subject": "The engineer never came",
        "description": "Waited two days.",
        "notify": False,
    }
    opened = await gw.api("POST", "/v1/cases", case, headers={"Idempotency-Key": "case-of-eleni"})
    assert opened.status == 201, opened
    await gw.texts_us(SISTERS, "This is Eleni. Is anybody there?")
    strange: list[dict[str, Any]] = []

    async def came() -> list[dict[str, Any]]:
        strange[:] = (await gw.api("GET", "/v1/inbound?unlinked=true")).body["items"]
        return strange

    await until(came)
    # Nobody knows that number: the screen says so, and shows what came from it.
    screen = (await gw.api("GET", f"/v1/lookup?address={SISTERS}")).body
    assert (screen["customers"], [one["text"] for one in screen["inbound"]]) == (
        [],
        ["This is Eleni. Is anybody there?"],
    )
    assert (await gw.api("POST", f"/v1/inbound/{strange[0]['id']}/link", {"customer": "eleni"})).status == 200
    # She calls. Before the first word the screen shows who she is, what is open, and what was said.
    screen = (await gw.api("GET", f"/v1/lookup?address={PHONE}")).body
    [caller] = screen["customers"]
    assert caller["customer"]["id"] == "eleni"
    hints = [hint["code"] for hint in caller["hints"]]
    assert hints[:2] == ["medical_priority", "complaint_open"]
    assert "prefers_channel" in hints
    assert [one["subject"] for one in caller["cases"]] == ["The engineer never came"]
    words = [one["text"] for one in caller["last_contacts"]]
    assert {"This is Eleni. Is anybody there?", "I have waited two days for you"} <= {*words}
    # Everything is one thread, whichever way it came.
    seen = [(one["kind"], one["channel"], one["text"]) for one in await thread(gw)]
    assert ("inbound", "wechat", "I have waited two days for you") in seen
    assert ("inbound", "sms", "This is Eleni. Is anybody there?") in seen
    assert ("answer", "sms", "2 - he never came") in seen
    assert ("message", "sms", "How did the engineer's visit go?") in seen
    assert "case" in [kind for kind, _, _ in seen]
    # The operator answers in the thread, where she wrote last from an address of hers.
    answer = {"text": "I am sorry. Nikos comes today at 5 pm.", "channel": "wechat"}
    replied = await gw.api("POST", "/v1/customers/eleni/reply", answer, headers={"Idempotency-Key": "reply-1"})
    assert replied.status == 202, replied
    await gw.ended(replied.body["id"])
    newest = next(one for one in await thread(gw) if one["kind"] == "message")
    assert (newest["text"], newest["channel"]) == (answer["text"], "wechat")
    # Taken back, the stranger's words are nobody's again.
    assert (await gw.api("POST", f"/v1/inbound/{strange[0]['id']}/unlink")).status == 200
    assert "This is Eleni. Is anybody there?" not in [one["text"] for one in await thread(gw)]
