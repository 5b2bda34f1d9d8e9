"""Connections to Redis, with the client's own repeats switched off.

redis-py repeats a command ten times by default when a connection breaks, also one that the server has carried out. Here
nothing is ever repeated below us: a broken connection is an error, and whoever asked knows whether asking again is safe.
There is no socket time-out either: a read that blocks on purpose (WAIT, pub/sub) must not be killed by one. Callers put
`asyncio.timeout` around what must not hang; a cancelled command closes its connection. A peer that is gone is noticed
by the kernel within about ten seconds.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec
import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from gateway.redis_url import RedisTarget, parse_redis_url
from gateway.store.nodes import ClusterClient, Nodes
from gateway.store.stream import Replication

CONNECT_SECONDS: Final = 5.0
POOL_SECONDS: Final = 20.0
_DEAD_PEER_MS: Final = 10_000

log = structlog.get_logger()


async def connect(url: str, *, max_connections: int, name: str = "gateway") -> Redis:
    """Opens a client for any URL of the settings and proves it by a PING within 5 s.

    `max_connections`: at most so many at once; who comes then waits up to 20 s, on a cluster gets MaxConnectionsError.
    `redis+cluster://` gives a RedisCluster (of type Redis here: both take the same commands). Replies are bytes.
    Close with `aclose()`. Raises ValueError for a bad URL and redis' ConnectionError when nothing usable answers.
    """
    target = parse_redis_url(url)
    client = _client(target, max_connections, name)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await cast("Any", client).ping()  # the library's own types are partly unknown
    except TimeoutError:
        await client.aclose()
        raise RedisConnectionError(f"no answer from {target.where} within {CONNECT_SECONDS:g} s") from None
    except BaseException:
        await client.aclose()
        raise
    return client


def _client(target: RedisTarget, max_connections: int, name: str) -> Redis:
    common = _common(target, name)
    match target.kind:
        case "unix":
            return Redis.from_pool(
                BlockingConnectionPool(
                    max_connections=max_connections,
                    timeout=POOL_SECONDS,
                    connection_class=UnixDomainSocketConnection,
                    path=target.path,
                    db=target.db,
                    **common,
                )
            )
        case "single":
            host, port = target.hosts[0]
            return Redis.from_pool(_to_host(target, host, port, max_connections, common))
        case "sentinel":
            return _by_sentinel(target, max_connections, common)
        case "cluster":
            return _of_cluster(target, max_connections, common)


def _to_host(
    target: RedisTarget, host: str, port: int, max_connections: int, common: dict[str, Any]
) -> BlockingConnectionPool:
    return BlockingConnectionPool(
        max_connections=max_connections,
        timeout=POOL_SECONDS,
        connection_class=SSLConnection if target.tls else Connection,
        host=host,
        port=port,
        db=target.db,
        **common,
        **_tcp(),
        **_tls(target),
    )


def _common(target: RedisTarget, name: str) -> dict[str, Any]:
    return {
        "username": target.username,
        "password": target.password,
        "client_name": name,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None,
        "socket_connect_timeout": CONNECT_SECONDS,
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 3,
        # The handshake for a vendor's maintenance notices: one round trip more, and nothing here listens.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def _tcp() -> dict[str, Any]:
    options = {
        getattr(socket, option): value
        for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
        if hasattr(socket, option)
    }
    # Keep-alive probes aren't sent while data waits for its acknowledgement; this bounds that case (Linux).
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        options[socket.TCP_USER_TIMEOUT] = _DEAD_PEER_MS
    return {"socket_keepalive": True, "socket_keepalive_options": options}


def _tls(target: RedisTarget) -> dict[str, Any]:
    names = {"ca_file": "ssl_ca_certs", "cert_file": "ssl_certfile", "key_file": "ssl_keyfile"}
    return {names[option]: value for option, value in target.options.items() if option in names}


class _BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """The master's pool that waits for a free connection instead of refusing, and closes its sentinels with itself."""

    async def aclose(self) -> None:
        await super().aclose()
        await cast("Sentinel", self.sentinel_manager).aclose()


class _ManagedTls(SentinelManagedConnection, SSLConnection):
    """A connection to the master over TLS."""


