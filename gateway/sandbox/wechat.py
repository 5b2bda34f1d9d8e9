"""WeChat's look-alike for an official account: tokens, template and customer-service messages, QR codes, events.

Every answer is HTTP 200 with an ``errcode`` in a text/plain body; 0 means accepted.
"""

from __future__ import annotations

import hmac
import re
from collections import OrderedDict
from hashlib import sha256
from typing import Any, cast

from aiohttp import web
from msgspec import Struct

from .behaviour import Behaviour, Carrier, Fate, State
from .clock import Clock, Tasks
from .items import Chat
from .twilio_rest import drop
from .wechat_linking import Linking
from .wechat_menu import Menu
from .wechat_push import Pusher
from .wechat_tokens import Tokens
from .wechat_wire import answer, fields_of, json_of, token_answer, too_long
from .world import World

FATES = {Fate.REFUSED: 43101, Fate.THROTTLED: 45011, Fate.OPTED_OUT: 43004}
OPENID = re.compile(r"[A-Za-z0-9_-]{6,64}")
REPEAT_WINDOW = 600_000


class Window(Struct):
    """How long and how often the account may write freely; ``until`` in milliseconds."""

    until: int
    left: int


class WeChat:
    """The account's API and its followers; ``app`` is to be served."""

    def __init__(
        self,
        world: World,
        behaviour: Behaviour,
        clock: Clock,
        tasks: Tasks,
        pusher: Pusher,
        *,
        app_id: str,
        secret: str,
        check_fields: bool = False,
        templates: frozenset[str] = frozenset(),
    ) -> None:
        self.tokens = Tokens(clock, behaviour.random)
        self.pusher = pusher
        self.check_fields = check_fields
        self.templates = templates
        self._world = world
        self._behaviour = behaviour
        self._clock = clock
        self._tasks = tasks
        self._app_id = app_id
        self._secret = secret
        self._next_msgid = 200_000_000
        self._sent: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._windows: dict[str, Window] = {}
        self.menu = Menu(self._body)
        self.linking = Linking(self._body, world, behaviour, clock, app_id=app_id, secret=secret)
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/cgi-bin/token", self.token),
                web.post("/cgi-bin/token", self.token),
                web.post("/cgi-bin/stable_token", self.stable_token),
                web.post("/cgi-bin/message/template/send", self.template_send),
                web.post("/cgi-bin/message/custom/send", self.custom_send),
                web.get("/cgi-bin/get_api_domain_ip", self.addresses),
                *self.menu.routes(),
                *self.linking.routes(),
            ]
        )

    async def _gate(self, request: web.Request) -> web.Response | None:
        match self._behaviour.state(Carrier.WECHAT):
            case State.REFUSES:
                return web.Response(status=503, text="Service Unavailable")
            case State.THROTTLES:
                return answer(45011)
            case State.HANGS:
                await self._behaviour.while_hanging(Carrier.WECHAT)
                return drop(request)
            case _:
                await self._clock.sleep(self._behaviour.draw(self._behaviour.delays.answer))
                return None

    def _credentials_fault(self, grant: str, app_id: str, secret: str) -> int | None:
        if grant != "client_credential":
            return 40002
        if app_id != self._app_id:
            return 40013
        return None if hmac.compare_digest(secret.encode(), self._secret.encode()) else 40125

    async def token(self, request: web.Request) -> web.Response:
        """``GET /cgi-bin/token``."""
        if (refusal := await self._gate(request)) is not None:
            return refusal
        query = request.query
        code = self._credentials_fault(query.get("grant_type", ""), query.get("appid", ""), query.get("secret", ""))
        return answer(code) if code else token_answer(*self.tokens.plain())

    async def stable_token(self, request: web.Request) -> web.Response:
        """``POST /cgi-bin/stable_token``."""
        if (refusal := await self._gate(request)) is not None:
            return refusal
        body = await json_of(request)
        if body is None:
            return answer(47001)
        given = [str(body.get(name, "")) for name in ("grant_type", "appid", "secret")]
        code = self._credentials_fault(*given)
        return answer(code) if code else token_answer(*self.tokens.stable(force=body.get("force_refresh") is True))

    async def _body(self, request: web.Request) -> dict[str, Any] | web.Response:
        """The JSON of a request that needs a token, or the answer that refuses it."""
        if (refusal := await self._gate(request)) is not None:
            return refusal
        if (code := self.tokens.fault(request.query.get("access_token", ""))) is not None:
            return answer(code)
        body = await json_of(request)
        return answer(47001) if body is None else body

    def _recipient_fault(self, openid: str) -> int | None:
        if not OPENID.fullmatch(openid):
            return 40003
        fate = self._behaviour.fate(Carrier.WECHAT, openid)
        if fate in FATES:
            return FATES[fate]
        return None if self._world.device("openid", openid).following else 43004

    async def template_send(self, request: web.Request) -> web.Response:
        """``POST /cgi-bin/message/template/send``; the same client_msg_id within ten minutes is sent once."""
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        openid, template = str(body.get("touser", "")), str(body.get("template_id", ""))
        fields = fields_of(body.get("data"))
        if (code := self._recipient_fault(openid)) is not None:
            return answer(code)
        if not template or (self.templates and template not in self.templates):
            return answer(40037)
        if fields is None or (self.check_fields and any(too_long(name, value) for name, value in fields)):
            return answer(47003)
        fate = self._behaviour.fate(Carrier.WECHAT, openid)
        if fate is Fate.LOST:
            return drop(request)
        repeated = self._repeated(openid, str(body.get("client_msg_id", "")))
        if repeated is None:
            msgid = self._accept(openid, str(body.get("client_msg_id", "")), repr((template, fields)))
            chat = Chat(
                id=str(msgid), at=self._clock.now(), mine=False, kind="template", template_id=template, fields=fields
            )
            chat.url = str(body.get("url", "") or "")
            self._tasks.start(self._deliver(openid, chat, fate))
        else:
            msgid = repeated
        return drop(request) if fate is Fate.UNKNOWN else answer(0, msgid=msgid)

    def _repeated(self, openid: str, client_msg_id: str) -> int | None:
        known = self._sent.get((openid, client_msg_id)) if client_msg_id else None
        return known[0] if known is not None and self._clock.now() - known[1] < REPEAT_WINDOW else None

    def _accept(self, openid: str, client_msg_id: str, content: str) -> int:
        self._next_msgid += 1
        self._world.took(Carrier.WECHAT, client_msg_id or f"{openid} {sha256(content.encode()).hexdigest()[:16]}")
        if client_msg_id:
            self._sent[openid, client_msg_id] = (self._next_msgid, self._clock.now())
            if len(self._sent) > 100_000:
                self._sent.popitem(last=False)
        return self._next_msgid

    async def _deliver(self, openid: str, chat: Chat, fate: Fate) -> None:
        await self._clock.sleep(self._behaviour.draw(self._behaviour.delays.receipt))
        status = "failed:user block" if fate is Fate.UNDELIVERED else "success"
        if fate not in (Fate.NO_RECEIPT, Fate.UNDELIVERED):
            chat.at, chat.status = self._clock.now(), "delivered"
            self._world.add(self._world.device("openid", openid), chat)
        if not self._behaviour.receipts(Carrier.WECHAT, fate):
            return
        news: dict[str, str | int] = {"Event": "TEMPLATESENDJOBFINISH", "MsgID": int(chat.id), "Status": status}
        for _ in range(2 if self._behaviour.chance(self._behaviour.repeat) else 1):
            await self.pusher.push(openid, "event", news)

    async def custom_send(self, request: web.Request) -> web.Response:
        """``POST /cgi-bin/message/custom/send``: free text, only after the person did something."""
        body = await self._body(request)
        if isinstance(body, web.Response):
            return body
        openid = str(body.get("touser", ""))
        if (code := self._recipient_fault(openid)) is not None:
            return answer(code)
        content = body.get("text")
        text = str(cast("dict[str, Any]", content).get("content", "")) if isinstance(content, dict) else ""
        if not text:
            return answer(44004)
        if len(text.encode()) > 2048:
            return answer(45002)
        window = self._windows.get(openid)
        if window is None or window.until <= self._clock.now():
            return answer(45015)
        if window.left <= 0:
            return answer(45047)
        if (fate := self._behaviour.fate(Carrier.WECHAT, openid)) is Fate.LOST:
            return drop(request)
        window.left -= 1
        msgid = self._accept(openid, "", text)
        chat = Chat(id=str(msgid), at=self._clock.now(), mine=False, kind="text", text=text, status="delivered")
        self._world.add(self._world.device("openid", openid), chat)
        return drop(request) if fate is Fate.UNKNOWN else answer(0)

    async def addresses(self, request: web.Request) -> web.Response:
        """``GET /cgi-bin/get_api_domain_ip``: the harmless call by which a token is tried."""
        if (refusal := await self._gate(request)) is not None:
            return refusal
        code = self.tokens.fault(request.query.get("access_token", ""))
        return answer(code) if code else web.Response(text='{"ip_list": ["127.0.0.1"]}', content_type="text/plain")

    # What people do on their phones.

    async def write(self, openid: str, text: str) -> None:
        """A person writes to the account; opens the window of 48 hours for five messages."""
        self._windows[openid] = Window(self._clock.now() + 48 * 3_600_000, 5)
        self._next_msgid += 1
        msgid = 23_000_000_000_000_000 + self._next_msgid
        self._show(openid, Chat(id=str(msgid), at=self._clock.now(), mine=True, kind="text", text=text))
        reply = await self.pusher.push(openid, "text", {"Content": text, "MsgId": msgid})
        if reply:
            self._next_msgid += 1
            self._show(
                openid, Chat(id=str(self._next_msgid), at=self._clock.now(), mine=False, kind="text", text=reply)
            )

    async def follow(self, openid: str, *, scene: str = "") -> None:
        """A person follows the account, perhaps by scanning a code."""
        self._world.device("openid", openid).following = True
        await self._event(
            openid, "follows the account", {"Event": "subscribe", "EventKey": scene and f"qrscene_{scene}"}
        )

    async def unfollow(self, openid: str) -> None:
        """A person stops following; nothing can be sent any more."""
        self._world.device("openid", openid).following = False
        self._windows.pop(openid, None)
        await self._event(openid, "no longer follows the account", {"Event": "unsubscribe", "EventKey": ""})

    async def scan(self, openid: str, seen: str) -> None:
        """A person scans a code (its ticket, or what it holds): an event of its own for a follower, else the person
        follows by it. Codes whose time is over only lead to the account.
        """
        scene = self.linking.scene_of(seen)
        if not self._world.device("openid", openid).following:
            await self.follow(openid, scene=scene)
        elif scene:
            await self._event(openid, "scans a code", {"Event": "SCAN", "EventKey": scene, "Ticket": seen})

    async def press(self, openid: str, key: str) -> None:
        """A person presses an entry of the menu."""
        name = next((one["name"] for one in self.menu.entries() if one["key"] == key), key)
        await self._event(openid, f"chooses “{name}”", {"Event": "CLICK", "EventKey": key})

    async def _event(self, openid: str, words: str, fields: dict[str, str | int]) -> None:
        if fields["Event"] != "unsubscribe":
            self._windows[openid] = Window(self._clock.now() + 60_000, 3)
        self._next_msgid += 1
        self._show(openid, Chat(id=str(self._next_msgid), at=self._clock.now(), mine=True, kind="event", text=words))
        reply = await self.pusher.push(openid, "event", fields)
        if reply:
            self._next_msgid += 1
            self._show(
                openid, Chat(id=str(self._next_msgid), at=self._clock.now(), mine=False, kind="text", text=reply)
            )

    def _show(self, openid: str, chat: Chat) -> None:
        self._world.add(self._world.device("openid", openid), chat)
