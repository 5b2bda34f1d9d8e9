"""A whole gateway in this process, with look-alike carriers: spoken to by HTTP, looked at from the carriers' side."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import msgspec

from gateway.message import Mode
from gateway.sandbox.app import Sandbox
from gateway.sandbox.behaviour import Carrier, Fate, State
from gateway.sandbox.people import Sample, apply_samples
from gateway.sandbox_link import sandbox_config
from gateway.service import Service, sandboxed
from gateway.settings import load, with_sandbox
from gateway.settings_types import ChannelSettings
from gateway.store.api_keys import SCOPES, Scope
from tests.support.waiting import looked

HOST: Final = "127.0.0.1"
NOWHERE: Final = f"http://{HOST}:9"
SPEED: Final = 0.02
"""The carriers and the people live fifty times faster than real ones."""
CALLS_PER_SECOND: Final = 200.0
LOOK_S: Final = 0.05


class Answer(msgspec.Struct, frozen=True):
    """What the API answered."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Running:
    """A gateway that runs, and the world around it."""

    def __init__(self, service: Service, sandbox: Sandbox, http: aiohttp.ClientSession, key: str) -> None:
        self.service = service
        self.sandbox = sandbox
        self.http = http
        self.key = key
        self.url = service.settings.public_url

    async def api(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with the journey's own key unless another is given."""
        return await ask(self.http, self.url, key or self.key, method, path, json, headers=headers)

    async def send(self, customer: str | None, category: str = "outage", /, **more: Any) -> dict[str, Any]:
        """Send one message, which must be accepted; the message object. `key` as for `api`, the rest is its body."""
        key = more.pop("key", None)
        if "template" not in more and "content" not in more:
            more["content"] = {"subject": "News", "text": "The power is out."}
        body = {"category": category, **({"customer": customer} if customer else {}), **more}
        answer = await self.api("POST", "/v1/messages", body, key=key)
        assert answer.status == 202, answer
        return answer.body

    async def message(self, message_id: str, *, key: str | None = None) -> dict[str, Any]:
        """A message as it stands."""
        answer = await self.api("GET", f"/v1/messages/{message_id}", key=key)
        assert answer.status == 200, answer
        return answer.body

    async def ended(self, message_id: str, seconds: float = 15.0, *, key: str | None = None) -> dict[str, Any]:
        """A message once it is done."""
        return await self.when(message_id, lambda found: found["status"] == "done", seconds, key=key)

    async def when(
        self,
        message_id: str,
        condition: Callable[[dict[str, Any]], object],
        seconds: float = 30.0,
        *,
        key: str | None = None,
    ) -> dict[str, Any]:
        """A message once a condition holds for it."""
        last: dict[str, Any] = {}

        async def fits() -> bool:
            last.update(await self.message(message_id, key=key))
            return bool(condition(last))

        await until(fits, seconds, lambda: last)
        return last

    async def customer(
        self,
        customer_id: str,
        *,
        preferences: Mapping[str, Any] | None = None,
        consents: Sequence[Mapping[str, Any]] = (),
        time_zone: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        **addresses: str,
    ) -> None:
        """Store a customer; `sms="+30…"` and so on are the addresses, in their order."""
        found = [{"channel": channel, "value": value} for channel, value in addresses.items()]
        people = self.service.gateway.people
        profile: dict[str, Any] = {"name": "Somebody (sample)", "locale": "en", "addresses": found}
        if time_zone is not None:
            profile["time_zone"] = time_zone
        if attributes is not None:
            profile["attributes"] = dict(attributes)
        await people.put(customer_id, profile, expected=None)
        if preferences is not None:
            await people.put_preferences(customer_id, dict(preferences), expected=None)
        for consent in consents:
            await people.add_consent(customer_id, dict(consent))

    async def sample(self, *people: Sample) -> None:
        """Store sample customers and give them their devices and fates."""
        apply_samples(people, self.sandbox.world, self.sandbox.behaviour)
        for one in people:
            await self.service.gateway.people.put(one.id, one.customer, expected=None)
            await self.service.gateway.people.put_preferences(one.id, one.preferences, expected=None)

    async def new_key(self, mode: Mode = "live", scopes: Sequence[str] = SCOPES) -> str:
        """Another API key."""
        wanted: list[Scope] = [scope for scope in SCOPES if scope in scopes]
        _, text = await self.service.gateway.api_keys.create("journey", mode, wanted)
        return text

    def fate(self, carrier: str, address: str, fate: Fate) -> None:
        """What becomes of whatever a carrier is given for an address."""
        self.sandbox.behaviour.carrier_fates[Carrier(carrier), address] = fate

    def lets_it_ring(self, number: str) -> None:
        """A person whose phone rings for the full 25 real seconds, until somebody in the test answers it."""
        self.sandbox.world.device("phone", number).hands_on = True

    async def picks_up(self, number: str, key: str) -> None:
        """A person answers the call that rings, and presses a key once one is asked for."""
        calls = self.sandbox.world.calls
        await until(lambda: calls(number) and calls(number)[-1].status == "ringing")
        call = calls(number)[-1]
        session = self.sandbox.twilio.calls.sessions[call.id]
        session.answer()
        await until(lambda: call.wants_key)
        session.press(key)

    def switch(self, carrier: str, state: State) -> None:
        """Turn a whole carrier off and on."""
        self.sandbox.behaviour.switch(Carrier(carrier), state)

    def taken(self) -> dict[str, int]:
        """How many requests each carrier has accepted."""
        return dict(self.sandbox.world.accepted)

    async def texts_us(self, sender: str, words: str) -> None:
        """A person writes an SMS to the account's number; returns when the webhook has answered."""
        await self.sandbox.twilio.send_inbound_sms(sender, self.sandbox.twilio.number, words)


async def ask(
    http: aiohttp.ClientSession,
    base: str,
    key: str,
    method: str,
    path: str,
    json: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request to a gateway's API."""
    sent = {"Authorization": f"Bearer {key}", **(headers or {})}
    body = None
    if json is not None:
        body, sent["Content-Type"] = msgspec.json.encode(json), "application/json"
    async with http.request(method, base + path, data=body, headers=sent) as answer:
        raw = await answer.read()
        return Answer(answer.status, msgspec.json.decode(raw) if raw else None, dict(answer.headers))


async def until(
    condition: Callable[[], Awaitable[object]] | Callable[[], object],
    seconds: float = 30.0,
    seen: Callable[[], object] = lambda: "",
) -> None:
    """Wait until a condition holds; fails with what was `seen` last."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await looked(cast("Awaitable[object]", found), end, seen)
        if found:
            return
        assert loop.time() < end, f"not within {seconds} s: {seen()}"
        await asyncio.sleep(LOOK_S)


@contextlib.contextmanager
def kept_port() -> Generator[int]:
    """A port that nobody else is given meanwhile, for a listener with `reuse_port`."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((HOST, 0))
        yield holder.getsockname()[1]


@contextlib.asynccontextmanager
async def running(
    redis_url: str,
    folder: Path,
    *,
    time_scale: float = SPEED,
    channels: Mapping[str, ChannelSettings] | None = None,
    **settings: str,
) -> AsyncGenerator[Running]:
    """A gateway on ports of its own; `settings` are more variables, without their prefix. `folder`: its DATA_DIR."""
    async with contextlib.AsyncExitStack() as stack:
        port = stack.enter_context(kept_port())
        url = f"http://{HOST}:{port}"
        given = {
            "REDIS_URL": redis_url,
            "DATA_DIR": str(folder),
            "SECRET_KEY": secrets.token_hex(32),
            "HTTP_PORT": str(port),
            "CONSOLE_PORT": "0",
            "BOUNCE_PORT": "0",
            "DEFAULT_QUIET_HOURS": "none",
            **settings,
        }
        loaded = load({f"GATEWAY_{name}": value for name, value in given.items()}, folder, command="dev")
        draft = with_sandbox(loaded, twilio_base=NOWHERE, wechat_base=NOWHERE, smtp_url=f"smtp://{HOST}:9")
        sandbox = Sandbox(sandbox_config(draft, public_url=url, phones_port=None, time_scale=time_scale))
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        lines = {"voice": ChannelSettings(messages_per_second=CALLS_PER_SECOND), **(channels or {})}
        joined = msgspec.structs.replace(sandboxed(loaded, sandbox, url), channels=lines)
        service = Service(joined, redis_url, sandbox=sandbox, reuse_port=True)
        await service.start()
        stack.push_async_callback(service.stop)
        bounces = service._bounces  # pyright: ignore[reportPrivateUsage] - its port is picked by the system
        assert bounces is not None
        sandbox.mail.bounce = (HOST, bounces.port)
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        _, key = await service.gateway.api_keys.create("journey", "live", SCOPES)
        yield Running(service, sandbox, http, key)