def _by_sentinel(target: RedisTarget, max_connections: int, common: dict[str, Any]) -> Redis:
    options = target.options
    own = {
        "username": options.get("sentinel_user"),
        "password": options.get("sentinel_password"),
        "retry": Retry(NoBackoff(), 0),
        # One sentinel that hangs must not use up the time in which the next would answer.
        "socket_timeout": 1.0,
        "socket_connect_timeout": 1.0,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if target.tls:
        own |= {"ssl": True, **_tls(target)}
    sentinel = Sentinel(list(target.hosts), sentinel_kwargs=own)
    pool = _BlockingSentinelPool(
        target.master,
        sentinel,
        connection_class=_ManagedTls if target.tls else SentinelManagedConnection,
        max_connections=max_connections,
        timeout=POOL_SECONDS,
        db=target.db,
        **common,
        **_tcp(),
        **_tls(target),
    )
    return Redis.from_pool(pool)


def _of_cluster(target: RedisTarget, max_connections: int, common: dict[str, Any]) -> Redis:
    nodes = Nodes(target.hosts, lambda host, port: _to_host(target, host, port, max_connections, common))
    client = ClusterClient(
        nodes,
        startup_nodes=[ClusterNode(host, port) for host, port in target.hosts],
        max_connections=max_connections,
        ssl=target.tls,
        **common,
        **_tcp(),
        **_tls(target),
    )
    return cast("Redis", client)


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a Redis server says of itself. None: it doesn't let us ask (managed services hide CONFIG)."""

    name: str
    version: tuple[int, int, int]
    """Of the Redis it is compatible with; Valkey 9.1 says 7.2.4."""
    appendonly: bool
    appendfsync: str | None
    eviction: str | None
    max_memory: int
    """Bytes; 0: no limit."""
    used_memory: int
    role: str
    replicas: int
    """How many follow; of a cluster: the primary with the fewest."""
    skew_ms: int
    """Server's clock minus ours; positive when the server is ahead."""


async def server_facts(client: Redis, clock: Callable[[], int]) -> ServerFacts:
    """Asks a server (of a cluster: one of them) for what `gateway check` and the start want to know.

    `clock`: our wall clock in ms since the epoch. Raises redis' errors.
    """
    server = cast("Any", client)  # the library's own types are partly unknown
    info: dict[str, Any] = await server.info()
    before = clock()
    seconds, micros = await server.time()
    middle = (before + clock()) / 2
    config = await _config(server)
    return ServerFacts(
        name=str(info.get("server_name", "redis")),
        version=version_of(str(info.get("redis_version", ""))),
        appendonly=info.get("aof_enabled") == 1,
        appendfsync=config.get("appendfsync"),
        eviction=info.get("maxmemory_policy") or config.get("maxmemory-policy"),
        max_memory=int(info.get("maxmemory", 0)),
        used_memory=int(info.get("used_memory", 0)),
        role=str(info.get("role", "")),
        replicas=await followers(client),
        skew_ms=round(seconds * 1000 + micros / 1000 - middle),
    )


async def followers(client: Redis) -> int:
    """How many replicas follow the primary, on a cluster the primary with the fewest. Raises redis' errors."""
    server = cast("Any", client)  # the library's own types are partly unknown
    if isinstance(client, ClusterClient):
        found: Any = await server.info("replication", target_nodes=ClusterClient.PRIMARIES)
        every: list[dict[str, Any]] = [found] if "role" in found else list(found.values())
    else:
        every = [await server.info("replication")]
    return min(int(one.get("connected_slaves", 0)) for one in every)


async def warn_of_replicas(client: Redis, wanted: Replication) -> None:
    """Say in the log that fewer replicas follow than must acknowledge. Raises redis' errors."""
    if wanted.replicas and (found := await followers(client)) < wanted.replicas:
        log.warning("redis_replicas_missing", found=found, wanted=wanted.replicas)


async def _config(server: Any) -> dict[str, str]:
    try:
        found: dict[object, object] = await server.config_get("appendfsync", "maxmemory-policy")
    except RedisConnectionError:
        raise
    except RedisError:
        return {}
    return {_plain(key): _plain(value) for key, value in found.items()}


def _plain(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def version_of(text: str) -> tuple[int, int, int]:
    """The first three numbers of a version such as `7.2.4`; zeros for what is missing."""
    numbers = [int(part) for part in text.split(".")[:3] if part.isdigit()]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch
