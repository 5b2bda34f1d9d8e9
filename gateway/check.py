"""What `gateway check` looks at: settings, Redis, providers' credentials, the public URL. It only reads, and sends nobody
anything.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, cast
from urllib.parse import urlsplit

import aiohttp
import aiosmtplib
import msgspec
from redis.exceptions import NoPermissionError, RedisError

from gateway.delivery.room import FULL, TIGHT
from gateway.redis_url import parse_redis_url
from gateway.settings import Settings, SmtpSettings, TwilioSettings, WeChatSettings
from gateway.settings_types import LimitSettings
from gateway.store.connect import ServerFacts, connect, server_facts
from gateway.store.memory import Memory, fullest
from gateway.store.server_binary import NoServerError, find_binary

Result = Literal["ok", "warn", "fault"]

SECONDS: Final = 5.0
SKEW_MS: Final = 5_000
_OLDEST: Final = (7, 2, 0)


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `remedy` says what to do unless the result is `ok`."""

    name: str
    result: Result
    detail: str
    remedy: str = ""


def faults_of(problems: list[str]) -> list[Finding]:
    """Findings for settings that were refused (`BadSettings.problems`)."""
    return [Finding("settings", "fault", problem, "correct this setting") for problem in problems]


async def run_checks(
    settings: Settings, *, redis_url: str | None, clock: Callable[[], int], seconds: float = SECONDS
) -> list[Finding]:
    """Looks at everything at once; no part takes longer than `seconds`.

    `redis_url`: the settings' own, or that of the embedded server when it runs, else None. `clock`: the wall clock in
    ms since the epoch.
    """
    # A little less than the whole, so that a part may still say in its own words that nothing answered.
    timeout = aiohttp.ClientTimeout(total=seconds * 0.9)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as http:
        parts: list[tuple[str, Awaitable[list[Finding]]]] = [
            ("redis", _redis(redis_url, clock, settings.redis_replicas)),
            ("public_url", _public_url(settings, http)),
        ]
        if not settings.sandbox:
            if settings.twilio is not None:
                parts.append(("twilio", _twilio(settings.twilio, http)))
            if settings.smtp is not None:
                parts.append(("email", _email(settings.smtp, seconds)))
            if settings.wechat is not None:
                parts.append(("wechat", _wechat(settings.wechat, http)))
        found = await asyncio.gather(*(_bounded(name, part, seconds) for name, part in parts))
    return [*_settings(settings), *(finding for group in found for finding in group)]


async def _bounded(name: str, part: Awaitable[list[Finding]], seconds: float) -> list[Finding]:
    try:
        async with asyncio.timeout(seconds):
            return await part
    except TimeoutError:
        remedy = "see that the address is right and that a firewall lets the connection through"
        return [Finding(name, "fault", f"no answer within {seconds:g} s", remedy)]


def _settings(settings: Settings) -> list[Finding]:
    found = [Finding("settings", "ok", "every setting can be read")]
    if len(settings.secret_key) < 32:
        found.append(Finding("secret_key", "warn", "shorter than 32 characters", "make SECRET_KEY longer"))
    if settings.sandbox:
        found.append(
            Finding("sandbox", "warn", "on: nothing leaves this machine", "set SANDBOX to false to send for real")
        )
    else:
        found += [Finding(name, "warn", "this channel doesn't exist", how) for name, how in settings.missing.items()]
    if settings.allowed_countries is None:
        remedy = "set ALLOWED_COUNTRIES to those of your customers, against toll fraud"
        found.append(Finding("allowed_countries", "warn", "messages and calls may go to every country", remedy))
    else:
        found.append(Finding("allowed_countries", "ok", ", ".join(settings.allowed_countries)))
    if settings.limits:
        found.append(Finding("limits", "ok", _limits(settings.limits)))
    elif (
        settings.allowed_countries is None and not settings.sandbox and not {"sms", "voice"} <= settings.missing.keys()
    ):
        remedy = "set [limits] in gateway.toml, so that a stolen API key can't run up a bill without end"
        found.append(Finding("limits", "warn", "texts and calls have no limit", remedy))
    return found


def _limits(limits: LimitSettings) -> str:
    given = msgspec.to_builtins(limits)
    return ", ".join(f"{name} {told}" for name, told in given.items() if told)


