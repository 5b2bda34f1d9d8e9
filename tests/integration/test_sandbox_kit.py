"""What the sandbox's tests share: a webhook that listens, and a sandbox whose delays take no time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from msgspec import Struct, field
from multidict import MultiDict, MultiDictProxy
from twilio.request_validator import RequestValidator

from gateway.sandbox.app import Sandbox, SandboxConfig

ACCOUNT = "AC" + "0" * 32
TOKEN = "an-auth-token"
FROM = "+15005550006"


class Heard(Struct):
    """A request that reached the webhook."""

    method: str
    url: str
    path: str
    query: dict[str, str]
    form: MultiDict[str]
    body: str
    headers: dict[str, str]

    @property
    def signed(self) -> bool:
        validator: Any = RequestValidator(TOKEN)
        return bool(validator.validate(self.url, self.form, self.headers.get("X-Twilio-Signature", "")))


Answer = Callable[[Heard], str | tuple[int, str]]


class Hook(Struct):
    """A web server that remembers what it was told; ``answers`` maps a path to what it says."""

    base: str = ""
    heard: list[Heard] = field(default_factory=list[Heard])
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        post: MultiDictProxy[Any] = (
            await request.post() if "form" in request.content_type else MultiDictProxy(MultiDict())
        )
        heard = Heard(
            method=request.method,
            url=self.base + request.raw_path,
            path=request.path,
            query=dict(request.query),
            form=MultiDict((name, str(value)) for name, value in post.items()),
            body="" if "form" in request.content_type else await request.text(),
            headers=dict(request.headers),
        )
        self.heard.append(heard)
        self.news.set()
        said = self.answers.get(request.path, lambda _: "")(heard)
        status, text = (200, said) if isinstance(said, str) else said
        return web.Response(status=status, text=text, content_type="text/xml")

    def on(self, path: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.path == path]

    async def until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not fact():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def listening() -> AsyncGenerator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hook.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hook
    finally:
        await runner.cleanup()


@asynccontextmanager
async def sandbox(**config: Any) -> AsyncGenerator[tuple[Sandbox, Hook]]:
    """A sandbox and the webhook it is to call, as one block; delays are multiplied by nought."""
    async with listening() as hook:
        given: dict[str, Any] = {
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "public_url": hook.base,
            "time_scale": 0.0,
            "seed": 1,
        }
        box = Sandbox(SandboxConfig(**(given | config)))
        await box.start()
        try:
            yield box, hook
        finally:
            await box.stop()


@asynccontextmanager
async def browser() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_the_hook_hears_what_it_is_told() -> None:
    async with listening() as hook, browser() as session:
        hook.answers["/x"] = lambda heard: (202, heard.form["a"])
        async with session.post(hook.base + "/x?q=1", data={"a": "b"}) as answer:
            assert (answer.status, await answer.text()) == (202, "b")
        await hook.until(lambda: len(hook.on("/x")) == 1)
        assert hook.heard[0].query == {"q": "1"}
        assert not hook.heard[0].signed
