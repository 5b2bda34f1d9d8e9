"""How fast customers come in and go out, and in how much memory: `python -m benchmarks.imports [ROWS]`.

One gateway on an embedded Redis that syncs every write. "one by one" is how a single PUT stores a customer, 32 at once;
"import" and "import again" are what `gateway customers import` does with a file, "export" what `export` does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.process import fast, memory_of
from gateway.app import Gateway
from gateway.settings import load
from gateway.store.backup import back_up
from gateway.store.clock import Clock
from gateway.store.embedded import embedded

ROWS: Final = 20_000
ONE_BY_ONE_MOST: Final = 5_000
AT_ONCE: Final = 32


class Measured(msgspec.Struct, frozen=True):
    """One way: how many a second, processor time of this process for each (µs), its memory afterwards (MiB)."""

    name: str
    per_second: float
    cpu: float
    mib: float


def people(count: int, prefix: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Customers with a mobile and an e-mail address each."""
    for n in range(count):
        addresses = [
            {"channel": "sms", "value": f"+3069{n % 100_000_000:08d}"},
            {"channel": "email", "value": f"{prefix}{n}@example.org"},
        ]
        row = {"id": f"{prefix}{n}", "name": f"Person {n}", "locale": "el", "time_zone": "Europe/Athens"}
        yield n + 1, {**row, "addresses": addresses, "attributes": {"area": "Kypseli"}}


async def measure(rows: int, told: Callable[[Measured], None]) -> None:
    """Measure every way, one after the other."""
    with tempfile.TemporaryDirectory(prefix="gw-imports-") as folder:
        place = Path(folder)
        settings = load({"GATEWAY_DATA_DIR": folder}, place, command="customers")
        async with embedded(place) as url:
            gateway = await Gateway.open(settings, url)
            few = min(rows, ONE_BY_ONE_MOST)
            try:
                told(await _timed("one by one", few, lambda: _one_by_one(gateway, few)))
                told(await _timed("import", rows, lambda: _import(gateway, rows)))
                told(await _timed("import again", rows, lambda: _import(gateway, rows)))
                told(await _timed("export", rows + few, lambda: _export(gateway)))
                told(await _timed("backup", rows + few, lambda: _backup(gateway, place / "b")))
            finally:
                await gateway.close()


async def _timed(name: str, count: int, work: Callable[[], Awaitable[object]]) -> Measured:
    began, cpu = time.perf_counter(), time.process_time()
    await work()
    spent = (time.process_time() - cpu) / count * 1_000_000
    return Measured(name, count / (time.perf_counter() - began), spent, memory_of(os.getpid()))


async def _one_by_one(gateway: Gateway, count: int) -> None:
    rows = people(count, "p-")

    async def puts() -> None:
        for _, row in rows:
            await gateway.people.put(row.pop("id"), row)

    await asyncio.gather(*(puts() for _ in range(AT_ONCE)))


async def _import(gateway: Gateway, count: int) -> None:
    async for _, told in gateway.people.import_rows(people(count, "c-")):
        assert not told.problems


async def _export(gateway: Gateway) -> None:
    async for page in gateway.people.all_portable():
        msgspec.json.encode(page)


async def _backup(gateway: Gateway, path: Path) -> None:
    await back_up(gateway.client, gateway.scripts, path, Clock().wall, _unwatched)


def _unwatched(_count: int, _about: int) -> None:
    """Nobody watches."""


def _print(one: Measured) -> None:
    print(f"{one.name:14} {one.per_second:8,.0f} customers/s {one.cpu:5,.0f} µs each {one.mib:6.0f} MiB", flush=True)


if __name__ == "__main__":
    fast(measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS, _print))
