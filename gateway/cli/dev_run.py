"""`gateway dev` at work: look-alikes of the carriers, sample customers, a key, and the tour."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import msgspec

from gateway.app import Gateway
from gateway.channels.wechat import WeChatChannel
from gateway.channels.wechat_menu import menu
from gateway.cli import tour
from gateway.cli.common import err, fail, out
from gateway.cli.serve_run import stop_signal
from gateway.links import PREFERENCES, preference_payload
from gateway.people.people import People
from gateway.sandbox.app import Sandbox
from gateway.sandbox.people import Sample, samples
from gateway.sandbox_link import sandbox_config
from gateway.secret_box import purpose_key
from gateway.service import Service, nowhere, sandboxed
from gateway.settings_types import ChannelSettings, Settings
from gateway.store.api_keys import SCOPES, ApiKeys
from gateway.store.embedded import EmbeddedRedis

CALLS_PER_SECOND: Final = 20.0
ANA: Final = "ana"
PAGE_LIVES_S: Final = 30 * 86_400
"""The look-alike carrier takes more calls than a new Twilio account does."""


async def dev(settings: Settings, *, show_tour: bool, leave: bool) -> bool:
    """Everything on this machine, until a signal or, with `leave`, the tour's end; False if the tour came out wrong."""
    stopped = stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        url: str | None = settings.redis_url
        if url is None:
            server = EmbeddedRedis(settings.data_dir)
            url = await server.start()
            stack.push_async_callback(server.stop)
        people = samples()
        sandbox = await _sandbox(settings, people)
        stack.push_async_callback(sandbox.stop)
        service = Service(_paced(sandboxed(settings, sandbox, settings.public_url)), url, sandbox=sandbox)
        try:
            await service.start()
        except OSError as taken:
            fail(
                f"a port can't be opened: {taken}",
                "Set GATEWAY_HTTP_PORT, GATEWAY_CONSOLE_PORT or GATEWAY_BOUNCE_PORT.",
            )
        stack.push_async_callback(service.stop)
        with err.status("Loading sample customers"):
            await load_samples(service.gateway.people, people)
            await _menu(service.gateway)
        key = await _dev_key(service.gateway)
        _welcome(service, sandbox, key, await _page(service.gateway))
        good = True
        if show_tour:
            good = await tour.play(service, sandbox, key, people, stopped)
        if not leave:
            good = await service.ended(stopped) and good
        return good


async def _sandbox(settings: Settings, people: list[Sample]) -> Sandbox:
    draft = nowhere(settings)
    sandbox = Sandbox(
        sandbox_config(
            draft,
            public_url=settings.public_url,
            phones_port=settings.phones_port,
            people=people,
            bounce=(settings.http_host, settings.bounce_port),
            time_scale=1.0,
        )
    )
    try:
        await sandbox.start()
    except OSError as taken:
        await sandbox.stop()
        fail(f"the phones page's port can't be opened: {taken}", "Set GATEWAY_PHONES_PORT.")
    return sandbox


def _paced(settings: Settings) -> Settings:
    """Calls go out faster than a real account allows, unless the settings say otherwise."""
    own = settings.channels.get("voice", ChannelSettings())
    if own.messages_per_second is not None:
        return settings
    voice = msgspec.structs.replace(own, messages_per_second=CALLS_PER_SECOND)
    return msgspec.structs.replace(settings, channels={**settings.channels, "voice": voice})


async def load_samples(people: People, samples_: list[Sample]) -> None:
    """Store the sample customers that aren't there yet; what somebody changed since is left alone."""
    gate = asyncio.Semaphore(16)

    async def one(sample: Sample) -> None:
        async with gate:
            if await people.view(sample.id) is not None:
                return
            await people.put(sample.id, sample.customer, expected=None)
            await people.put_preferences(sample.id, sample.preferences, expected=None)
            for consent in sample.consents:
                await people.add_consent(sample.id, consent)

    await asyncio.gather(*(one(sample) for sample in samples_))


async def _menu(gateway: Gateway) -> None:
    """The look-alike of WeChat shows our menu on the phones."""
    channel = gateway.channels["live"].get("wechat")
    if isinstance(channel, WeChatChannel):
        await channel.set_menu(menu(None, gateway.settings.default_locale))


async def _dev_key(gateway: Gateway) -> str:
    """A key for trying things out, the same at every start: it follows from the installation's secret key."""
    text = ApiKeys.new_text("live", purpose_key(gateway.settings.secret_key, "dev key"))
    await gateway.api_keys.create("gateway dev", "live", SCOPES, text=text)
    return text


async def _page(gateway: Gateway) -> str:
    """Where the first sample customer says how to be reached."""
    found = await gateway.customers.load(ANA)
    born = 0 if found is None else found[0].created_at
    return gateway.links.url("p", PREFERENCES, preference_payload("live", ANA, born), PAGE_LIVES_S)


def _welcome(service: Service, sandbox: Sandbox, key: str, page: str) -> None:
    base = service.public_url
    head = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    body = (
        '{"customer": "ana", "category": "outage", "template": "outage-notice", '
        '"data": {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"}, '
        '"reach": {"until": "acknowledged", "step": 10, "within": 120}}'
    )
    lines = [
        f"[bold]Phones[/]   {sandbox.phones_url}   what the sample customers see",
        f"[bold]Ana[/]      {page}   where she says how to be reached",
        f"[bold]Console[/]  {service.console_url}",
        f"[bold]API[/]      {base}   documentation: {base}/docs",
        f"[bold]Key[/]      {key}",
    ]
    out.rule("Omnichannel gateway, on this machine alone")
    for line in lines:  # unbroken, however narrow the window is: they are copied
        out.print(line, highlight=False, soft_wrap=True)
    out.print("\nFor what the README and docs/ show:\n", style="dim")
    out.print(f"export GATEWAY={base} KEY={key}\n", highlight=False, markup=False, soft_wrap=True)
    out.print("Send Ana a notice, see what would happen, and see what became of it:\n", style="dim")
    for line in (
        f"curl {head} {base}/v1/messages -d '{body}'",
        f"curl {head} '{base}/v1/messages?dry_run=true' -d '{body}'",
        f"curl {head} '{base}/v1/messages?customer=ana'",
    ):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    out.print("\nCtrl-C stops everything.", style="dim")
