from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from gateway.check import Finding, faults_of, redis_findings, run_checks
from gateway.settings import Settings, load
from gateway.store.connect import ServerFacts
from gateway.store.embedded import EmbeddedRedis
from tests.support.wire import answering

SID = "AC" + "1" * 32


def clock() -> int:
    return time.time_ns() // 1_000_000


class Carrier:
    """Twilio's account page, WeChat's token call and a public URL, on one port; each answers as told."""

    def __init__(self) -> None:
        self.url = ""
        self.account = '{"status": "active"}'
        self.token: dict[str, object] = {"access_token": "t", "expires_in": 7200}
        self.health = 200
        self.hang = asyncio.Event()

    async def twilio(self, request: web.Request) -> web.Response:
        login = base64.b64encode(f"{SID}:right".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {login}":
            return web.json_response({"code": 20003}, status=401)
        return web.Response(text=self.account, content_type="application/json")

    async def wechat(self, request: web.Request) -> web.Response:
        assert await request.json() == {"grant_type": "client_credential", "appid": "wx1", "secret": "s"}
        return web.json_response(self.token)

    async def healthz(self, request: web.Request) -> web.Response:
        if self.health == 0:
            await self.hang.wait()
        return web.Response(status=self.health or 200)

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/2010-04-01/Accounts/{sid}.json", self.twilio)
        app.router.add_post("/cgi-bin/stable_token", self.wechat)
        app.router.add_get("/healthz", self.healthz)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner


@pytest.fixture
async def carrier() -> AsyncGenerator[Carrier]:
    made = Carrier()
    runner = await made.start()
    yield made
    made.hang.set()
    await runner.cleanup()


class Relay(Controller):
    """A mail relay on any free port that takes one login."""

    def _trigger_server(self) -> None:
        # The base class knocks at the port it was given, which is 0 here; the one taken is known by now.
        self.port = cast("asyncio.Server", self.server).sockets[0].getsockname()[1]
        super()._trigger_server()


def lets_in(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    # "Not handled" leaves the answer to the server.
    return AuthResult(success=data.password == b"right", handled=False)


@pytest.fixture
def relay() -> object:
    relay = Relay(object(), hostname="127.0.0.1", port=0, authenticator=lets_in, auth_require_tls=False)
    relay.start()
    yield relay
    relay.stop()


def configured(path: Path, **given: str) -> Settings:
    return load({f"GATEWAY_{name}": value for name, value in given.items()}, path)


def everything(path: Path, carrier: Carrier, smtp_port: int, password: str = "right") -> Settings:
    return configured(
        path,
        TWILIO_ACCOUNT_SID=SID,
        TWILIO_AUTH_TOKEN=password,
        TWILIO_SMS_FROM="+15005550006",
        TWILIO_API_BASE=carrier.url,
        WECHAT_APP_ID="wx1",
        WECHAT_APP_SECRET="s",
        WECHAT_TOKEN="t",
        WECHAT_API_BASE=carrier.url,
        SMTP_URL=f"smtp://u:{password}@127.0.0.1:{smtp_port}?starttls=never",
        EMAIL_FROM="a@example.com",
        PUBLIC_URL=carrier.url,
        ALLOWED_COUNTRIES="GR",
    )


async def says_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


def by_name(found: list[Finding]) -> dict[str, Finding]:
    assert all(finding.remedy for finding in found if finding.result != "ok")
    return {finding.name: finding for finding in found}


async def test_all_is_well(tmp_path: Path, carrier: Carrier, relay: Controller) -> None:
    redis = EmbeddedRedis(tmp_path / "var", max_memory=64 * 2**20)
    url = await redis.start()
    found = by_name(await run_checks(everything(tmp_path, carrier, relay.port), redis_url=url, clock=clock))
    await redis.stop()
    results = {name: finding.result for name, finding in found.items()}
    assert results == {
        "settings": "ok",
        "voice": "warn",
        "allowed_countries": "ok",
        "redis": "ok",
        "redis_memory": "ok",
        "redis_version": "ok",
        "redis_persistence": "ok",
        "redis_eviction": "ok",
        "clock": "ok",
        "public_url": "warn",
        "twilio": "ok",
        "email": "ok",
        "wechat": "ok",
    }
    assert "TWILIO_VOICE_FROM" in found["voice"].remedy
    assert "can't be reached from outside" in found["public_url"].detail


async def test_wrong_credentials_are_told_apart(tmp_path: Path, carrier: Carrier, relay: Controller) -> None:
    carrier.token = {"errcode": 40164, "errmsg": "invalid ip"}
    carrier.health = 502
    settings = everything(tmp_path, carrier, relay.port, password="wrong-3391")
    found = by_name(await run_checks(settings, redis_url="redis://127.0.0.1:1", clock=clock))
    assert (found["twilio"].result, found["twilio"].detail) == ("fault", "Twilio answers 401")
    assert (found["email"].result, found["email"].detail[-5:]) == ("fault", "(535)")
    assert "IP list" in found["wechat"].remedy
    assert found["redis"].result == "fault"
    assert found["public_url"].result == "warn"
    assert "502" in found["public_url"].detail
    assert "wrong-3391" not in msgspec.json.encode(list(found.values())).decode()


async def test_a_suspended_account_and_nothing_listening(tmp_path: Path, carrier: Carrier) -> None:
    carrier.account = '{"status": "suspended"}'
    carrier.token = {}
    found = by_name(await run_checks(everything(tmp_path, carrier, 1), redis_url=None, clock=clock))
    assert found["twilio"].detail == "the account is suspended"
    assert found["email"].result == "fault"
    assert found["wechat"].detail == "WeChat answers 200 without a token"
    assert (found["redis"].result, "embedded" in found["redis"].detail) == ("ok", True)


async def test_what_hangs_is_given_up(tmp_path: Path, carrier: Carrier) -> None:
    carrier.health = 0
    async with answering(says_nothing) as port:
        settings = everything(tmp_path, carrier, port)
        found = by_name(await run_checks(settings, redis_url=f"redis://127.0.0.1:{port}", clock=clock, seconds=0.4))
    assert found["redis"].detail == "no answer within 0.4 s"
    assert found["email"].result == "fault"
    assert "nothing answers" in found["public_url"].detail


async def test_the_sandbox_asks_no_provider(tmp_path: Path, carrier: Carrier) -> None:
    settings = msgspec.structs.replace(everything(tmp_path, carrier, 1, "wrong"), sandbox=True, allowed_countries=None)
    found = by_name(await run_checks(settings, redis_url=None, clock=clock))
    assert set(found) == {"settings", "sandbox", "allowed_countries", "redis", "public_url"}
    assert found["sandbox"].result == found["allowed_countries"].result == "warn"
    assert found["public_url"].result == "ok"


async def test_names_that_do_not_resolve(tmp_path: Path) -> None:
    settings = configured(tmp_path, PUBLIC_URL="http://gateway.invalid", SECRET_KEY="only-so-long")
    found = by_name(await run_checks(settings, redis_url=None, clock=clock))
    assert found["public_url"].detail == "gateway.invalid isn't in the DNS"
    assert found["secret_key"].result == "warn"


GOOD = ServerFacts(
    name="valkey",
    version=(7, 2, 4),
    appendonly=True,
    appendfsync="always",
    eviction="noeviction",
    max_memory=0,
    used_memory=1,
    role="master",
    replicas=0,
    skew_ms=3,
)


@pytest.mark.parametrize(
    "change,name,result",
    [
        ({"version": (7, 0, 15)}, "redis_version", "fault"),
        ({"appendonly": False}, "redis_persistence", "fault"),
        ({"appendfsync": "everysec"}, "redis_persistence", "warn"),
        ({"appendfsync": "everysec", "replicas": 1}, "redis_persistence", "ok"),
        ({"appendfsync": None}, "redis_persistence", "warn"),
        ({"eviction": "allkeys-lru"}, "redis_eviction", "fault"),
        ({"skew_ms": -5001}, "clock", "fault"),
        ({"skew_ms": 5000}, "clock", "ok"),
    ],
)
def test_what_a_server_says(change: dict[str, object], name: str, result: str) -> None:
    assert all(finding.result == "ok" for finding in redis_findings(GOOD))
    found = {finding.name: finding.result for finding in redis_findings(msgspec.structs.replace(GOOD, **change))}
    assert found.pop(name) == result
    assert set(found.values()) == {"ok"}


def test_refused_settings_are_faults_too() -> None:
    assert [finding.result for finding in faults_of(["GATEWAY_X: bad"])] == ["fault"]


@pytest.mark.parametrize(
    "toml, more, told",
    [
        ("", {"allowed_countries": None}, "warn"),
        ("", {}, None),
        ("", {"allowed_countries": None, "missing": {"sms": "set …", "voice": "set …"}}, None),
        ('[limits]\nper_customer_per_day = 9\nper_country_per_day = { "*" = 50 }', {"allowed_countries": None}, "ok"),
    ],
)
async def test_texts_and_calls_to_everywhere_want_a_limit(
    tmp_path: Path, carrier: Carrier, toml: str, more: dict[str, Any], told: str | None
) -> None:
    (tmp_path / "gateway.toml").write_text(toml)
    settings = msgspec.structs.replace(everything(tmp_path, carrier, 1), **more)
    found = by_name(await run_checks(settings, redis_url=None, clock=clock))
    assert (found["limits"].result if "limits" in found else None) == told
    if told == "ok":
        assert found["limits"].detail == "per_customer_per_day 9, per_country_per_day {'*': 50}"
