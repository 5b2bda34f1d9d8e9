"""Twilio as an outsider sees it: keeps what it is asked, answers as told, and reports."""

from __future__ import annotations

import asyncio
import hashlib
import html
import re
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast
from urllib.parse import parse_qsl, urldefrag, urlsplit

import aiohttp
import msgspec
from aiohttp import web
from twilio.request_validator import RequestValidator

from tests.contract.waiting import eventually

ACCOUNT = "AC" + "c0ffee00" * 4
AUTH_TOKEN = "contract-auth-token-of-a-made-up-account"
SENDER = "+302101234567"
HANG = "hang"
DROP = "drop"


class Told(msgspec.Struct, frozen=True):
    """One answer to be given: a status with a body, or no answer at all (HANG, DROP) although the request was taken."""

    status: int = 201
    body: Any = None
    headers: Mapping[str, str] = {}
    fate: str = ""


def refused(code: int, status: int = 400, **headers: str) -> Told:
    """An error of Twilio's REST API."""
    return Told(status, {"code": code, "message": "no", "more_info": "", "status": status}, headers)


class Handed(msgspec.Struct):
    """One message or call that reached the carrier."""

    sid: str
    to: str
    pairs: list[tuple[str, str]]
    at: float

    @property
    def form(self) -> dict[str, str]:
        return dict(self.pairs)

    def attribute(self, verb: str, name: str) -> str:
        """An attribute of the first such verb of the call's TwiML."""
        found = re.search(rf'<{verb}\b[^>]*\b{name}="([^"]*)"', self.form["Twiml"])
        assert found, self.form
        return html.unescape(found[1])

    @property
    def links(self) -> list[str]:
        return re.findall(r"https?://\S+", self.form["Body"])


