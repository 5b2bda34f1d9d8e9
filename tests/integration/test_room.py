"""Memory runs short: what is new is refused in time, and what ends or frees goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from gateway.app import Gateway
from gateway.check import memory_finding, run_checks
from gateway.delivery.intake import NewMessage, NoRoom
from gateway.delivery.metrics import Metrics
from gateway.delivery.room import Room
from gateway.store.connect import connect
from gateway.store.memory import MIB, Memory, fullest
from tests.support.redis_nodes import cluster
from tests.support.running import Answer, ask
from tests.support.web_gateway import gateway_on, public, settings
from tests.support.web_parts import bearer

BALLAST: Final = 16 * MIB
KEY_OF_SLOT_7000: Final = "k4798"
ANA: Final = {"locale": "en", "addresses": [{"channel": "sms", "value": "+306912345678"}]}
TEMPLATE: Final = {"category": "service", "content": {"en": {"text": "Hello."}}}


def message(category: str = "service", **more: Any) -> dict[str, Any]:
    return {"customer": "c-1", "category": category, "content": {"text": "News."}, **more}


class Api:
    """The API of a gateway whose server's limit a test moves."""

    def __init__(
        self, gateway: Gateway, session: aiohttp.ClientSession, headers: Mapping[str, str], redis: Any
    ) -> None:
        self.gateway = gateway
        self._session = session
        self._headers = headers
        self._redis = redis

    async def filled(self, share: float) -> None:
        """The server's memory is filled to about that share, and the gateway has looked."""
        used = (await self._redis.info("memory"))["used_memory"]
        await self._redis.config_set("maxmemory", int(used / share))
        await self.gateway.room.once()

    async def __call__(self, method: str, path: str, json: Any = None, **headers: str) -> Answer:
        return await ask(self._session, "", "", method, path, json, headers={**self._headers, **headers})


@pytest.fixture
async def api(redis_url: str, redis_client: Redis) -> AsyncGenerator[Api]:
    redis = cast("Any", redis_client)
    before = (await redis.config_get("maxmemory"))["maxmemory"]
    await redis.set("ballast", b"x" * BALLAST)
    async with gateway_on(redis_url) as gateway, public(gateway) as session:
        api = Api(gateway, session, await bearer(gateway, "admin"), redis)
        assert (await api("PUT", "/v1/customers/c-1", ANA)).status == 201
        try:
            yield api
        finally:
            await redis.config_set("maxmemory", before)


async def test_bulk_is_refused_first(api: Api) -> None:
    await api.filled(0.75)
    refused = await api("POST", "/v1/messages", message("survey"))
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "30"
    assert refused.body["type"] == "/problems/too-many-requests"
    assert "Redis' memory is at 7" in refused.body["detail"]
    assert "give Redis more memory" in refused.body["detail"]
    lowered = await api("POST", "/v1/messages", message(priority="bulk"))
    assert lowered.status == 429
    assert (await api("POST", "/v1/messages", message())).status == 202
    assert (await api("POST", "/v1/messages", message("outage"))).status == 202


async def test_in_a_batch_each_bulk_message_is_refused_alone(api: Api) -> None:
    await api.filled(0.75)
    kinds = ["survey", "service", "outage", "survey"]
    answer = await api("POST", "/v1/messages/batch", {"messages": [message(kind) for kind in kinds]})
    assert answer.status == 202
    found = [one["problem"]["status"] if "problem" in one else 202 for one in answer.body["results"]]
    assert found == [429, 202, 202, 429]


async def test_a_refused_key_is_free_for_later(api: Api) -> None:
    await api.filled(0.75)
    assert (await api("POST", "/v1/messages", message("survey"), **{"Idempotency-Key": "k"})).status == 429
    await api.filled(0.5)
    assert (await api("POST", "/v1/messages", message("survey"), **{"Idempotency-Key": "k"})).status == 202


async def test_nothing_new_comes_in_when_it_is_full(api: Api) -> None:
    sent = (await api("POST", "/v1/messages", message())).body["id"]
    await api.filled(0.9)
    news: list[tuple[str, str, Any]] = [
        ("POST", "/v1/messages", message("outage")),
        ("POST", "/v1/messages/batch", {"messages": [message("outage")]}),
        ("POST", f"/v1/messages/{sent}/retry", {}),
        ("PUT", "/v1/customers/c-2", ANA),
        ("PATCH", "/v1/customers/c-1", {"name": "Ana"}),
        ("PUT", "/v1/templates/t-1", TEMPLATE),
    ]
    for method, path, body in news:
        answer = await api(method, path, body)
        assert (answer.status, answer.headers.get("Retry-After")) == (503, "30"), path
        assert "nothing new is taken from 85%" in answer.body["detail"]
    imported = await api(
        "POST", "/v1/customers/import", {"id": "c-3", **ANA}, **{"Content-Type": "application/x-ndjson"}
    )
    assert imported.status == 503