async def _redis(url: str | None, clock: Callable[[], int], replicas: int) -> list[Finding]:
    if url is None:
        try:
            binary = await asyncio.to_thread(find_binary)
        except NoServerError as none:
            return [Finding("redis", "fault", str(none), "install one, or set REDIS_URL")]
        version = ".".join(map(str, binary.version))
        return [Finding("redis", "ok", f"embedded, not running now; the gateway will start {binary.path} ({version})")]
    where = parse_redis_url(url).where
    try:
        client = await connect(url, max_connections=1, name="gateway-check")
        try:
            memory = memory_finding(await fullest(client))
            found = redis_findings(await server_facts(client, clock), replicas)
        except NoPermissionError:
            remedy = "let the gateway's user run INFO (ACL: +info): nothing is refused before memory is full without it"
            memory, found = Finding("redis_info", "warn", "the server hides INFO, so much can't be checked", remedy), []
        finally:
            await client.aclose()
    except (RedisError, OSError) as bad:
        return [Finding("redis", "fault", f"{where}: {bad}", "see that the server runs and that REDIS_URL is right")]
    return [Finding("redis", "ok", f"{where} answers"), memory, *found]


def memory_finding(memory: Memory | None) -> Finding:
    """How much room the fullest server has left."""
    if memory is None:
        remedy = "set maxmemory, so that new messages are refused before the machine runs out of memory"
        return Finding("redis_memory", "warn", "no maxmemory, and the server doesn't tell how much there is", remedy)
    if memory.share >= TIGHT:
        remedy = "give Redis more memory, or keep records for less long (RETENTION_MESSAGE_DAYS)"
        what = "everything new is" if memory.share >= FULL else "bulk messages are"
        return Finding("redis_memory", "fault", f"{memory}: {what} refused", remedy)
    if not memory.bounded:
        return Finding("redis_memory", "warn", str(memory), "set maxmemory: a machine without memory kills the server")
    return Finding("redis_memory", "ok", str(memory))


def redis_findings(facts: ServerFacts, replicas: int = 0) -> list[Finding]:
    """What a server's own facts mean for the gateway. `replicas`: how many the settings want."""
    version = ".".join(map(str, facts.version))
    new = facts.version >= _OLDEST
    found = [
        Finding("redis_version", "ok", f"{facts.name} {version}")
        if new
        else Finding("redis_version", "fault", f"{facts.name} {version}", "7.2 or newer is needed"),
        _persistence(facts),
    ]
    if facts.replicas < replicas:
        remedy = "start the others, or lower REDIS_REPLICAS: until then every message is refused with 503"
        found.append(Finding("redis_replicas", "fault", f"{facts.replicas} of {replicas} follow", remedy))
    elif replicas:
        found.append(Finding("redis_replicas", "ok", f"{facts.replicas} follow, {replicas} must acknowledge"))
    if facts.eviction in (None, "noeviction"):
        found.append(Finding("redis_eviction", "ok", facts.eviction or "the server doesn't tell"))
    else:
        remedy = "set maxmemory-policy noeviction: anything else throws accepted messages away when memory is full"
        found.append(Finding("redis_eviction", "fault", facts.eviction or "", remedy))
    skew = f"Redis is {abs(facts.skew_ms)} ms {'ahead' if facts.skew_ms > 0 else 'behind'}"
    if abs(facts.skew_ms) > SKEW_MS:
        found.append(Finding("clock", "fault", skew, "set both clocks by NTP: workers take nothing beyond 5 s"))
    else:
        found.append(Finding("clock", "ok", skew))
    return found


def _persistence(facts: ServerFacts) -> Finding:
    if not facts.appendonly:
        remedy = "set appendonly yes: without it a crash loses accepted messages"
        return Finding("redis_persistence", "fault", "no append-only file", remedy)
    if facts.appendfsync is None:
        return Finding("redis_persistence", "warn", "append-only file; how it is synced isn't told", "ask its operator")
    if facts.appendfsync != "always" and facts.replicas == 0:
        remedy = "set appendfsync always, or add a replica: a crash may lose the last second"
        return Finding("redis_persistence", "warn", f"appendfsync {facts.appendfsync}, no replica", remedy)
    return Finding("redis_persistence", "ok", f"appendfsync {facts.appendfsync}, {facts.replicas} replicas")


async def _twilio(twilio: TwilioSettings, http: aiohttp.ClientSession) -> list[Finding]:
    url = f"{twilio.api_base}/2010-04-01/Accounts/{twilio.account_sid}.json"
    login = base64.b64encode(":".join(twilio.login).encode()).decode()
    try:
        async with http.get(url, headers={"Authorization": f"Basic {login}"}, allow_redirects=False) as answer:
            if answer.status == 200:
                account = _object(await answer.read())
                if account.get("status") in (None, "active"):
                    return [Finding("twilio", "ok", "the account answers")]
                remedy = "open Twilio's console: it says how to lift this"
                return [Finding("twilio", "fault", f"the account is {account['status']}", remedy)]
            remedy = {
                401: "correct TWILIO_AUTH_TOKEN, or TWILIO_API_KEY and TWILIO_API_SECRET",
                404: "correct TWILIO_ACCOUNT_SID: there is no such account",
            }.get(answer.status, "try again later; see Twilio's status page")
            return [Finding("twilio", "fault", f"Twilio answers {answer.status}", remedy)]
    except aiohttp.ClientError as bad:
        return [Finding("twilio", "fault", f"{twilio.api_base}: {bad}", "see TWILIO_API_BASE and the way out to it")]


