"""The mail relay and WeChat as an outsider sees them: they keep what they are asked, and answer as told."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import defaultdict, deque
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import aiohttp
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.contract.waiting import eventually

WECHAT_TOKEN = "contractwechattoken"


def hang_up(server: SMTP) -> None:
    """The line drops at once, without an answer."""
    cast("asyncio.Transport", server.transport).abort()


class Mail:
    """A relay: takes everything, unless told otherwise per recipient; `cut`: the line drops "before" or "after" the mail."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []
        self.told: dict[str, deque[str]] = defaultdict(deque)
        self.cut: dict[str, str] = {}
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.told[address]:
            return self.told[address].popleft()
        if self.cut.get(address) == "before":
            hang_up(server)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - the same
        data = cast("bytes", envelope.content)
        self.taken.extend((str(envelope.mail_from), one, data) for one in envelope.rcpt_tos)
        if "after" in map(self.cut.get, envelope.rcpt_tos):
            hang_up(server)
        return "250 2.0.0 taken"

    async def sender(self, to: str) -> str:
        """The envelope sender of the first mail to somebody."""
        return (await eventually(lambda: [sender for sender, one, _ in self.taken if one == to]))[0]

    async def mail(self, to: str, count: int = 1) -> EmailMessage:
        """The so-manieth mail to somebody, once it is there."""
        found = await eventually(lambda: self._to(to, count))
        return message_from_bytes(found[count - 1], policy=policy.default)

    async def raw(self, to: str) -> str:
        """The first mail to somebody, as it came over the wire, long header lines unfolded."""
        found = await eventually(lambda: self._to(to, 1))
        return found[0].decode().replace("\r\n", "\n").replace("\n ", " ")

    def _to(self, to: str, count: int) -> list[bytes] | None:
        found = [data for _, one, data in self.taken if one == to]
        return found if len(found) >= count else None


class WeChat:
    """An official account; answers are told per openid."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.told: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self.base = ""
        self.http: aiohttp.ClientSession | None = None
        self.app = web.Application()
        self.app.add_routes([
            web.post("/cgi-bin/stable_token", self._token),
            web.post("/cgi-bin/message/{kind}/send", self._send),
            web.post("/cgi-bin/qrcode/create", self._code),
            web.get("/sns/oauth2/access_token", self._signed_in),
        ])  # fmt: skip
        self.scenes: list[str] = []
        self.signed_in: dict[str, str] = {}

    async def _token(self, request: web.Request) -> web.Response:
        return web.json_response({"access_token": "token", "expires_in": 7200})

    async def _send(self, request: web.Request) -> web.Response:
        body = await request.json()
        body["kind"], body["msgid"] = request.match_info["kind"], 3000000 + len(self.sent)
        self.sent.append(body)
        told = self.told[body["touser"]]
        return web.json_response(told.popleft() if told else {"errcode": 0, "errmsg": "ok", "msgid": body["msgid"]})

    async def _code(self, request: web.Request) -> web.Response:
        """A code to be scanned; `scenes` keeps what each holds."""
        self.scenes.append((await request.json())["action_info"]["scene"]["scene_str"])
        shown = f"http://weixin.qq.com/q/{len(self.scenes)}"
        return web.json_response({"ticket": f"ticket{len(self.scenes)}", "expire_seconds": 900, "url": shown})

    async def _signed_in(self, request: web.Request) -> web.Response:
        """Who signed in with this code (`signed_in`); each code once."""
        openid = self.signed_in.pop(request.query["code"], "")
        if not openid:
            return web.json_response({"errcode": 40029, "errmsg": "invalid code"})
        return web.json_response({"access_token": "t", "expires_in": 7200, "openid": openid, "scope": "snsapi_base"})

    async def got(self, openid: str, count: int = 1) -> dict[str, Any]:
        """The so-manieth message to a follower, once it is there."""

        def found() -> list[dict[str, Any]] | None:
            all_of = [one for one in self.sent if one["touser"] == openid]
            return all_of if len(all_of) >= count else None

        return (await eventually(found))[count - 1]

    async def post(self, openid: str, inner: str, *, token: str = WECHAT_TOKEN, nonce: str = "") -> tuple[int, str]:
        """An event or message of a follower, signed."""
        at, nonce = str(int(time.time())), nonce or f"n{time.time_ns()}"
        signature = hashlib.sha1("".join(sorted((token, at, nonce))).encode(), usedforsecurity=False).hexdigest()
        body = (
            f"<xml><ToUserName>gh_1</ToUserName><FromUserName>{openid}</FromUserName>"
            f"<CreateTime>{at}</CreateTime>{inner}</xml>"
        )
        query = {"signature": signature, "timestamp": at, "nonce": nonce}
        assert self.http is not None
        async with self.http.post(self.base + "/callbacks/wechat", params=query, data=body.encode()) as answer:
            return answer.status, await answer.text()

    async def finished(self, openid: str, msgid: int, status: str = "success") -> tuple[int, str]:
        """The event that tells what became of a template message."""
        inner = (
            "<MsgType>event</MsgType><Event>TEMPLATESENDJOBFINISH</Event>"
            f"<MsgID>{msgid}</MsgID><Status>{status}</Status>"
        )
        return await self.post(openid, inner)

    async def scans(self, openid: str, scene: str, *, follows: bool = True) -> tuple[int, str]:
        """The event of a scan, by a follower or by somebody who follows by it."""
        event, key = ("SCAN", scene) if follows else ("subscribe", f"qrscene_{scene}")
        inner = f"<MsgType>event</MsgType><Event>{event}</Event><EventKey>{key}</EventKey><Ticket>t</Ticket>"
        return await self.post(openid, inner)

    async def writes(self, openid: str, words: str) -> tuple[int, str]:
        inner = f"<MsgType>text</MsgType><Content>{words}</Content><MsgId>{time.time_ns()}</MsgId>"
        return await self.post(openid, inner)
