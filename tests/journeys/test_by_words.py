"""Stories 2 and 3 by words: "how shall we reach you?" answered by SMS and in WeChat, and STOP that is confirmed once."""

from __future__ import annotations

from typing import Any

from gateway.channels.wechat import WeChatChannel
from gateway.channels.wechat_menu import menu
from gateway.sandbox.items import Chat, Text
from tests.support.running import Running, until

PHONE = "+447400000311"
OPENID = "oAna0000311xyz"
BOTH = {"channels": ["sms", "voice"]}


async def test_by_sms_she_says_how_she_is_reached(gw: Running) -> None:
    """The link, an order for outages, quiet hours, her language; and the next outage comes as she said."""
    await gw.customer("ana", sms=PHONE, voice=PHONE, preferences={"channels": ["sms"]})

    await gw.texts_us(PHONE, "PREF")
    link = await _told(gw, PHONE, "/p/")
    async with gw.http.get(link[link.index("http") :].split()[0]) as page:
        assert page.status == 200, "her own page, without a password"

    await gw.texts_us(PHONE, "PREF outage voice sms")
    await _told(gw, PHONE, "outage notices by phone call, then SMS")
    await gw.texts_us(PHONE, "QUIET 22-7")
    await _told(gw, PHONE, "22:00 to 07:00")
    await gw.texts_us(PHONE, "Ελληνικά")
    await _told(gw, PHONE, "ελληνικά")

    answer = await gw.api("GET", "/v1/customers/ana/preferences")
    assert answer.body == {
        "channels": ["sms"],
        "categories": {"outage": {"channels": ["voice", "sms"]}},
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "language": "el",
    }
    outage = await gw.ended((await gw.send("ana"))["id"])
    assert outage["verdict"]["channel"] == "voice", outage


async def test_in_wechat_she_presses_the_menu_and_writes(gw: Running) -> None:
    channel: Any = gw.service.gateway.channels["live"]["wechat"]
    assert isinstance(channel, WeChatChannel)
    await channel.set_menu(menu("en", "en"))
    assert [one["key"] for one in gw.sandbox.wechat.menu.entries()][:2] == ["pref", "language:en"]
    await gw.customer("ana", wechat=OPENID, sms=PHONE, preferences={"channels": ["wechat", "sms"]})
    gw.sandbox.world.device("openid", OPENID).following = True

    await gw.sandbox.wechat.press(OPENID, "pref")
    await _shown(gw, "/p/")
    await gw.sandbox.wechat.press(OPENID, "language:zh-Hans")
    await _shown(gw, "简体中文")
    await gw.sandbox.wechat.write(OPENID, "偏好 短信 微信")
    await _shown(gw, "短信，其次微信")
    wishes = (await gw.api("GET", "/v1/customers/ana/preferences")).body
    assert (wishes["language"], wishes["channels"]) == ("zh-Hans", ["sms", "wechat"])

    await gw.sandbox.wechat.press(OPENID, "stop")
    await _shown(gw, "已停止")
    assert await _way(gw, "ana", "wechat") == "opted_out"
    stopped = gw.service.gateway.clock.now() // 1000
    await until(
        lambda: gw.service.gateway.clock.now() // 1000 > stopped + 1
    )  # WeChat tells seconds, and a tie is a STOP
    await gw.sandbox.wechat.write(OPENID, "订阅")
    await _shown(gw, "继续收到我们的")
    assert await _way(gw, "ana", "wechat") == ""
    ledger = (await gw.api("GET", "/v1/customers/ana/consents")).body["items"]
    assert [(one["state"], one["way"], one["wording"]) for one in ledger] == [
        ("granted", "lifted_by_wechat_keyword", "订阅"),
        ("withdrawn", "wechat_keyword", "STOP"),
    ]


async def test_stop_means_stop_and_start_means_start(gw: Running) -> None:
    """Please stop; it is confirmed once and at once; the outage comes by phone; START brings the texts back."""
    await gw.customer("ana", sms=PHONE, voice=PHONE, preferences=BOTH)

    await gw.texts_us(PHONE, "please stop texting me")

    assert await _way(gw, "ana", "sms") == "opted_out", "before the answer to her text has left"
    assert [t.body for t in _texts(gw, PHONE)] == [
        "Done. You will get no more messages from us by SMS here. Reply START to undo."
    ]
    assert gw.taken().get("sms", 0) == 0, "it went back with the answer to her own text, not as a message"
    outage = await gw.ended((await gw.send("ana"))["id"])
    assert (outage["verdict"]["state"], outage["verdict"]["channel"]) == ("reached", "voice"), outage

    await gw.texts_us(PHONE, "Έναρξη")

    await _told(gw, PHONE, "hear from us here again")
    assert await _way(gw, "ana", "sms") == ""
    later = await gw.ended((await gw.send("ana"))["id"])
    assert later["verdict"]["channel"] == "sms", later


