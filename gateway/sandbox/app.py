"""All carriers and the phones page together, for `gateway dev`, test keys and the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import aiohttp
from aiohttp import web
from msgspec import Struct, field

from .behaviour import Behaviour, Delays
from .clock import Clock, Tasks, wall_ms
from .people import Sample, apply_samples
from .smtp import Mailboxes
from .twilio import Twilio
from .wechat import WeChat
from .wechat_push import Pusher
from .world import World


class SandboxConfig(Struct, kw_only=True):
    """What the look-alikes need to know; ports of 0 are picked by the system.

    ``public_url`` is the gateway's own base address for incoming texts, calls and WeChat pushes. ``bounce`` is where
    delivery reports go. ``lively`` people answer texts that ask for it. ``time_scale`` multiplies every simulated delay, ``patience`` the waiting for real visitors.
    """

    account_sid: str = "AC00000000000000000000000000sandbox"
    auth_token: str = "sandbox-auth-token"  # noqa: S105 - the look-alike's own, worth nothing outside
    api_keys: dict[str, str] = field(default_factory=dict[str, str])
    number: str = "+15005550006"
    wechat_app_id: str = "wxsandbox00000000"
    wechat_secret: str = "sandbox-app-secret"  # noqa: S105 - as above
    wechat_token: str = "sandboxtoken"  # noqa: S105 - as above
    wechat_aes_key: str = ""
    wechat_templates: frozenset[str] = frozenset()
    smtp_login: tuple[str, str] | None = None
    public_url: str = ""
    sms_path: str = "/callbacks/sms/inbound"
    voice_path: str = "/callbacks/voice/inbound"
    wechat_path: str = "/callbacks/wechat"
    bounce: tuple[str, int] | None = None
    host: str = "127.0.0.1"
    twilio_port: int = 0
    wechat_port: int = 0
    smtp_port: int = 0
    phones_port: int | None = 0
    time_scale: float = 1.0
    patience: float = 1.0
    seed: int = 0
    history: int = 200
    devices: int = 10_000
    delays: Delays = field(default_factory=Delays)
    people: Sequence[Sample] = ()
    lively: bool = False
    now: Callable[[], int] = wall_ms


class Sandbox:
    """Starts and stops everything in the running loop."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self.clock = Clock(scale=self.config.time_scale, patience=self.config.patience, now=self.config.now)
        self.tasks = Tasks()
        self.world = World(self.clock, history=self.config.history, devices=self.config.devices)
        self.behaviour = Behaviour(seed=self.config.seed, delays=self.config.delays)
        self.behaviour.lively = self.config.lively
        self.behaviour.listeners.append(lambda: self.world.changed(None))
        apply_samples(self.config.people, self.world, self.behaviour)
        self.twilio_base = self.wechat_base = self.smtp_url = self.phones_url = ""
        self._runners: list[web.AppRunner] = []
        self._http: aiohttp.ClientSession | None = None
        self.twilio: Twilio
        self.wechat: WeChat
        self.mail: Mailboxes

    async def start(self) -> None:
        """Opens all ports; the addresses are known afterwards."""
        config, base = self.config, self.config.public_url.rstrip("/")
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        parts = (self.world, self.behaviour, self.clock, self.tasks)
        self.twilio = Twilio(
            *parts,
            self._http,
            account_sid=config.account_sid,
            auth_token=config.auth_token,
            api_keys=config.api_keys,
            inbound_sms_url=base and base + config.sms_path,
            inbound_voice_url=base and base + config.voice_path,
            number=config.number,
        )
        pusher = Pusher(
            self.world,
            self.behaviour,
            self.clock,
            self._http,
            url=base and base + config.wechat_path,
            token=config.wechat_token,
            app_id=config.wechat_app_id,
            aes_key=config.wechat_aes_key,
        )
        self.wechat = WeChat(
            *parts,
            pusher,
            app_id=config.wechat_app_id,
            secret=config.wechat_secret,
            templates=config.wechat_templates,
        )
        self.mail = Mailboxes(*parts, http=self._http, login=config.smtp_login, bounce=config.bounce)
        await self.mail.start(config.host, config.smtp_port)
        self.smtp_url = self.mail.url
        self.twilio_base = await self._serve(self.twilio.app, config.twilio_port)
        self.wechat_base = await self._serve(self.wechat.app, config.wechat_port)
        if config.phones_port is not None:
            from .phones import phones_app  # noqa: PLC0415 - a page for people: the look-alikes of test keys have none

            page = phones_app(self.world, self.behaviour, self.twilio, self.wechat, self.mail, self.tasks)
            self.phones_url = await self._serve(page, config.phones_port)

    async def _serve(self, app: web.Application, port: int) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, self.config.host, port).start()
        host, real = runner.addresses[0][:2]
        return f"http://[{host}]:{real}" if ":" in host else f"http://{host}:{real}"

    async def idle(self) -> None:
        """Returns when every receipt, call and push under way has ended."""
        await self.tasks.idle()

    async def stop(self) -> None:
        """Closes all ports and ends what is under way, also after a start that failed half-way."""
        await self.tasks.stop()
        mail: Mailboxes | None = getattr(self, "mail", None)
        if mail is not None:
            await mail.stop()
        for runner in reversed(self._runners):
            await runner.cleanup()
        self._runners.clear()
        if self._http is not None:
            await self._http.close()
            self._http = None
