"""How full the servers' memory is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec
from redis.asyncio import Redis, RedisCluster

MIB: Final = 2**20


class Memory(msgspec.Struct, frozen=True):
    """What one server uses of what it may use, bytes. `bounded`: it has a maxmemory, else `most` is its machine's memory."""

    used: int
    most: int
    bounded: bool

    @property
    def share(self) -> float:
        """The used part, 0 to 1 (above 1 when the limit was lowered)."""
        return self.used / self.most

    def __str__(self) -> str:
        of = "its maxmemory" if self.bounded else "the memory of its machine, for it has no maxmemory"
        return f"{self.share:.0%} of {of} ({self.used // MIB} of {self.most // MIB} MiB)"


async def fullest(client: Redis) -> Memory | None:
    """The fullest server's memory, of a cluster's primaries the fullest one's; None: the server tells neither limit.

    Raises redis' errors: ResponseError when INFO is not allowed.
    """
    asked: Any = client  # redis-py's own types are partly unknown
    where = {"target_nodes": RedisCluster.PRIMARIES} if isinstance(asked, RedisCluster) else {}
    told: dict[str, Any] = await asked.execute_command("INFO", "memory", **where)
    # A cluster of one node answers as that node does, a larger one with each node's own answer by its name.
    each = cast("Iterable[dict[str, Any]]", told.values() if "used_memory" not in told else [told])
    found = [memory for memory in map(_read, each) if memory is not None]
    return max(found, key=lambda memory: memory.share, default=None)


def _read(info: dict[str, Any]) -> Memory | None:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most > 0:
        # As the server counts itself when it refuses writes: without its buffers for replicas and for the file.
        return Memory(used - int(info.get("mem_not_counted_for_evict", 0)), most, bounded=True)
    machine = int(info.get("total_system_memory", 0))
    return Memory(used, machine, bounded=False) if machine > 0 else None