class Twilio:
    """Messages and calls of one made-up account; answers are told per number."""

    def __init__(self) -> None:
        self.texts: list[Handed] = []
        self.calls: list[Handed] = []
        self.updates: list[tuple[str, dict[str, str]]] = []
        self.told: dict[str, deque[Told]] = defaultdict(deque)
        self.asked: list[str] = []
        self.deleted: list[str] = []
        self.lists_known = True
        self.public = ""
        self.base = ""
        self.http: aiohttp.ClientSession | None = None
        self.release = asyncio.Event()
        self.before: dict[str, Callable[[web.Request, Handed], Awaitable[web.StreamResponse | None]]] = {}
        self.busy = self.most_busy = 0
        self.app = web.Application()
        root = f"/2010-04-01/Accounts/{ACCOUNT}"
        self.app.add_routes([
            web.post(root + "/Messages.json", self._create),
            web.post(root + "/Calls.json", self._create),
            web.get(root + "/Messages.json", self._list),
            web.get(root + "/Calls.json", self._list),
            web.post(root + "/Calls/{sid}.json", self._update),
            web.get(root + "/{kind}/{sid}.json", self._fetch),
            web.delete(root + "/{kind}/{sid}.json", self._delete),
            web.get(root + ".json", self._account),
        ])  # fmt: skip

    async def _create(self, request: web.Request) -> web.StreamResponse:
        """Takes it, and answers as told; `before` holds what happens first to those of a number, if only an answer."""
        pairs = parse_qsl((await request.read()).decode(), keep_blank_values=True)
        voice = request.path.endswith("Calls.json")
        kept = self.calls if voice else self.texts
        form = dict(pairs)
        told = self.told[form["To"]].popleft() if self.told[form["To"]] else Told()
        handed = Handed(
            f"{'CA' if voice else 'SM'}{len(self.texts) + len(self.calls):032x}", form["To"], pairs, time.time()
        )
        kept.append(handed)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            return await self._answer(request, handed, told)
        finally:
            self.busy -= 1

    async def _answer(self, request: web.Request, handed: Handed, told: Told) -> web.StreamResponse:
        if handed.to in self.before and (made := await self.before[handed.to](request, handed)) is not None:
            return made
        if told.fate == HANG:
            await self.release.wait()
        if told.fate:
            return cut(request)
        body = told.body if told.body is not None else self._resource(handed)
        return web.json_response(body, status=told.status, headers=told.headers)

    def _resource(self, handed: Handed) -> dict[str, Any]:
        now = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(handed.at))
        kind = "Calls" if handed.sid.startswith("CA") else "Messages"
        shared = {
            "sid": handed.sid, "account_sid": ACCOUNT, "api_version": "2010-04-01", "to": handed.to, "from": SENDER,
            "status": "queued", "date_created": now, "date_updated": now, "price": None, "price_unit": "USD",
            "direction": "outbound-api", "uri": f"/2010-04-01/Accounts/{ACCOUNT}/{kind}/{handed.sid}.json",
        }  # fmt: skip
        if kind == "Calls":
            return {**shared, "answered_by": None, "duration": None, "start_time": None, "end_time": None}
        more = {"body": handed.form.get("Body"), "num_segments": "1", "num_media": "0", "date_sent": None}
        return {**shared, **more, "error_code": None, "error_message": None, "messaging_service_sid": None}

    async def _list(self, request: web.Request) -> web.Response:
        self.asked.append(str(request.rel_url))
        voice = request.path.endswith("Calls.json")
        found = [one for one in (self.calls if voice else self.texts) if one.to == request.query.get("To", one.to)]
        name = "calls" if voice else "messages"
        shown = [self._resource(one) for one in found] if self.lists_known else []
        return web.json_response({name: shown, "page": 0, "page_size": 50, "next_page_uri": None, "uri": request.path})

    async def _fetch(self, request: web.Request) -> web.Response:
        for one in (*self.texts, *self.calls):
            if one.sid == request.match_info["sid"]:
                return web.json_response(self._resource(one))
        return web.json_response({"code": 20404, "message": "no", "status": 404}, status=404)

    async def _delete(self, request: web.Request) -> web.Response:
        """Twilio forgets a text or a call."""
        self.deleted.append(request.match_info["sid"])
        return web.Response(status=204)

    async def _update(self, request: web.Request) -> web.Response:
        sid = request.match_info["sid"]
        self.updates.append((sid, dict(parse_qsl((await request.read()).decode()))))
        one = next(one for one in self.calls if one.sid == sid)
        return web.json_response(self._resource(one))

    async def _account(self, request: web.Request) -> web.Response:
        return web.json_response({"sid": ACCOUNT, "status": "active", "type": "Full", "friendly_name": "made up"})

    async def text(self, to: str, count: int = 1, *, seconds: float = 30.0) -> Handed:
        """The so-manieth text to a number, once it is there."""
        return (await eventually(lambda: self._to(self.texts, to, count), seconds, "no such text"))[count - 1]

    async def call(self, to: str, count: int = 1) -> Handed:
        """The so-manieth call to a number, once it is there."""
        return (await eventually(lambda: self._to(self.calls, to, count)))[count - 1]

    def _to(self, kept: list[Handed], to: str, count: int) -> list[Handed] | None:
        found = [one for one in kept if one.to == to]
        return found if len(found) >= count else None

    def count(self, to: str) -> int:
        return sum(one.to == to for one in (*self.texts, *self.calls))

    async def post(self, url: str, fields: Mapping[str, str], *, signature: str | None = None) -> tuple[int, str]:
        """A callback, signed as Twilio does it unless a signature is given."""
        target = urldefrag(url).url
        made = cast("Any", RequestValidator(AUTH_TOKEN)).compute_signature(target, dict(fields))
        headers = {"X-Twilio-Signature": made if signature is None else signature}
        assert self.http is not None
        there = self.base + target.removeprefix(self.public) if target.startswith(self.public) else target
        async with self.http.post(there, data=dict(fields), headers=headers) as answer:
            return answer.status, await answer.text()

    async def report(self, handed: Handed, status: str, **fields: str) -> tuple[int, str]:
        """A status callback for a text or a call."""
        return await self.post(handed.form["StatusCallback"], self.news(handed, status, **fields))

    def news(self, handed: Handed, status: str, **fields: str) -> dict[str, str]:
        kind = ("CallSid", "CallStatus") if handed.sid.startswith("CA") else ("MessageSid", "MessageStatus")
        return {"AccountSid": ACCOUNT, kind[0]: handed.sid, kind[1]: status, "To": handed.to, "From": SENDER, **fields}

    async def inbound(self, number: str, words: str, **fields: str) -> tuple[int, str]:
        """A text that a person wrote."""
        sid = "SM" + hashlib.md5(f"{number}{words}{time.time()}".encode(), usedforsecurity=False).hexdigest()
        given = {"AccountSid": ACCOUNT, "MessageSid": sid, "From": number, "To": SENDER, "Body": words, **fields}
        return await self.post(self.public + "/callbacks/sms/inbound", given)

    async def picked_up(self, call: Handed, by: str) -> None:
        """The call is answered, and the machine detection says by whom."""
        await self.report(call, "in-progress")
        fields = {"AccountSid": ACCOUNT, "CallSid": call.sid, "AnsweredBy": by}
        await self.post(call.form["AsyncAmdStatusCallback"], fields)

    async def press(self, call: Handed, digits: str) -> tuple[int, str]:
        return await self.post(call.attribute("Gather", "action"), {**self.news(call, "in-progress"), "Digits": digits})


def cut(request: web.Request) -> web.Response:
    """The line drops without an answer, unless the other side has gone already."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def port_of(runner: web.AppRunner) -> int:
    return cast("tuple[str, int]", runner.addresses[0])[1]


def path_of(url: str) -> str:
    """Path and query of a link."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
