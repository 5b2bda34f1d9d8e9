"""Story 3. STOP means stop, at once, on the right scope; what she still wants still comes by what she still allows."""

from __future__ import annotations

from typing import Any

from tests.support.running import Running, until

PHONE = "+447400000301"
MAIL = "maria@example.org"
BOTH = {"channels": ["sms", "voice"]}


async def test_stop_closes_sms_and_start_opens_it_again(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, voice=PHONE, preferences=BOTH)
    first = await gw.ended((await gw.send("maria"))["id"])
    assert first["verdict"]["channel"] == "sms", first

    await gw.texts_us(PHONE, "STOP")

    await until(lambda: _is_off(gw, "maria"))
    outage = await gw.ended((await gw.send("maria"))["id"])
    assert (outage["verdict"]["state"], outage["verdict"]["channel"]) == ("reached", "voice"), outage
    assert _skips(outage) == {"sms": "opted_out"}
    assert gw.taken() == {"sms": 1, "voice": 1}

    await gw.texts_us(PHONE, "START")

    await until(lambda: _is_on(gw, "maria"))
    later = await gw.ended((await gw.send("maria"))["id"])
    assert later["verdict"]["channel"] == "sms", later


async def test_stop_that_comes_while_the_message_waits_its_step_wins(gw: Running) -> None:
    """E-mail first, then SMS; STOP arrives within the first step."""
    order = {"channels": ["email", "sms"]}
    await gw.customer("maria", email=MAIL, sms=PHONE, preferences=order)
    sent = await gw.send("maria", reach={"until": "delivered", "step": 2, "within": 6})
    await gw.when(sent["id"], lambda found: found["attempts"])

    await gw.texts_us(PHONE, "Stop.")

    told = await gw.ended(sent["id"])
    assert (told["verdict"]["state"], told["verdict"]["code"]) == ("unreached", "no_receipt"), told
    assert _skips(told) == {"sms": "opted_out"}
    assert gw.taken() == {"email": 1}


async def test_the_wording_is_kept_as_evidence(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, preferences=BOTH)
    await gw.texts_us(PHONE, "  stop  ")
    await until(lambda: _is_off(gw, "maria"))
    [entry] = [e for e in await gw.service.gateway.customers.ledger("maria") if e.state == "withdrawn"]
    assert (entry.channel, entry.category, entry.wording.strip()) == ("sms", "*", "stop")


async def test_stop_all_closes_everything(gw: Running) -> None:
    await gw.customer("maria", sms=PHONE, voice=PHONE, email=MAIL)
    await gw.texts_us(PHONE, "STOP ALL")
    await until(lambda: _is_off(gw, "maria"))
    sent = await gw.send("maria")
    assert (sent["status"], sent["verdict"]["state"]) == ("done", "suppressed"), sent
    assert _skips(sent) == {**dict.fromkeys(("sms", "voice", "email"), "opted_out"), "wechat": "no_address"}
    assert gw.taken() == {}


async def test_stop_binds_everybody_who_shares_the_number(gw: Running) -> None:
    for name in ("maria", "nikos"):
        await gw.customer(name, sms=PHONE, preferences={"channels": ["sms"]})
    await gw.texts_us(PHONE, "STOP")
    await until(lambda: _is_off(gw, "nikos"))
    await until(lambda: _is_off(gw, "maria"))
    await gw.customer("born-later", sms=PHONE, preferences={"channels": ["sms"]})
    sent = await gw.send("born-later")
    assert sent["verdict"]["code"] == "opted_out", "the withdrawal follows the address"


async def _is_off(gw: Running, customer: str) -> bool:
    return "opted_out" in _skips(await _dry(gw, customer)).values()


async def _is_on(gw: Running, customer: str) -> bool:
    return "sms" in [step["channel"] for step in (await _dry(gw, customer))["route"]]


async def _dry(gw: Running, customer: str) -> dict[str, Any]:
    body = {"customer": customer, "category": "outage", "content": {"text": "The power is out."}}
    answer = await gw.api("POST", "/v1/messages?dry_run=true", body)
    assert answer.status == 200, answer
    return answer.body


def _skips(message: dict[str, Any]) -> dict[str, str]:
    return {one["channel"]: one["why"]["code"] for one in message["skipped"]}
