"""The load generator's process: `python -m benchmarks.loader JOB` does one job and prints what it came to."""

from __future__ import annotations

import itertools
import sys
from typing import Literal

import msgspec

from benchmarks.http_load import Body, Sample, Target, closed_loop, paced
from benchmarks.process import fast


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. `count`: so many requests at most (batches: of `size` messages each); `seconds`: for so long."""

    kind: Literal["single", "batch", "paced", "bare_handler", "bare_client"]
    url: str
    key: str = ""
    connections: int = 64
    seconds: float = 3600.0
    count: int | None = None
    size: int = 1000
    customers: int = 1
    first: int = 0
    """The number of the first message; numbers choose the customers and stand in the texts."""
    per_second: float = 100.0
    category: str = "service"
    priority: str | None = None
    reach: dict[str, object] = {}


def customer_id(number: int) -> str:
    """The benchmark's customers."""
    return f"bench-{number}"


def text_of(number: int) -> str:
    """The words of a message."""
    return f"Bench {number}: your engineer comes tomorrow between 9 and 11."


def _message(job: Job, number: int) -> dict[str, object]:
    chosen = customer_id(number % job.customers)
    asked: dict[str, object] = {"customer": chosen, "category": job.category, "content": {"text": text_of(number)}}
    return asked | ({"priority": job.priority} if job.priority else {}) | ({"reach": job.reach} if job.reach else {})


def _body(job: Job) -> Body:
    if job.kind != "batch":
        return lambda n: msgspec.json.encode(_message(job, job.first + n))
    size = job.size
    return lambda n: msgspec.json.encode(
        {"messages": [_message(job, job.first + n * size + i) for i in range(size)]},
    )


async def carry_out(job: Job) -> Sample:
    """Do a job."""
    if job.kind == "bare_client":
        # Only this kind needs an HTTP library, which takes a while to import.
        from benchmarks.bare import client  # noqa: PLC0415

        return await client(job.url, job.connections, job.seconds)
    numbers = iter(range(job.count)) if job.count is not None else itertools.count()
    target = Target(job.url, job.key)
    if job.kind == "paced":
        return await paced(target, _body(job), numbers, job.per_second, job.connections)
    return await closed_loop(target, _body(job), numbers, job.connections, job.seconds)


if __name__ == "__main__":
    print(msgspec.json.encode(fast(carry_out(msgspec.json.decode(sys.argv[1], type=Job)))).decode())
