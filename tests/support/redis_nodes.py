"""Real servers on loopback: alone, as primary and replicas, watched by sentinels, or as a cluster.

Each is a process of its own on a random port, with its own folder; see `redis_node.Node` for killing and freezing.
Everything here blocks for as long as a server needs to start (some 100 ms; a cluster 1-3 s).
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.store.server_binary import find_binary
from tests.support.ports import free_port
from tests.support.redis_node import Node, wait_for

__all__ = [
    "Cluster",
    "Node",
    "cluster",
    "in_step",
    "node",
    "replicated",
    "sentinel",
    "sentinels",
    "wait_for",
]

_PORT_TRIES: Final = 5


@contextlib.contextmanager
def node(
    folder: Path,
    *,
    options: Mapping[str, str] | None = None,
    replica_of: Node | None = None,
    binary: str | None = None,
    sentinel: bool = False,
    lines: Callable[[int], str] = lambda _: "",
) -> Generator[Node]:
    """A server that keeps its data and its log in `folder`, which must exist; without options nothing reaches the disk.

    `options`: as in the server's own configuration file. `lines`: more of that file, made from the port.
    """
    extra = {**({} if replica_of is None else {"replicaof": f"127.0.0.1 {replica_of.port}"}), **(options or {})}
    extra = extra if sentinel else {**_PLAIN, **extra}
    made = _started(folder, extra, lines, [binary or find_binary().path], ["--sentinel"] if sentinel else [])
    try:
        yield made
    finally:
        made.stop()


def _started(
    folder: Path, options: Mapping[str, str], lines: Callable[[int], str], before: list[str], after: list[str]
) -> Node:
    config = folder / "server.conf"
    for left in reversed(range(_PORT_TRIES)):
        port = free_port()
        own = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": f'"{folder}"',
            "logfile": f'"{folder / "log"}"',
            **options,
        }
        config.write_text("".join(f"{name} {value}\n" for name, value in own.items()) + lines(port))
        made = Node(folder, port, [*before, str(config), *after])
        try:
            made.start()
        except OSError:
            # Somebody else may have taken the port meanwhile.
            if not left or "in use" not in made.log():
                raise
        else:
            return made
    raise AssertionError("not reached")


_PLAIN: Final = {
    "save": '""',
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "hash-max-listpack-value": "2048",
    "stream-node-max-bytes": "512",
    # A replica that is new gets its copy at once, not after the usual five seconds.
    "repl-diskless-sync-delay": "0",
    "enable-debug-command": "yes",
}


@contextlib.contextmanager
def replicated(
    replicas: int = 1, *, options: Mapping[str, str] | None = None, binary: str | None = None
) -> Generator[tuple[Node, list[Node]]]:
    """A primary and its replicas, in step."""
    with contextlib.ExitStack() as stack:
        primary = stack.enter_context(node(_folder(stack), options=options, binary=binary))
        followers = [
            stack.enter_context(node(_folder(stack), options=options, replica_of=primary, binary=binary))
            for _ in range(replicas)
        ]
        in_step(primary, replicas)
        yield primary, followers


def in_step(primary: Node, replicas: int = 1) -> None:
    """Wait until so many replicas have acknowledged everything the primary wrote."""

    def stepped() -> bool:
        # One write of its own, since WAIT on a connection that wrote nothing proves nothing.
        with primary.client() as client:
            client.execute_command("SET", "{nodes}:step", "1", "PX", 1000)
            return int(client.execute_command("WAIT", replicas, 200)) >= replicas

    wait_for(stepped, f"{replicas} replicas do not follow: {primary.log()[-2000:]}")


@contextlib.contextmanager
def sentinel(
    primary: Node, *, name: str = "main", quorum: int = 1, down_after_ms: int = 500, failover_ms: int = 3000
) -> Generator[Node]:
    """One sentinel that watches a primary; sentinels of the same primary find each other through it."""
    text = (
        f"sentinel monitor {name} 127.0.0.1 {primary.port} {quorum}\n"
        f"sentinel down-after-milliseconds {name} {down_after_ms}\n"
        f"sentinel failover-timeout {name} {failover_ms}\n"
    )
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(node(_folder(stack), sentinel=True, lines=lambda _: text))


@contextlib.contextmanager
def sentinels(primary: Node, count: int = 3, *, name: str = "main", replicas: int = 1) -> Generator[list[Node]]:
    """Several sentinels with a majority's quorum, once they know each other and the replicas."""
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(sentinel(primary, name=name, quorum=count // 2 + 1)) for _ in range(count)]

        def acquainted(one: Node) -> bool:
            others, found = one.ask("SENTINEL", "SENTINELS", name), one.ask("SENTINEL", "REPLICAS", name)
            return len(others) == count - 1 and len(found) == replicas

        wait_for(lambda: all(acquainted(one) for one in made), "the sentinels do not find each other")
        yield made


class Cluster:
    """Nodes that share the slots: `primaries[i]` has the i-th equal range, `replicas[i]` follows `primaries[i]`."""

    def __init__(self, primaries: list[Node], replicas: list[Node]) -> None:
        self.primaries = primaries
        self.replicas = replicas
        self.nodes = [*primaries, *replicas]
        self.url = "redis+cluster://" + ",".join(one.address for one in self.nodes)

    def owner(self, slot: int) -> Node:
        """The primary that had a slot at the beginning."""
        return self.primaries[next(i for i, (_, last) in enumerate(_ranges(len(self.primaries))) if slot <= last)]

    def settled(self) -> bool:
        """Whether every node sees the whole cluster and all slots served. Raises redis' errors."""
        return all(
            f"cluster_known_nodes:{len(self.nodes)}" in said and "cluster_state:ok" in said
            for said in (one.ask("CLUSTER", "INFO") for one in self.nodes)
        )


@contextlib.contextmanager
def cluster(
    primaries: int = 3,
    replicas: int = 3,
    *,
    node_timeout_ms: int = 1000,
    options: Mapping[str, str] | None = None,
    binary: str | None = None,
) -> Generator[Cluster]:
    """A cluster that is whole and whose replicas are in step; at most one replica for each primary."""
    assert replicas <= primaries
    extra = {
        "cluster-enabled": "yes",
        "cluster-node-timeout": str(node_timeout_ms),
        "cluster-config-file": "nodes.conf",
        **(options or {}),
    }
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(
                node(_folder(stack), options=extra, binary=binary, lines=lambda _: f"cluster-port {free_port()}\n")
            )
            for _ in range(primaries + replicas)
        ]
        found = Cluster(made[:primaries], made[primaries:])
        _join(found)
        yield found


def _join(made: Cluster) -> None:
    for epoch, one in enumerate(made.nodes, 1):
        one.ask("CLUSTER", "SET-CONFIG-EPOCH", epoch)
    for one, slots in zip(made.primaries, _ranges(len(made.primaries)), strict=True):
        one.ask("CLUSTER", "ADDSLOTSRANGE", *slots)
    buses = [one.ask("CONFIG", "GET", "cluster-port")["cluster-port"] for one in made.nodes]
    for one in made.nodes:
        for other, bus in zip(made.nodes, buses, strict=True):
            if other is not one:
                one.ask("CLUSTER", "MEET", "127.0.0.1", other.port, bus)
    wait_for(made.settled, "the nodes do not find each other")
    for primary, replica in zip(made.primaries, made.replicas, strict=False):
        name = primary.ask("CLUSTER", "MYID")
        wait_for(lambda one=replica, name=name: _follows(one, name), "the replica does not know its primary")
    for replica in made.replicas:
        wait_for(lambda one=replica: one.info().get("master_link_status") == "up", "the replica does not follow")
    wait_for(made.settled, "the cluster is not whole")


def _follows(replica: Node, name: str) -> bool:
    try:
        replica.ask("CLUSTER", "REPLICATE", name)
    except RedisConnectionError:
        raise
    except RedisError:
        return False  # it doesn't know the primary yet
    return True


def _ranges(count: int) -> list[tuple[int, int]]:
    bounds = [round(16384 * i / count) for i in range(count + 1)]
    return [(low, high - 1) for low, high in itertools.pairwise(bounds)]


def _folder(stack: contextlib.ExitStack) -> Path:
    # Not pytest's own directories: their paths can be longer than a socket's may be.
    made = Path(tempfile.mkdtemp(prefix="gw-node-"))
    stack.callback(shutil.rmtree, made, ignore_errors=True)
    return made
