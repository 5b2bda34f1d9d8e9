# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# wechatpy ships no types.
from __future__ import annotations

import json
from typing import Any, cast
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.replies import TextReply
from wechatpy.utils import check_signature

from gateway.sandbox.app import Sandbox
from gateway.sandbox.behaviour import Carrier, Fate, State
from tests.integration.test_sandbox_kit import Heard, browser, sandbox

OPENID = "oSamplePerson9100"
AES = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APP = {"appid": "wxsandbox00000000", "secret": "sandbox-app-secret"}
PATH = "/callbacks/wechat"


async def ask(session: aiohttp.ClientSession, url: str, body: Any) -> dict[str, Any]:
    async with session.post(url, data=json.dumps(body).encode()) as answer:
        assert answer.status == 200
        assert answer.content_type == "text/plain"
        return cast("dict[str, Any]", json.loads(await answer.text()))


async def token_of(box: Sandbox, session: aiohttp.ClientSession, **more: Any) -> str:
    body = {"grant_type": "client_credential", **APP, **more}
    return cast("str", (await ask(session, box.wechat_base + "/cgi-bin/stable_token", body))["access_token"])


async def send(box: Sandbox, session: aiohttp.ClientSession, **change: Any) -> dict[str, Any]:
    token = change.pop("token", None) or await token_of(box, session)
    body = {"touser": OPENID, "template_id": "T1", "data": {"thing1": {"value": "停电通知"}}} | change
    return await ask(session, f"{box.wechat_base}/cgi-bin/message/template/send?access_token={token}", body)


def event_of(heard: Heard) -> dict[str, str]:
    check_signature("sandboxtoken", heard.query["signature"], heard.query["timestamp"], heard.query["nonce"])
    return {child.tag: child.text or "" for child in ET.fromstring(heard.body)}  # noqa: S314 - made by the sandbox


async def test_stable_tokens_stay_and_plain_ones_change() -> None:
    async with sandbox() as (box, _), browser() as session:
        first = await token_of(box, session)
        assert await token_of(box, session) == first
        assert await token_of(box, session, force_refresh=True) != first
        assert (await send(box, session, token=first))["errcode"] == 0
        query = {"grant_type": "client_credential", **APP}
        seen: set[str] = set()
        for _ in range(2):
            async with session.get(box.wechat_base + "/cgi-bin/token", params=query) as answer:
                seen.add(json.loads(await answer.text())["access_token"])
        assert len(seen) == 2
        box.wechat.tokens.expire_all()
        assert (await send(box, session, token=first))["errcode"] == 40001
        wrong = {"grant_type": "client_credential", "appid": APP["appid"], "secret": "no"}
        assert (await ask(session, box.wechat_base + "/cgi-bin/stable_token", wrong))["errcode"] == 40125


async def test_tokens_run_out() -> None:
    now = [1_800_000_000_000]
    async with sandbox(now=lambda: now[0]) as (box, _), browser() as session:
        first = await token_of(box, session)
        now[0] += 7_000_000
        assert await token_of(box, session) != first
        now[0] += 310_000
        assert (await send(box, session, token=first))["errcode"] == 42001


async def test_a_template_message_is_shown_and_its_event_pushed() -> None:
    async with sandbox() as (box, hook), browser() as session:
        sent = await send(box, session, url="https://example.org/m", client_msg_id="c1")
        await box.idle()
        [heard] = hook.on(PATH)
        event = event_of(heard)
        assert (event["Event"], event["MsgID"], event["Status"]) == (
            "TEMPLATESENDJOBFINISH",
            str(sent["msgid"]),
            "success",
        )
        parsed: Any = parse_message(heard.body)
        assert (parsed.event, parsed.id, parsed.status) == ("templatesendjobfinish", sent["msgid"], "success")
        [chat] = box.world.chats(OPENID)
        assert (chat.fields, chat.url) == ([("thing1", "停电通知")], "https://example.org/m")


async def test_the_same_client_msg_id_is_sent_once_within_ten_minutes() -> None:
    now = [1_800_000_000_000]
    async with sandbox(now=lambda: now[0]) as (box, _), browser() as session:
        first = await send(box, session, client_msg_id="c1")
        assert (await send(box, session, client_msg_id="c1"))["msgid"] == first["msgid"]
        assert box.world.copies(Carrier.WECHAT) == {"c1": 1}
        now[0] += 600_001
        assert (await send(box, session, client_msg_id="c1"))["msgid"] != first["msgid"]
        assert box.world.copies(Carrier.WECHAT) == {"c1": 2}


@pytest.mark.parametrize(
    "change,code",
    [
        ({"touser": "x"}, 40003),
        ({"template_id": ""}, 40037),
        ({"data": {"thing1": "bare"}}, 47003),
        ({"touser": "oSample0002"}, 43101),
        ({"touser": "oSample0003"}, 45011),
        ({"touser": "oSample0004"}, 43004),
        ({"token": "nonsense"}, 40001),
    ],
)
async def test_what_wechat_refuses(change: dict[str, Any], code: int) -> None:
    async with sandbox() as (box, _), browser() as session:
        assert (await send(box, session, **change))["errcode"] == code
        assert box.world.accepted[Carrier.WECHAT] == 0


