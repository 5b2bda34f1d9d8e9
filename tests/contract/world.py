"""A gateway in a process of its own between made-up carriers, and a client for it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import aiohttp
import msgspec
from aiohttp import web
from aiosmtpd.smtp import SMTP

from tests.contract.client import Api
from tests.contract.waiting import eventually
from tests.contract.wire import ACCOUNT, AUTH_TOKEN, SENDER, Twilio, port_of
from tests.contract.wire_other import WECHAT_TOKEN, Mail, WeChat
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
ALL = "send,customers,read,operate,admin"
_numbers = itertools.count(random.randrange(10_000, 80_000) * 10)


def in_time(**ahead: float) -> str:
    """So much from now, as RFC 3339."""
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def fresh(prefix: str = "+30694") -> str:
    """A number that nobody else has, never a magic one."""
    return f"{prefix}{next(_numbers):06d}9"


class Person(msgspec.Struct, frozen=True):
    """A customer who is stored, and where to find them."""

    id: str
    number: str
    email: str
    openid: str


class Gateway:
    """`gateway serve` as a subprocess, and commands beside it."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder, self.variables = folder, variables
        self.base = f"http://{HOST}:{variables['GATEWAY_HTTP_PORT']}"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *arguments: str) -> None:
        with (self.folder / "log.txt").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", *(arguments or ("serve",)), cwd=self.folder, env=self.variables,
                stdout=log, stderr=log,
            )  # fmt: skip

    async def ready(self, http: aiohttp.ClientSession) -> None:
        process = self.process

        async def look() -> bool:
            assert process is not None
            assert process.returncode is None, self.log()
            with contextlib.suppress(aiohttp.ClientConnectionError):
                async with http.get(self.base + "/readyz") as answer:
                    return answer.status == 200
            return False

        await eventually(look, 90.0, self.log)

    def log(self) -> str:
        return (self.folder / "log.txt").read_text(errors="replace")

    async def stop(self, with_signal: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(with_signal)
            try:
                await asyncio.wait_for(self.process.wait(), 40)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        return self.process.returncode or 0

    async def command(self, *arguments: str, seconds: float = 60) -> tuple[int, str, str]:
        """Run `gateway …` to its end: status, output, errors."""
        return await run(self.folder, self.variables, *arguments, seconds=seconds)

    async def key(self, scopes: str = ALL, mode: str = "live") -> str:
        made = ("keys", "create", "--name", "t", "--scopes", scopes, "--mode", mode, "--json")
        status, out, err = await self.command(*made)
        assert status == 0, out + err
        return msgspec.json.decode(out)["key"]


async def run(
    folder: Path, variables: dict[str, str], *arguments: str, seconds: float = 60, given: bytes = b""
) -> tuple[int, str, str]:
    """`gateway …` with such variables, to its end."""
    # Files, not pipes: whatever it leaves running would keep a pipe open, and us waiting for its end.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as wrong:
        said.write(given)
        said.seek(0)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *arguments, cwd=folder, env=variables, stdin=said, stdout=told, stderr=wrong,
        )  # fmt: skip
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            raise AssertionError(
                f"gateway {' '.join(arguments)} went on for {seconds} s: {_whole(told, wrong)}"
            ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.wait_for(process.wait(), 10)
        out, err = _whole(told, wrong)
    return process.returncode or 0, out, err


def _whole(*files: IO[bytes]) -> list[str]:
    for file in files:
        file.seek(0)
    return [file.read().decode() for file in files]


def variables(folder: Path, **settings: object) -> dict[str, str]:
    """The environment of a gateway on ports of its own; `settings` without their prefix, None takes one away."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    names = ("HTTP_PORT", "CONSOLE_PORT", "PHONES_PORT", "BOUNCE_PORT")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    given: dict[str, object] = {"DATA_DIR": folder / "var", **ports, **settings}
    given.setdefault("PUBLIC_URL", f"http://{HOST}:{given['HTTP_PORT']}")
    mine = {f"GATEWAY_{name}": str(value) for name, value in given.items() if value is not None}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "120", **mine}


class World(msgspec.Struct):
    """The gateway, its carriers, and keys."""

    gateway: Gateway
    http: aiohttp.ClientSession
    twilio: Twilio
    mail: Mail
    wechat: WeChat
    api: Api
    made: int = 0

    async def key(self, *scopes: str, mode: str = "live", **more: object) -> Api:
        """A client with a new key."""
        made = await self.api(
            "POST", "/v1/keys", {"name": "t", "scopes": scopes or ALL.split(","), "mode": mode, **more}
        )
        assert made.status == 201, made
        return Api(self.http, self.gateway.base, made.body["key"])

    async def person(self, *channels: str, preferences: Any = None, number: str = "", **profile: Any) -> Person:
        """A new customer with addresses on these channels."""
        self.made += 1
        number = number or fresh()
        one = Person(f"c{self.made}-{number[1:]}", number, f"p{number[1:]}@example.org", f"oPen{number[1:]}")
        values = {"sms": number, "voice": number, "email": one.email, "wechat": one.openid}
        addresses = [{"channel": name, "value": values[name]} for name in channels or ("sms",)]
        stored = await self.api("PUT", f"/v1/customers/{one.id}", {"addresses": addresses, "locale": "en", **profile})
        assert stored.status == 201, stored
        if preferences is not None:
            kept = await self.api("PUT", f"/v1/customers/{one.id}/preferences", preferences)
            assert kept.status in {200, 201}, kept
        return one

    async def send(
        self, to: Person | str, text: str = "Power cut tonight.", *, api: Api | None = None, **message: Any
    ) -> Any:
        """An accepted message to a customer."""
        given: dict[str, Any] = {"customer": to.id if isinstance(to, Person) else to, "category": "outage"}
        if "template" not in message:
            given["content"] = {"subject": "Power cut", "text": text}
        answer = await (api or self.api)("POST", "/v1/messages", given | message)
        assert answer.status == 202, answer
        return answer.body

    async def get(self, message: Any, *, api: Api | None = None) -> Any:
        """The message as it is now."""
        answer = await (api or self.api)("GET", f"/v1/messages/{message['id']}")
        assert answer.status == 200, answer
        return answer.body

    async def when(
        self, message: Any, fits: Callable[[Any], object], seconds: float = 30.0, *, api: Api | None = None
    ) -> Any:
        """The message, as soon as it fits."""
        seen: list[Any] = []

        async def look() -> Any:
            seen[:] = [await self.get(message, api=api)]
            return seen[0] if fits(seen[0]) else None

        return await eventually(look, seconds, lambda: seen)

    async def done(self, message: Any, seconds: float = 30.0, *, api: Api | None = None) -> Any:
        """The message once it is done."""
        return await self.when(message, lambda one: one["status"] == "done", seconds, api=api)


def settings(twilio: Twilio, twilio_url: str, mail: Mail, wechat_url: str) -> dict[str, object]:
    """Settings for all four channels, at the made-up carriers."""
    return {
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "TWILIO_SMS_FROM": SENDER,
        "TWILIO_VOICE_FROM": SENDER,
        "TWILIO_API_BASE": twilio_url,
        "SMTP_URL": f"smtp://{HOST}:{mail.port}?starttls=never",
        "EMAIL_FROM": "Power <power@example.org>",
        "EMAIL_BOUNCE_DOMAIN": "bounces.example.org",
        "WECHAT_APP_ID": "wx0123456789",
        "WECHAT_APP_SECRET": "contract-wechat-secret",
        "WECHAT_TOKEN": WECHAT_TOKEN,
        "WECHAT_API_BASE": wechat_url,
        "DEFAULT_QUIET_HOURS": "none",
    }


@contextlib.asynccontextmanager
async def world(folder: Path, *, serve: tuple[str, ...] = ("serve",), **more: object) -> AsyncGenerator[World]:
    """Everything started; ended afterwards. `more`: settings beside the usual ones; `serve`: how it is started."""
    async with contextlib.AsyncExitStack() as stack:
        twilio, mail, wechat = Twilio(), Mail(), WeChat()
        urls: list[str] = []
        for app in (twilio.app, wechat.app):
            runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, HOST, 0).start()
            urls.append(f"http://{HOST}:{port_of(runner)}")
        relay = await asyncio.get_running_loop().create_server(
            lambda: SMTP(mail, hostname="relay.example", enable_SMTPUTF8=True), HOST, 0
        )
        stack.callback(relay.close)
        mail.port = relay.sockets[0].getsockname()[1]
        given = variables(folder, **{**settings(twilio, urls[0], mail, urls[1]), **more})
        gateway = Gateway(folder, given)
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        twilio.http = wechat.http = http
        twilio.base = wechat.base = gateway.base
        twilio.public = given["GATEWAY_PUBLIC_URL"]
        await gateway.start(*serve)
        stack.push_async_callback(gateway.stop)
        stack.callback(twilio.release.set)
        await gateway.ready(http)
        key = await gateway.key()
        yield World(gateway, http, twilio, mail, wechat, Api(http, gateway.base, key))
