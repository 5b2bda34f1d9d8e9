"""A counting look-alike of Twilio's messages: real protocol, signed callbacks, and a manner for each request.

It keeps count of the copies it took, by the ids in the status callback's address and by the text's own reference.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urldefrag

import aiohttp
import msgspec
from aiohttp import web
from twilio.request_validator import RequestValidator

from tests.support.running import HOST

ACCOUNT: Final = "AC" + "c4a05000" * 4
AUTH_TOKEN: Final = "chaos-auth-token-of-a-made-up-account"
SENDER: Final = "+447400123456"
CALLBACK_PAUSES: Final = (0.2, 0.5, 1.0)
"""Seconds before each repeat of a callback that failed (Twilio: connection overrides, `rc=3`)."""
REFERENCE: Final = re.compile(r"\[([\w.-]+)\]")
"""How a text carries its reference."""

_IDS: Final = re.compile(r"/status/([^/]+)/([^/#?]+)")


class Manner(msgspec.Struct, frozen=True):
    """How one request is treated. Times in seconds.

    `taken`: it counts as a copy. `answer`: `ok`, `drop` (the connection ends instead), `hang` (nothing comes), or a
    status. `news`: the status callbacks that follow. `twice`: each callback is sent two times.
    """

    taken: bool = True
    answer: str | int = "ok"
    delay: float = 0.0
    news: tuple[str, ...] = ("sent", "delivered")
    news_after: float = 0.02
    twice: bool = False


class Copy(msgspec.Struct, frozen=True):
    """One copy the carrier took. `at`: monotonic seconds."""

    sid: str
    message: str
    attempt: str
    reference: str
    to: str
    body: str
    callback: str
    made: float
    at: float


class Carrier:
    """The carrier. `manner` says how a request is treated; `arrived` is called before anything is answered.

    `under_way`: requests that have not been answered yet.
    """

    def __init__(self) -> None:
        self.copies: list[Copy] = []
        self.by_attempt: dict[str, Counter[str]] = defaultdict(Counter)
        self.by_message: Counter[str] = Counter()
        self.by_reference: dict[str, set[str]] = defaultdict(set)
        self.manner: Callable[[Copy], Manner] = lambda _copy: Manner()
        self.arrived: list[Callable[[Copy], Awaitable[None] | None]] = []
        self.statuses: Counter[int] = Counter()
        self.callbacks: Counter[str] = Counter()
        self.under_way = 0
        self.port = 0
        self._to: dict[str, list[Copy]] = defaultdict(list)
        self._numbers = itertools.count(1)
        self._news: set[asyncio.Task[None]] = set()
        self._let_go = asyncio.Event()
        self._validator: Any = RequestValidator(AUTH_TOKEN)
        self._http: aiohttp.ClientSession | None = None

    @property
    def last_at(self) -> float:
        """When the newest copy came, monotonic seconds; 0 before the first."""
        return self.copies[-1].at if self.copies else 0.0

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self.under_way += 1
        try:
            return await self._treat(request)
        finally:
            self.under_way -= 1

    async def _treat(self, request: web.Request) -> web.StreamResponse:
        form = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        copy = self._copy(form)
        manner = self.manner(copy)
        if manner.taken:
            self._count(copy)
        for hear in self.arrived:
            said = hear(copy)
            if said is not None:
                await said
        if manner.taken and copy.callback:
            self._start(self._tell(copy, manner))
        if manner.delay:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._let_go.wait(), manner.delay)
        if manner.answer == "hang":
            await self._let_go.wait()
        if manner.answer in ("hang", "drop"):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if isinstance(manner.answer, int):
            self.statuses[manner.answer] += 1
            headers = {"Retry-After": "1"} if manner.answer == 429 else {}
            code = {"code": 20429 if manner.answer == 429 else 20500, "message": "no", "status": manner.answer}
            return web.json_response(code, status=manner.answer, headers=headers)
        self.statuses[201] += 1
        return web.json_response(_resource(copy), status=201)

    def _copy(self, form: dict[str, str]) -> Copy:
        ids = _IDS.search(form.get("StatusCallback", ""))
        reference = REFERENCE.search(form["Body"])
        return Copy(
            sid=f"SM{next(self._numbers):032x}",
            message=ids[1] if ids else "",
            attempt=ids[2] if ids else "",
            reference=reference[1] if reference else "",
            to=form["To"],
            body=form["Body"],
            callback=urldefrag(form.get("StatusCallback", "")).url,
            made=time.time(),
            at=time.monotonic(),
        )

    def _count(self, copy: Copy) -> None:
        self.copies.append(copy)
        self._to[copy.to].append(copy)
        self.by_attempt[copy.message][copy.attempt] += 1
        self.by_message[copy.message] += 1
        self.by_reference[copy.reference].add(copy.message)

    def _start(self, news: Any) -> None:
        task = asyncio.get_running_loop().create_task(news)
        self._news.add(task)
        task.add_done_callback(self._news.discard)

    async def _tell(self, copy: Copy, manner: Manner) -> None:
        for status in manner.news:
            await asyncio.sleep(manner.news_after)
            fields = {"AccountSid": ACCOUNT, "MessageSid": copy.sid, "MessageStatus": status, "To": copy.to}
            for _ in range(1 + manner.twice):
                await self._post(copy.callback, {**fields, "From": SENDER})

    async def _post(self, url: str, fields: dict[str, str]) -> None:
        """One callback, repeated while nobody takes it, as Twilio does it."""
        headers = {"X-Twilio-Signature": self._validator.compute_signature(url, fields)}
        assert self._http is not None
        for pause in (*CALLBACK_PAUSES, None):
            try:
                async with self._http.post(url, data=fields, headers=headers) as answer:
                    await answer.read()
                    said = str(answer.status)
            except (aiohttp.ClientError, TimeoutError):
                said = "lost"
            self.callbacks[said] += 1
            if said in ("200", "204") or pause is None:
                return
            await asyncio.sleep(pause)

    async def _list(self, request: web.Request) -> web.Response:
        found = [_resource(one) for one in reversed(self._to.get(request.query.get("To", ""), []))]
        page = {"messages": found, "page": 0, "page_size": 100, "next_page_uri": None, "uri": request.path}
        return web.json_response(page)

    async def settled(self) -> None:
        """Wait until every callback has been taken or given up."""
        while self._news:
            await asyncio.wait(self._news)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncGenerator[Carrier]:
        """The carrier, listening."""
        root = f"/2010-04-01/Accounts/{ACCOUNT}"
        app = web.Application()
        app.add_routes([web.post(root + "/Messages.json", self._create), web.get(root + "/Messages.json", self._list)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        self.port = cast("tuple[str, int]", runner.addresses[0])[1]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as self._http:
            try:
                yield self
            finally:
                self._let_go.set()
                for task in tuple(self._news):
                    task.cancel()
                await asyncio.gather(*self._news, return_exceptions=True)
                await runner.cleanup()


def _resource(copy: Copy) -> dict[str, Any]:
    made = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(copy.made))
    return {
        "sid": copy.sid, "account_sid": ACCOUNT, "api_version": "2010-04-01", "to": copy.to, "from": SENDER,
        "status": "queued", "date_created": made, "date_updated": made, "date_sent": None, "price": None,
        "price_unit": "USD", "direction": "outbound-api", "body": copy.body, "num_segments": "1", "num_media": "0",
        "error_code": None, "error_message": None, "messaging_service_sid": None,
        "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{copy.sid}.json",
    }  # fmt: skip