async def test_readiness_says_so_and_stays(api: Api) -> None:
    """All hosts share one memory: to take them out of a load balancer would stop receipts and answers as well."""
    await api.gateway.roll.report()
    found = await api("GET", "/readyz")
    assert (found.status, found.body["status"], found.body["checks"]["memory"]) == (200, "ok", "ok")
    await api.filled(0.9)
    found = await api("GET", "/readyz")
    assert (found.status, found.body["status"]) == (200, "degraded")
    assert "nothing new is taken from 85%" in found.body["checks"]["memory"]
    await api.gateway.roll.leave()
    found = await api("GET", "/readyz")
    assert (found.status, found.body["status"]) == (503, "not ready")


async def test_what_ends_or_frees_goes_on_when_it_is_full(api: Api) -> None:
    first, second = [(await api("POST", "/v1/messages", message())).body["id"] for _ in range(2)]
    await api.filled(0.9)
    consent = {"channel": "sms", "category": "*", "state": "withdrawn", "way": "phone", "wording": "Stop."}
    wishes = {"categories": {"survey": {"enabled": False}}}
    goes_on: list[tuple[str, str, Any]] = [
        ("GET", f"/v1/messages/{first}", None),
        ("GET", "/v1/messages?customer=c-1", None),
        ("POST", "/v1/messages?dry_run=true", message()),
        ("POST", f"/v1/messages/{first}/cancel", None),
        ("POST", f"/v1/messages/{second}/acknowledge", {"by": "call centre"}),
        ("POST", "/v1/customers/c-1/consents", consent),
        ("PUT", "/v1/customers/c-1/preferences", wishes),
        ("GET", "/v1/customers/c-1/export", None),
    ]
    for method, path, body in goes_on:
        answer = await api(method, path, body)
        assert answer.status < 300, (path, answer)


async def test_the_door_doesnt_swing() -> None:
    room = Room(cast("Any", None), Metrics(CollectorRegistry()))
    seen = [0.69, 0.70, 0.66, 0.64, 0.69, 0.86, 0.81, 0.79, 0.66, 0.64, 0.90, 0.10]
    levels: list[str] = []
    for share in seen:
        room.take(Memory(int(share * 1000), 1000, bounded=True))
        levels.append(room.level)
    assert levels == [
        "open",
        "tight",
        "tight",
        "open",
        "open",
        "full",
        "full",
        "tight",
        "tight",
        "open",
        "full",
        "open",
    ]  # fmt: skip - in step with `seen`


async def test_the_watch_notices_and_figures_tell(api: Api) -> None:
    room = api.gateway.room
    watch = asyncio.create_task(room.run())
    await api.filled(0.75)
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    assert room.level == "tight"
    share = api.gateway.registry.get_sample_value("gateway_store_memory_ratio")
    assert share is not None
    assert 0.7 < share < 0.8


async def test_the_command_line_and_others_of_the_process_are_refused_alike(api: Api) -> None:
    await api.filled(0.9)
    intake = api.gateway.intake
    new = NewMessage(category="outage", customer="c-1", content={"text": "News."})
    with pytest.raises(NoRoom):
        await intake.accept("live", new, intake.origin())
    [made] = await intake.accept_many("live", [new], intake.origin())
    assert isinstance(made, NoRoom)


async def test_without_a_limit_the_machines_memory_counts(api: Api, redis_client: Redis) -> None:
    await cast("Any", redis_client).config_set("maxmemory", 0)
    memory = await fullest(redis_client)
    assert memory is not None
    assert not memory.bounded
    assert memory.most > 64 * MIB
    assert memory_finding(memory).result == "warn"


async def test_a_server_that_hides_info_refuses_nothing_and_the_check_says_so(api: Api, redis_url: str) -> None:
    await api.filled(0.9)
    assert api.gateway.room.level == "full"
    redis = cast("Any", api.gateway.client)
    await redis.execute_command("ACL", "SETUSER", "default", "-info")
    try:
        await api.gateway.room.once()
        assert (await api("POST", "/v1/messages", message("survey"))).status == 202
        found = await run_checks(settings(), redis_url=redis_url, clock=api.gateway.clock.now, seconds=2.0)
    finally:
        await redis.execute_command("ACL", "SETUSER", "default", "+info")
    assert {one.name: one.result for one in found}["redis_info"] == "warn"


async def test_a_server_that_is_away_changes_nothing(api: Api, tmp_path: Path) -> None:
    await api.filled(0.9)
    away: Any = Redis(unix_socket_path=str(tmp_path / "nobody"))
    room = Room(away, Metrics(CollectorRegistry()))
    room.take(Memory(90, 100, bounded=True))
    await room.once()
    assert room.level == "full"


@pytest.mark.parametrize("used, result", [(10, "ok"), (70, "fault"), (90, "fault")])
def test_the_check_says_how_full_it_is(used: int, result: str) -> None:
    assert memory_finding(Memory(used * MIB, 100 * MIB, bounded=True)).result == result


@pytest.mark.slow
async def test_of_a_cluster_the_fullest_node_counts() -> None:
    with cluster(replicas=0) as nodes:
        nodes.owner(7000).ask("SET", KEY_OF_SLOT_7000, b"x" * 8 * MIB)
        for primary in nodes.primaries:
            primary.ask("CONFIG", "SET", "maxmemory", 32 * MIB)
        client = await connect(nodes.url, max_connections=4)
        try:
            memory = await fullest(client)
        finally:
            await client.aclose()
    assert memory is not None
    assert memory.bounded
    assert memory.used > 8 * MIB
