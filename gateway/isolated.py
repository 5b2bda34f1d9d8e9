"""A record that worker after worker did not survive is worked on in a process of its own.

What kills the process that touches it (a library that crashes, memory that runs out, a loop without end) then kills
nobody else's work, and is known by how that process ended.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import sys
from multiprocessing.connection import Connection
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from gateway.app import Gateway
from gateway.settings_types import Settings
from gateway.store.changes import Taken
from gateway.store.pipe import StoreUnavailable

SECONDS: Final = 30.0
OPENING_S: Final = 60.0
"""How long the process may take to begin, which says nothing of the record."""
TRY_LATER: Final = 75
"""Exit status of a process that could not begin: EX_TEMPFAIL of sysexits.h."""
_SPAWN: Final = multiprocessing.get_context("spawn")

log = structlog.get_logger()


class Workplace(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway is opened with, to open one more of the same."""

    settings: Settings
    redis_url: str
    test_settings: Settings | None = None
    test_callback_base: str = ""


class Isolation:
    """Works on one record at a time, `seconds` at most, in a process that is made for it."""

    def __init__(self, place: Workplace, seconds: float = SECONDS) -> None:
        self._place = place
        self._seconds = seconds
        self._free = asyncio.Semaphore(1)

    async def __call__(self, number: int, taken: Taken) -> str | None:
        """Work on a taken record of partition `number`; why it belongs in the morgue, None when it doesn't."""
        async with self._free:
            log.warning("isolated", member=taken.member, abandoned=taken.abandoned)
            opened, opening = _SPAWN.Pipe(duplex=False)
            process = _SPAWN.Process(target=_process, args=(self._place, number, taken, opening), daemon=True)
            process.start()
            opening.close()
            try:
                began = await asyncio.to_thread(opened.poll, OPENING_S)
                await asyncio.to_thread(process.join, self._seconds)
                late = process.is_alive()
            finally:
                opened.close()
                process.kill()
                await asyncio.to_thread(process.join)
            code = process.exitcode or 0
            process.close()
        if late:
            return f"Its work did not end within {self._seconds:g} seconds, in a process of its own." if began else None
        if code in (0, TRY_LATER):
            return None
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"The process that worked on it {how}, as others had before."


def _process(place: Workplace, number: int, taken: Taken, opening: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which waits for what is under way
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        asyncio.run(_work(place, number, taken, opening))
    except (StoreUnavailable, RedisError, OSError):
        sys.exit(TRY_LATER)


async def _work(place: Workplace, number: int, taken: Taken, opening: Connection) -> None:
    gateway = await Gateway.open(
        place.settings, place.redis_url, test_settings=place.test_settings, test_callback_base=place.test_callback_base
    )
    opening.send(None)
    try:
        await gateway.worker().work_one(number, taken)
    finally:
        await gateway.close()