async def test_field_lengths_can_be_checked() -> None:
    async with sandbox() as (box, _), browser() as session:
        box.wechat.check_fields = True
        assert (await send(box, session, data={"thing1": {"value": "停" * 21}}))["errcode"] == 47003
        assert (await send(box, session, data={"thing1": {"value": "停" * 20}}))["errcode"] == 0


@pytest.mark.parametrize("fate,events", [(Fate.NO_RECEIPT, []), (Fate.UNDELIVERED, ["failed:user block"])])
async def test_events_by_fate(fate: Fate, events: list[str]) -> None:
    async with sandbox() as (box, hook), browser() as session:
        box.behaviour.fates[OPENID] = fate
        assert (await send(box, session))["errcode"] == 0
        await box.idle()
        assert [event_of(heard)["Status"] for heard in hook.on(PATH)] == events
        assert box.world.chats(OPENID) == []


@pytest.mark.parametrize("fate,copies", [(Fate.UNKNOWN, {"c1": 1}), (Fate.LOST, {})])
async def test_the_connection_dies_and_the_repeat_is_no_second_copy(fate: Fate, copies: dict[str, int]) -> None:
    async with sandbox() as (box, _), browser() as session:
        box.behaviour.fates[OPENID] = fate
        for _ in range(2):
            with pytest.raises(aiohttp.ClientError):
                await send(box, session, client_msg_id="c1")
        assert box.world.copies(Carrier.WECHAT) == copies


async def test_free_text_needs_an_open_window() -> None:
    now = [1_800_000_000_000]
    async with sandbox(now=lambda: now[0]) as (box, hook), browser() as session:

        async def write() -> int:
            token = await token_of(box, session)
            url = f"{box.wechat_base}/cgi-bin/message/custom/send?access_token={token}"
            body = {"touser": OPENID, "msgtype": "text", "text": {"content": "你好"}}
            return cast("int", (await ask(session, url, body))["errcode"])

        assert await write() == 45015
        await box.wechat.write(OPENID, "hello ]]> there")
        assert event_of(hook.heard[-1])["Content"] == "hello ]]> there"
        assert [await write() for _ in range(6)] == [0, 0, 0, 0, 0, 45047]
        await box.wechat.write(OPENID, "more")
        now[0] += 48 * 3_600_000
        assert await write() == 45015


async def test_follow_unfollow_and_scans() -> None:
    async with sandbox() as (box, hook), browser() as session:
        token = await token_of(box, session)
        scene = {"expire_seconds": 600, "action_name": "QR_STR_SCENE", "action_info": {"scene": {"scene_str": "tok-1"}}}
        made = await ask(session, f"{box.wechat_base}/cgi-bin/qrcode/create?access_token={token}", scene)
        await box.wechat.unfollow(OPENID)
        assert (await send(box, session))["errcode"] == 43004
        await box.wechat.scan(OPENID, made["ticket"])
        await box.wechat.scan(OPENID, made["ticket"])
        events = [event_of(heard) for heard in hook.on(PATH)]
        assert [(event["Event"], event["EventKey"]) for event in events] == [
            ("unsubscribe", ""),
            ("subscribe", "qrscene_tok-1"),
            ("SCAN", "tok-1"),
        ]
        scanned: Any = parse_message(hook.heard[-1].body)
        assert scanned.scene_id == "tok-1"


async def test_aes_mode_both_ways() -> None:
    async with sandbox(wechat_aes_key=AES) as (box, hook):
        crypto: Any = cast("Any", WeChatCrypto)("sandboxtoken", AES, APP["appid"])

        def answer(heard: Heard) -> str:
            query = heard.query
            xml = crypto.decrypt_message(heard.body, query["msg_signature"], query["timestamp"], query["nonce"])
            message: Any = parse_message(xml)
            reply: Any = TextReply(message=message, content=f"heard {message.content}")
            return cast("str", crypto.encrypt_message(reply.render(), "nonce-2", "1800000000"))

        hook.answers[PATH] = answer
        await box.wechat.write(OPENID, "你好")
        assert hook.heard[0].query["encrypt_type"] == "aes"
        assert [chat.text for chat in box.world.chats(OPENID)] == ["你好", "heard 你好"]


async def test_a_push_is_tried_three_times() -> None:
    async with sandbox() as (box, hook):
        hook.answers[PATH] = lambda _: (500, "")
        await box.wechat.write(OPENID, "hello")
        assert len(hook.on(PATH)) == 3
        assert len({heard.body for heard in hook.heard}) == 1
        assert box.world.problems[0].carrier == Carrier.WECHAT


async def test_the_server_proves_that_it_knows_the_token() -> None:
    async with sandbox() as (box, hook):
        hook.answers[PATH] = lambda heard: heard.query.get("echostr", "")
        assert await box.wechat.pusher.verify()
        hook.answers[PATH] = lambda _: "no"
        assert not await box.wechat.pusher.verify()


async def test_states_of_the_whole_carrier() -> None:
    async with sandbox() as (box, hook), browser() as session:
        token = await token_of(box, session)
        box.behaviour.switch(Carrier.WECHAT, State.THROTTLES)
        assert (await send(box, session, token=token))["errcode"] == 45011
        box.behaviour.switch(Carrier.WECHAT, State.SILENT)
        assert (await send(box, session, token=token))["errcode"] == 0
        await box.idle()
        assert hook.heard == []
        box.behaviour.switch(Carrier.WECHAT, State.REFUSES)
        async with session.get(box.wechat_base + "/cgi-bin/token") as answer:
            assert answer.status == 503