async def _email(smtp: SmtpSettings, seconds: float) -> list[Finding]:
    where = f"{smtp.host}:{smtp.port}"
    client = aiosmtplib.SMTP(
        hostname=smtp.host,
        port=smtp.port,
        use_tls=smtp.tls,
        start_tls={"required": True, "never": False, "offered": None}[smtp.starttls],
        timeout=seconds,
        local_hostname=smtp.from_address.rpartition("@")[2],
    )
    try:
        await client.connect()
        if smtp.user is not None and smtp.password is not None:
            await client.login(smtp.user, smtp.password)
        await client.quit()
    except aiosmtplib.SMTPAuthenticationError as bad:
        remedy = "correct the user and password in SMTP_URL"
        return [Finding("email", "fault", f"{where} refuses the login ({bad.code})", remedy)]
    except (aiosmtplib.SMTPException, OSError) as bad:
        remedy = "see host, port and TLS in SMTP_URL: 587 for smtp:// with STARTTLS, 465 for smtps://"
        return [Finding("email", "fault", f"{where}: {bad}", remedy)]
    finally:
        client.close()
    return [Finding("email", "ok", f"{where} answers" + (" and takes the login" if smtp.user else ""))]


async def _wechat(wechat: WeChatSettings, http: aiohttp.ClientSession) -> list[Finding]:
    # stable_token leaves the token that a running gateway uses valid; the older call would not.
    asked = {"grant_type": "client_credential", "appid": wechat.app_id, "secret": wechat.app_secret}
    try:
        async with http.post(f"{wechat.api_base}/cgi-bin/stable_token", json=asked, allow_redirects=False) as answer:
            told = _object(await answer.read())
            status = answer.status
    except aiohttp.ClientError as bad:
        return [Finding("wechat", "fault", f"{wechat.api_base}: {bad}", "see WECHAT_API_BASE and the way out to it")]
    if status == 200 and isinstance(told.get("access_token"), str):
        return [Finding("wechat", "ok", "the account gives a token")]
    code = told.get("errcode")
    remedy = {
        40013: "correct WECHAT_APP_ID",
        40125: "correct WECHAT_APP_SECRET",
        40164: "add this machine's address to the account's IP list in WeChat's console",
    }.get(code if isinstance(code, int) else 0, "see WECHAT_APP_ID and WECHAT_APP_SECRET")
    detail = f"WeChat answers errcode {code}" if code is not None else f"WeChat answers {status} without a token"
    return [Finding("wechat", "fault", detail, remedy)]


async def _public_url(settings: Settings, http: aiohttp.ClientSession) -> list[Finding]:
    url = settings.public_url
    parts = urlsplit(url)
    if _is_local(parts.hostname or "") and not settings.sandbox:
        remedy = "set PUBLIC_URL to the https address under which providers and customers reach the gateway"
        found = [Finding("public_url", "warn", f"{url} can't be reached from outside", remedy)]
    elif parts.scheme != "https" and not settings.sandbox:
        remedy = "use https: links and callbacks carry personal data"
        found = [Finding("public_url", "warn", f"{url} isn't encrypted", remedy)]
    else:
        found = []
    try:
        async with http.get(f"{url}/healthz", allow_redirects=False) as answer:
            status = answer.status
    except aiohttp.ClientConnectorDNSError:
        return [*found, Finding("public_url", "fault", f"{parts.hostname} isn't in the DNS", "correct PUBLIC_URL")]
    except aiohttp.ClientConnectorCertificateError:
        return [*found, Finding("public_url", "fault", f"{url}: its certificate isn't valid", "renew the certificate")]
    except (aiohttp.ClientError, TimeoutError):
        remedy = "start the gateway, or see the proxy in front of it"
        return [*found, Finding("public_url", "warn", f"nothing answers at {url}/healthz from here", remedy)]
    if status != 200:
        remedy = "start the gateway, or see where the proxy in front of it leads"
        return [*found, Finding("public_url", "warn", f"{url}/healthz answers {status}", remedy)]
    return found or [Finding("public_url", "ok", f"{url} answers")]


def _is_local(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def _object(body: bytes) -> dict[str, Any]:
    try:
        told: object = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return cast("dict[str, Any]", told) if isinstance(told, dict) else {}
