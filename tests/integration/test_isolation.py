"""A record that kills the process it is worked on in: its neighbours go out, and it reaches the morgue (G11)."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from gateway.app import Gateway
from gateway.channels import registry
from gateway.delivery.intake import NewMessage
from gateway.isolated import Isolation, Workplace
from gateway.message import Attempt
from gateway.settings import load
from gateway.store.morgue import Morgue
from gateway.store.scripts import Scripts
from tests.data import deadly_channel
from tests.support.commands import Served, end, environment, ports, start
from tests.support.core import until, where
from tests.support.plugins import forgotten, install
from tests.support.running import ask

DEADLY, HARMLESS = "070-13", "070-1"
SECRET = secrets.token_hex(32)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """What `pip install example-deadly` leaves behind."""
    source = Path(str(deadly_channel.__file__)).read_bytes()
    install(tmp_path / "site", "example_deadly", source, "deadly = example_deadly:Deadly")
    with forgotten("example_deadly"):
        yield tmp_path / "site"


def wanted(folder: Path, *, hangs: bool = False) -> Path:
    """The settings file that turns the channel on; its ledger."""
    ledger = folder / "ledger.txt"
    ledger.touch()
    options = f'ledger = "{ledger}"\nhangs = {str(hangs).lower()}'
    (folder / "gateway.toml").write_text(f"[channels.deadly]\n{options}\n")
    return ledger


async def message(http: aiohttp.ClientSession, served: Served, key: str, address: str) -> str:
    """One message to somebody at an address; its id."""
    body = {"addresses": [{"channel": "deadly", "value": address}]}
    put = await ask(http, served.url, key, "PUT", f"/v1/customers/c{address}", body)
    assert put.status in (200, 201), put
    content = {"customer": f"c{address}", "category": "service", "content": {"text": "News."}}
    reach = {"reach": {"step": 4, "within": 600, "until": "delivered", "unproven": "go_on", "channels": ["deadly"]}}
    sent = await ask(http, served.url, key, "POST", "/v1/messages", content | reach)
    assert sent.status == 202, sent
    return sent.body["id"]


@pytest.mark.slow
async def test_what_kills_every_worker(redis_url: str, redis_client: Redis, tmp_path: Path, site: Path) -> None:
    ledger, client = wanted(tmp_path), _any(redis_client)
    given = {"REDIS_URL": redis_url, "SECRET_KEY": SECRET, "DEFAULT_QUIET_HOURS": "none", **ports()}
    variables = environment(tmp_path, **given)
    variables["PYTHONPATH"] += f":{site}"
    served = await start(tmp_path, ["serve"], variables)
    try:
        async with aiohttp.ClientSession() as http:
            key = await served.key()
            poison = await message(http, served, key, DEADLY)
            assert await asyncio.wait_for(served.process.wait(), 30) != 0, "the first worker that asks dies"
            await client.hset(where(poison).message(poison), "t", 1)  # and so did the next one
            await client.zadd(where(poison).agenda("normal"), {f"m:{poison}": 1})
            served = await start(tmp_path, ["serve"], variables)
            good = await message(http, served, key, HARMLESS)
            morgue = Morgue(Scripts(redis_client))

            async def buried() -> bool:
                return [one.member for one in await morgue.listed()] == [f"m:{poison}"]

            await until(buried, 25)
            [one] = await morgue.listed()
            assert "killed by SIGKILL" in one.reason
            told = await ask(http, served.url, key, "GET", f"/v1/messages/{good}")
            assert told.body["attempts"][0]["status"] == "accepted", told.body
            assert served.process.returncode is None, "the worker lives on"
        assert sorted(ledger.read_text().split()) == [HARMLESS, DEADLY]
    finally:
        await end(served)


@pytest.mark.slow
async def test_what_never_ends(
    redis_url: str, redis_client: Redis, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted(tmp_path, hangs=True)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    given = {"GATEWAY_REDIS_URL": redis_url, "GATEWAY_SECRET_KEY": SECRET}
    settings = load(given, tmp_path, command="serve", plugins=registry.names())
    gateway = await Gateway.open(settings, redis_url)
    try:
        await gateway.people.put("c1", {"addresses": [{"channel": "deadly", "value": DEADLY}]})
        [sent] = await _sent(gateway)
        await _any(redis_client).zadd(where(sent).agenda("normal"), {f"m:{sent}": 1})
        haul = await gateway.scripts.take(where(sent).number, 10_000, {"normal": 1}, {})
        reason = await Isolation(Workplace(settings=settings, redis_url=redis_url), 4)(
            where(sent).number, haul.items[0]
        )
    finally:
        await gateway.close()
    assert reason is not None
    assert "did not end within 4 seconds" in reason


async def _sent(gateway: Gateway) -> list[str]:
    """A message whose answer was lost a while ago, so that the provider is asked next."""
    new = NewMessage(customer="c1", category="service", content={"text": "News."})
    made, _ = await gateway.intake.accept("live", new, gateway.intake.origin())
    now = gateway.clock.now()

    def lost(message: Any, _now: int) -> None:
        attempt = Attempt(id="a1", channel="deadly", address=DEADLY, lease_until=now - 1, times={"started": now - 9000})
        message.attempts = [attempt]

    settled = await gateway.desk.update(made.id, lost)
    assert settled is not None
    return [made.id]


async def test_what_can_be_worked_on_is(
    redis_url: str, tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = wanted(tmp_path)
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    given = {"GATEWAY_REDIS_URL": redis_url, "GATEWAY_SECRET_KEY": SECRET}
    settings = load(given, tmp_path, command="serve", plugins=registry.names())
    gateway = await Gateway.open(settings, redis_url)
    try:
        await gateway.people.put("c1", {"addresses": [{"channel": "deadly", "value": HARMLESS}]})
        new = NewMessage(customer="c1", category="outage", content={"text": "News."})
        made, _ = await gateway.intake.accept("live", new, gateway.intake.origin())
        at = where(made.id)
        haul = await gateway.scripts.take(at.number, 10_000, {"critical": 0}, {"deadly": (1, 1, 0)})
        place = Workplace(settings=settings, redis_url=redis_url)
        assert await Isolation(place)(at.number, msgspec.structs.replace(haul.items[0], abandoned=2)) is None
        loaded = await gateway.messages.load(made.id)
        assert loaded is not None
        assert [a.status for a in loaded.message.attempts] == ["accepted"]
    finally:
        await gateway.close()
    assert ledger.read_text().split() == [HARMLESS]


def _any(client: Redis) -> Any:
    return client  # redis-py's own types are partly unknown
