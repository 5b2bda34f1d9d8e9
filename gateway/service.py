"""One process of the gateway, running: its listeners, its worker, and what they need around them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from aiohttp import web
from redis.exceptions import RedisError

from gateway.app import Gateway
from gateway.delivery.returns import BounceServer, Returns
from gateway.delivery.worker import FINISH_S, Worker
from gateway.isolated import Isolation, Workplace
from gateway.settings import local_url, with_sandbox
from gateway.settings_types import ROLES, Role, Settings
from gateway.store.pipe import StoreUnavailable
from gateway.web.server import build_callbacks_app, build_console_app, build_public_app, runner

if TYPE_CHECKING:
    from gateway.sandbox.app import Sandbox

GRACE_S: Final = FINISH_S + 5.0
GC_THRESHOLDS: Final = (20_000, 50, 50)
"""Fewer collections than by default (700 or 2000, 10, 10): most of what a message leaves behind has no cycles."""

log = structlog.get_logger()


class Service:
    """Starts and stops one process's share of the work.

    `reuse_port`: several processes share the public port. A `sandbox` that is given carries everything; without one,
    processes that send or hear from providers run look-alikes of their own for test keys.
    """

    def __init__(
        self,
        settings: Settings,
        redis_url: str,
        roles: tuple[Role, ...] = ROLES,
        *,
        sandbox: Sandbox | None = None,
        reuse_port: bool = False,
    ) -> None:
        self.settings = settings
        self.roles = roles
        self._redis_url = redis_url
        self._shared_sandbox = sandbox
        self._reuse_port = reuse_port
        self._own_sandbox: Sandbox | None = None
        self._public: list[web.AppRunner] = []
        self._runners: list[web.AppRunner] = []
        self._worker: Worker | None = None
        self.failed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._bounces: BounceServer | None = None
        self._gateway: Gateway | None = None
        self.public_url = ""
        self.console_url = ""

    @property
    def gateway(self) -> Gateway:
        """The parts of this process. Raises RuntimeError before `start`."""
        if self._gateway is None:
            raise RuntimeError("the service has not been started")
        return self._gateway

    async def start(self) -> None:
        """Open everything, or nothing. Raises BadSettings, OSError for a taken port, redis' ConnectionError."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        # What is there by now stays: the collector, which took a tenth of the time, need not go through it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def _start(self) -> None:
        settings = self.settings
        place = await self._workplace()
        self._gateway = gateway = await Gateway.open(
            settings, self._redis_url, test_settings=place.test_settings, test_callback_base=place.test_callback_base
        )
        self._tasks += [asyncio.create_task(gateway.follower.run()), asyncio.create_task(gateway.room.run())]
        if "api" in self.roles or "callbacks" in self.roles:
            app = build_public_app(gateway, api="api" in self.roles, callbacks="callbacks" in self.roles)
            self.public_url = await self._serve(app, settings.http_port, share=self._reuse_port)
            self._public = self._runners[-1:]
        if "console" in self.roles:
            self.console_url = await self._serve(build_console_app(gateway), settings.console_port)
        if "callbacks" in self.roles and settings.smtp is not None:
            returns = Returns(settings, gateway.receipts, gateway.messages, gateway.customers, gateway.metrics)
            self._bounces = BounceServer(returns, gateway.clock)
            await self._bounces.start(settings.http_host, settings.bounce_port, share=self._reuse_port)
        if "worker" in self.roles:
            self._tasks += [asyncio.create_task(keep()) for keep in (gateway.housekeeper.run, gateway.erasures.run)]
            self._worker = gateway.worker(Isolation(place))
            self._tasks.append(asyncio.create_task(self._worker.run()))
            self._tasks[-1].add_done_callback(self._worker_ended)
        log.info("started", roles=list(self.roles), public=self.public_url, console=self.console_url)

    async def ended(self, stopped: asyncio.Event) -> bool:
        """Wait until somebody stops the process (True) or its worker has died (False)."""
        waits = [asyncio.create_task(event.wait()) for event in (stopped, self.failed)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        return not self.failed.is_set()

    def _worker_ended(self, task: asyncio.Task[None]) -> None:
        """A worker that ends by itself is a bug: the process must not go on looking alive."""
        if not task.cancelled() and task.exception() is not None:
            log.error("worker_died", exc_info=task.exception())
            self.failed.set()

    async def _workplace(self) -> Workplace:
        test_settings, base = await self._test_carriers()
        return Workplace(
            settings=self.settings, redis_url=self._redis_url, test_settings=test_settings, test_callback_base=base
        )

    async def _test_carriers(self) -> tuple[Settings | None, str]:
        """Look-alikes for test keys, with a callback address of their own that never leaves the machine."""
        if self._shared_sandbox is not None or self.settings.sandbox:
            return None, ""
        if "worker" not in self.roles:
            return nowhere(self.settings), ""
        # Here, because only a process that sends needs the look-alikes' code.
        from gateway.sandbox.app import Sandbox  # noqa: PLC0415 - as above
        from gateway.sandbox_link import sandbox_config  # noqa: PLC0415 - as above

        app = build_callbacks_app(lambda: self.gateway.test_callbacks)
        base = await self._serve(app, 0, host="127.0.0.1")
        draft = nowhere(self.settings)
        self._own_sandbox = Sandbox(sandbox_config(draft, public_url=base, phones_port=None))
        await self._own_sandbox.start()
        return sandboxed(self.settings, self._own_sandbox, base), base

    async def _serve(self, app: web.Application, port: int, *, host: str | None = None, share: bool = False) -> str:
        serving = runner(app)
        await serving.setup()
        self._runners.append(serving)
        site = web.TCPSite(serving, host or self.settings.http_host, port, reuse_port=share or None, backlog=1024)
        await site.start()
        name, real = serving.addresses[0][:2]
        return local_url(name, real)

    async def stop(self) -> None:
        """Take nothing more in, finish what is under way, close everything."""
        for serving in self._public:
            await serving.cleanup()
        if self._worker is not None:
            self._worker.stop()
            await asyncio.wait(self._tasks[-1:], timeout=GRACE_S)
        if self._worker is not None and self._gateway is not None:
            with contextlib.suppress(StoreUnavailable, RedisError):  # else the others see it by its silence
                await self._gateway.roll.leave()
        if self._bounces is not None:
            await self._bounces.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._own_sandbox is not None:
            await self._own_sandbox.stop()
        for serving in self._runners:
            await serving.cleanup()
        if self._gateway is not None:
            await self._gateway.close()
        gc.unfreeze()
        log.info("stopped")


def sandboxed(settings: Settings, sandbox: Sandbox, public_url: str) -> Settings:
    """Settings whose channels are the look-alikes of a running sandbox, and whose callbacks come to `public_url`."""
    changed = with_sandbox(
        settings, twilio_base=sandbox.twilio_base, wechat_base=sandbox.wechat_base, smtp_url=sandbox.smtp_url
    )
    return msgspec.structs.replace(changed, public_url=public_url)


def nowhere(settings: Settings) -> Settings:
    """Settings with all four channels, before their look-alikes have an address."""
    nobody = "http://127.0.0.1:9"
    return with_sandbox(settings, twilio_base=nobody, wechat_base=nobody, smtp_url="smtp://127.0.0.1:9")