async def test_what_twilio_confirms_itself_we_only_mirror(gw: Running) -> None:
    await gw.customer("ana", sms=PHONE, voice=PHONE, preferences=BOTH)

    await gw.texts_us(PHONE, "STOP")

    await until(lambda: _is(gw, "opted_out"))
    assert len(_texts(gw, PHONE)) == 1, "Twilio's own confirmation, and no second one"
    outage = await gw.ended((await gw.send("ana"))["id"])
    assert outage["verdict"]["channel"] == "voice", outage

    await gw.texts_us(PHONE, "START")

    await until(lambda: _is(gw, ""))
    assert len(_texts(gw, PHONE)) == 2
    assert gw.taken() == {"voice": 1}

    async def listed() -> list[tuple[str, str, str]]:
        items = (await gw.api("GET", "/v1/inbound?customer=ana")).body["items"]
        return [(one["kind"], one["text"], one["outcome"]) for one in items]

    async def all_listed() -> bool:
        return len(await listed()) == 2

    # Consent is written first, the item is listed after it.
    await until(all_listed)
    assert await listed() == [("opt_in", "START", "consent"), ("opt_out", "STOP", "consent")]


async def test_a_strangers_words_wait_until_somebody_knows_who_it_is(gw: Running) -> None:
    await gw.texts_us(PHONE, "My meter is broken")
    await until(lambda: _unlinked(gw, 1))
    [item] = (await gw.api("GET", "/v1/inbound?unlinked=true")).body["items"]
    assert (item["from"], item["text"], item["outcome"], item["customer"]) == (
        PHONE,
        "My meter is broken",
        "unlinked",
        None,
    )

    await gw.customer("ana", email="ana@example.org")
    linked = await gw.api("POST", f"/v1/inbound/{item['id']}/link", {"customer": "ana"})

    assert (linked.status, linked.body["customer"], linked.body["outcome"]) == (200, "ana", "linked")
    await until(lambda: _unlinked(gw, 0))
    await gw.texts_us(PHONE, "It still is")
    await until(lambda: _of(gw, "ana", 2))
    again = await gw.api("POST", f"/v1/inbound/{item['id']}/unlink")
    assert (again.status, again.body["customer"], again.body["outcome"]) == (200, None, "unlinked")


def _texts(gw: Running, phone: str) -> list[Text]:
    return [one for one in gw.sandbox.world.device("phone", phone).items if isinstance(one, Text) and not one.mine]


async def _told(gw: Running, phone: str, words: str) -> str:
    await until(lambda: any(words in one.body for one in _texts(gw, phone)), seen=lambda: _texts(gw, phone))
    return next(one.body for one in _texts(gw, phone) if words in one.body)


async def _shown(gw: Running, words: str) -> None:
    def chats() -> list[str]:
        items = gw.sandbox.world.device("openid", OPENID).items
        return [one.text for one in items if isinstance(one, Chat) and not one.mine]

    await until(lambda: any(words in one for one in chats()), seen=chats)


async def _way(gw: Running, customer: str, channel: str) -> str:
    """Why a channel is skipped; "": it is used."""
    body = {"customer": customer, "category": "outage", "content": {"text": "The power is out."}}
    found = (await gw.api("POST", "/v1/messages?dry_run=true", body)).body
    return next((one["why"]["code"] for one in found["skipped"] if one["channel"] == channel), "")


async def _is(gw: Running, code: str) -> bool:
    return await _way(gw, "ana", "sms") == code


async def _unlinked(gw: Running, count: int) -> bool:
    return len((await gw.api("GET", "/v1/inbound?unlinked=true")).body["items"]) == count


async def _of(gw: Running, customer: str, count: int) -> bool:
    return len((await gw.api("GET", f"/v1/inbound?customer={customer}")).body["items"]) == count
