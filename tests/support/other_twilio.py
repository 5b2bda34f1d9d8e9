"""A provider of calls and texts that is not ours: written from Twilio's own pages, signing with Twilio's own library."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import aiohttp
from aiohttp import web
from twilio.request_validator import RequestValidator

SID: Final = "AC" + "0123456789abcdef" * 2
TOKEN: Final = "the-auth-token-of-somebody-else"
NUMBER: Final = "+302101234567"


class OtherTwilio:
    """`fails`: numbers whose texts end undelivered (30003). Every call is answered by a person who presses 1."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answered: list[tuple[str, int, str]] = []
        self.url = ""
        self._validator: Any = RequestValidator(TOKEN)
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession

    async def take(self, request: web.Request) -> web.Response:
        """POST Messages.json or Calls.json."""
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        form = {name: str(value) for name, value in (await request.post()).items()}
        kind = request.match_info["kind"]
        self.asked.append((kind, form))
        sid = ("SM" if kind == "Messages" else "CA") + f"{len(self.asked):032x}"
        task = asyncio.ensure_future(self._text(sid, form) if kind == "Messages" else self._call(sid, form))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        made = {
            "sid": sid,
            "status": "queued",
            "to": form["To"],
            "from": form.get("From"),
            "price": None,
            "num_segments": "1",
        }
        return web.json_response(made, status=201)

    async def _text(self, sid: str, form: Mapping[str, str]) -> None:
        ends = "undelivered" if form["To"] in self.fails else "delivered"
        for status in ("sent", ends):
            news = {"MessageSid": sid, "MessageStatus": status, "AccountSid": SID, "To": form["To"], "From": NUMBER}
            if status == "undelivered":
                news["ErrorCode"] = "30003"
            await self._post(form["StatusCallback"], news)

    async def _call(self, sid: str, form: Mapping[str, str]) -> None:
        common = {"CallSid": sid, "AccountSid": SID, "To": form["To"], "From": NUMBER}
        for status in ("ringing", "in-progress"):
            await self._post(form["StatusCallback"], {**common, "CallStatus": status})
        await self._post(form["AsyncAmdStatusCallback"], {**common, "AnsweredBy": "human"})
        action = re.search(r'<Gather[^>]* action="([^"]+)"', form["Twiml"])
        assert action is not None, form["Twiml"]
        await self._post(action[1].replace("&amp;", "&"), {**common, "CallStatus": "in-progress", "Digits": "1"})
        await self._post(form["StatusCallback"], {**common, "CallStatus": "completed", "CallDuration": "21"})

    async def _post(self, url: str, params: Mapping[str, str]) -> None:
        address = url.partition("#")[0]
        headers = {"X-Twilio-Signature": cast("str", self._validator.compute_signature(address, dict(params)))}
        async with self._http.post(address, data=params, headers=headers) as answer:
            self.answered.append((address, answer.status, await answer.text()))


@asynccontextmanager
async def other_twilio() -> AsyncGenerator[OtherTwilio]:
    """The provider on a free port."""
    made = OtherTwilio()
    app = web.Application()
    app.router.add_post(f"/2010-04-01/Accounts/{SID}/{{kind:Messages|Calls}}.json", made.take)
    runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as made._http:  # pyright: ignore[reportPrivateUsage] - its own factory
        try:
            yield made
        finally:
            await runner.cleanup()
            await asyncio.gather(*made._tasks, return_exceptions=True)  # pyright: ignore[reportPrivateUsage] - the same
