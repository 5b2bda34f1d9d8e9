"""What WeChat posts to us, genuine and repeated."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest
from wechatpy.crypto import WeChatCrypto

from gateway.channels.base import Forged, Inbound
from gateway.channels.wechat_menu import entries, menu
from gateway.message import Fault, Receipt
from gateway.preferences.keywords import understand
from gateway.sandbox.wechat_menu import fault
from tests.support.wechat_carrier import AES_KEY, NOW, OPENID
from tests.support.wechat_posts import STAMP, TEXT, Channels, answer, call, event, readers, sealed, signed, xml


@pytest.fixture
async def channels() -> AsyncGenerator[Channels]:
    async with readers() as made:
        yield made


async def test_echo(channels: Channels) -> None:
    channel = channels()
    assert answer(channel.read(call(method="GET", echostr="58384792"))) == "58384792"
    with pytest.raises(Forged):
        channel.read(call(method="GET", echostr="58384792", signature="0" * 40))


async def test_encrypted_echo(channels: Channels) -> None:
    channel = channels(aes=True)
    crypto = cast("Any", WeChatCrypto)("callback-token", AES_KEY, "wx-app")
    outer = str(crypto.encrypt_message("58384792", "n1", STAMP))
    secret = outer.partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    query = {"echostr": secret, "msg_signature": signed(STAMP, "n1", secret)}
    assert answer(channel.read(call(method="GET", **query))) == "58384792"
    assert answer(channel.read(call(method="GET", echostr="plain"))) == "plain"


SAID = Inbound(
    id="23000000000000001",
    channel="wechat",
    sender=OPENID,
    text="停电 <!DOCTYPE html> 1",
    to="gh_1",
    at=NOW - 2000 + 999,
)


async def test_text_plain_and_encrypted(channels: Channels) -> None:
    plain = channels().read(call(TEXT))
    assert (plain.inbound, plain.receipts, plain.by_provider_id) == ((SAID,), (), ())
    assert answer(plain) == "success"
    assert channels(aes=True).read(sealed(TEXT)).inbound == (SAID,)


async def test_other_messages_come_without_words(channels: Channels) -> None:
    channel = channels()
    (picture,) = channel.read(call(xml("image", PicUrl="http://x", MediaId="1", MsgId=5))).inbound
    assert (picture.kind, picture.text, picture.raw) == ("text", "", {"type": "image"})
    voice = xml("voice", MediaId="1", Format="amr", Recognition="yes please", MsgId=6)
    assert channel.read(call(voice, nonce="n2")).inbound[0].text == "yes please"


@pytest.mark.parametrize(
    "status, receipt",
    [
        ("success", Receipt(attempt="", at=NOW, status="delivered")),
        (
            "failed:user block",
            Receipt(attempt="", at=NOW, status="failed", fault=Fault.OPTED_OUT, provider_code="failed:user block"),
        ),
        (
            "failed: system failed",
            Receipt(
                attempt="", at=NOW, status="failed", fault=Fault.UNREACHABLE, provider_code="failed: system failed"
            ),
        ),
        (
            "failed:new reason",
            Receipt(attempt="", at=NOW, status="failed", fault=Fault.UNEXPLAINED, provider_code="failed:new reason"),
        ),
    ],
)
async def test_template_receipts(channels: Channels, status: str, receipt: Receipt) -> None:
    channel = channels()
    news = call(event("TEMPLATESENDJOBFINISH", MsgID=200163836, Status=status))
    assert channel.read(news).by_provider_id == (("200163836", receipt),)
    assert channel.read(news).by_provider_id == (("200163836", receipt),), "WeChat repeats itself"


async def test_unknown_news_is_answered_and_ignored(channels: Channels) -> None:
    channel = channels()
    for number, body in enumerate(
        (
            event("TEMPLATESENDJOBFINISH", MsgID=1, Status="pondering"),
            event("subscribe_msg_change_event", SubscribeMsgChangeEvent="x"),
            event("CLICK", EventKey="menu-1"),
            event("something_new"),
            xml("something_newer", MsgId=9),
        )
    ):
        reading = channel.read(call(body, nonce=f"n{number}"))
        assert (reading.inbound, reading.receipts, reading.by_provider_id) == ((), (), ())
        assert answer(reading) == "success"


async def test_following_and_scanning(channels: Channels) -> None:
    channel = channels()

    def kinds(body: str, nonce: str) -> list[tuple[str, str, str]]:
        found = channel.read(call(body, nonce=nonce)).inbound
        assert all(item.sender == OPENID and item.at == NOW - 2000 + 999 for item in found)
        return [(item.kind, item.text, item.id.partition(":")[2]) for item in found]

    second = NOW // 1000 - 2
    assert kinds(event("subscribe", EventKey=""), "1") == [("follow", "", f"{second}:subscribe")]
    assert kinds(event("unsubscribe", EventKey=""), "2") == [("unfollow", "", f"{second}:unsubscribe")]
    assert kinds(event("SCAN", EventKey="tok-9", Ticket="t"), "3") == [("scan", "tok-9", f"{second}:scan:tok-9")]
    assert kinds(event("subscribe", EventKey="qrscene_tok-9", Ticket="t"), "4") == [
        ("follow", "", f"{second}:subscribe_scan"),
        ("scan", "tok-9", f"{second}:subscribe_scan:tok-9"),
    ]


# The menu, and words that go back with the answer


@pytest.mark.parametrize(
    "key, words",
    [("pref", "PREF"), ("stop", "STOP"), ("start", "START"), ("help", "HELP"), ("language:zh-Hant", "LANG zh-Hant")],
)
async def test_an_entry_of_the_menu_counts_as_its_word(channels: Channels, key: str, words: str) -> None:
    [pressed] = channels().read(call(event("CLICK", EventKey=key))).inbound
    assert (pressed.kind, pressed.text, pressed.sender, pressed.raw) == ("text", words, OPENID, {"menu": key})
    assert pressed.opens == 60, "an event opens a minute, not two days"
    assert understand(words) is not None


async def test_entries_of_somebody_elses_menu_and_pages_say_nothing(channels: Channels) -> None:
    for body in (event("CLICK", EventKey="V1001_GOOD"), event("VIEW", EventKey="https://example.org/")):
        assert channels().read(call(body)).inbound == ()


@pytest.mark.parametrize("aes", [False, True])
async def test_words_go_back_with_the_answer(channels: Channels, aes: bool) -> None:
    body = xml("text", Content="STOP", MsgId=23456)
    reading = channels(aes=aes).read(sealed(body) if aes else call(body))
    assert reading.say is not None
    said = reading.say("Done ]]> & <here>").body
    if aes:
        crypto = cast("Any", WeChatCrypto)("callback-token", AES_KEY, "wx-app")
        outer = ET.fromstring(said)  # noqa: S314 - made just here
        parts = [outer.findtext(name) for name in ("MsgSignature", "TimeStamp", "Nonce")]
        said = crypto.decrypt_message(said, *parts)
    told = ET.fromstring(said)  # noqa: S314 - made just here
    fields = {name: told.findtext(name) for name in ("ToUserName", "FromUserName", "MsgType", "Content")}
    assert fields == {
        "ToUserName": OPENID,
        "FromUserName": "gh_1",
        "MsgType": "text",
        "Content": "Done ]]> & <here>",
    }


def test_our_menu_keeps_within_wechats_limits() -> None:
    for tag in ("en", "el", "zh-Hans", "zh-Hant", "fr"):
        made = menu(tag, "en")
        assert fault(made["button"]) == 0
        assert len(entries(made)) == 8
    assert menu("zh-HK", "en") == menu("zh-Hant", "el")
    assert fault([{"name": "x" * 17, "type": "click", "key": "k"}]) == 40018
    assert fault([{"name": "x", "type": "click", "key": ""}]) == 40019
    assert fault([{"name": "x", "type": "scan"}]) == 40017
    assert fault([]) == 40016
