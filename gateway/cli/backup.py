"""`gateway backup` and `gateway restore`: everything, in one file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from gateway.cli.common import fail, out, run, settings_for
from gateway.cli.progress import shown

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from gateway.secret_box import SecretBox
    from gateway.settings_types import Settings
    from gateway.store.backup_file import Backup
    from gateway.store.journal import Line
    from gateway.store.restore import Restore
    from gateway.store.scripts import Scripts

CONNECTIONS: Final = 32
MIB: Final = 2**20
Json = Annotated[bool, typer.Option("--json", help="Print a summary for programs.")]


class Taken(msgspec.Struct, frozen=True):
    """A back-up that was taken."""

    file: str
    keys: int
    bytes: int
    seconds: float


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A back-up that was put in."""

    file: str
    taken: str
    keys: int
    customers: int
    unfinished: int
    erased_again: int
    channels_paused: bool
    seconds: float


@contextlib.asynccontextmanager
async def _store(settings: Settings) -> AsyncGenerator[tuple[str, Redis, Scripts]]:
    """The store alone: nothing is written by opening it."""
    from gateway.store.connect import connect
    from gateway.store.embedded import embedded
    from gateway.store.pipe import Replication
    from gateway.store.scripts import Scripts

    async with contextlib.AsyncExitStack() as stack:
        url = settings.redis_url or await stack.enter_async_context(embedded(settings.data_dir))
        client = await connect(url, max_connections=CONNECTIONS)
        stack.push_async_callback(client.aclose)
        scripts = Scripts(client, Replication(settings.redis_replicas, settings.redis_replica_timeout))
        stack.push_async_callback(scripts.close)
        yield url, client, scripts


def backup(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where to write it; an older one is replaced.")],
    *,
    json: Json = False,
) -> None:
    """Copy everything into a file, while the gateway runs. It holds personal data, and needs the SECRET_KEY to be used."""
    import time

    from gateway.store.backup import back_up
    from gateway.store.clock import Clock
    from gateway.store.keys import META

    settings = settings_for("backup")

    async def work() -> Taken:
        began = time.monotonic()
        async with _store(settings) as (_, client, scripts):
            if not await scripts.urgent.send("EXISTS", META):
                fail("there is nothing to back up: no gateway has been started with this Redis.")
            with shown("backing up", "keys") as progress:
                keys, size = await back_up(
                    client, scripts, file, Clock().wall, lambda n, about: progress(n, min(1.0, n / max(about, 1)))
                )
        return Taken(str(file), keys, size, round(time.monotonic() - began, 3))

    try:
        done = run(work())
    except OSError as full:
        fail(f"{file} can't be written: {full.strerror or full}")
    if json:
        print(msgspec.json.encode(done).decode())
    else:
        out.print(
            f"{done.keys:,} keys, {done.bytes / MIB:.1f} MiB, {done.seconds:.1f} s: {file}",
            highlight=False,
            soft_wrap=True,
        )
        out.print("Keep it apart from the SECRET_KEY, and as safe: it holds personal data.", style="dim")


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="What `gateway backup` wrote.")],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Delete what stands in Redis first.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    resume_channels: Annotated[
        bool, typer.Option("--resume-channels", help="Send at once: what was sent since the back-up is sent again.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Even while workers are at work.")] = False,
    json: Json = False,
) -> None:
    """Put a back-up into an empty Redis. Every channel is paused until somebody resumes it."""
    from gateway.store.backup_file import Backup, BadBackup

    settings = settings_for("restore")
    if replace and not yes:
        typer.confirm("Everything that stands in this Redis now will be deleted. Go on?", abort=True)
    try:
        done = run(put_back(settings, Backup(file), file, replace=replace, resume=resume_channels, force=force))
    except BadBackup as bad:
        fail(f"{file}: {bad}.", "Nothing was changed.")
    except OSError as unreadable:
        fail(f"{file} can't be read: {unreadable.strerror or unreadable}")
    if json:
        print(msgspec.json.encode(done).decode())
        return
    out.print(
        f"Restored from {done.taken}: {done.keys:,} keys, {done.customers:,} customers, {done.unfinished:,} messages and "
        f"other work unfinished, {done.erased_again:,} erased again. {done.seconds:.1f} s.",
        highlight=False,
        soft_wrap=True,
    )
    if done.channels_paused:
        out.print("Every channel is paused. Look first, then resume them one by one: POST /v1/channels/{name}/resume.")


async def put_back(
    settings: Settings, source: Backup, file: Path, *, replace: bool, resume: bool, force: bool
) -> Restored:
    """Carry `gateway restore` out. Raises BadBackup, OSError, StoreUnavailable."""
    import asyncio
    import time

    from gateway.channels.registry import names
    from gateway.secret_box import SecretBox
    from gateway.store.clock import Clock
    from gateway.store.restore import Restore, fitting, when

    began, box = time.monotonic(), SecretBox(settings.secret_key, settings.secret_key_old)
    fitting(source, box)
    with shown("verifying", "bytes") as progress:
        await asyncio.to_thread(source.verify, lambda n: progress(n, n / source.size))
    async with _store(settings) as (url, client, scripts):
        work = Restore(client, scripts, source)
        clock = Clock()
        seconds, micros = await scripts.urgent.send("TIME")
        clock.read(int(seconds) * 1000 + int(micros) // 1000)
        await _may(work, clock.now(), replace=replace, force=force)
        journal = await _journal(settings, scripts, box) if replace else []
        if replace:
            await work.clear()
        await work.install(box, names(), resume=resume)
        with shown("restoring", "bytes") as progress:
            keys = await work.fill(clock.now, names(), lambda n: progress(n, n / source.size), resume=resume)
        unfinished, customers, again = await _mended(settings, url, journal)
    return Restored(
        file=str(file),
        taken=when(source.header.at),
        keys=keys,
        customers=customers,
        unfinished=unfinished,
        erased_again=again,
        channels_paused=not resume,
        seconds=round(time.monotonic() - began, 3),
    )


async def _may(work: Restore, now: int, *, replace: bool, force: bool) -> None:
    from gateway.store.roll import SILENT_MS

    if not force and (workers := await work.workers(now, SILENT_MS)):
        fail(
            f"{workers} workers have reported within the last {SILENT_MS // 1000} seconds.",
            "Stop every gateway that uses this Redis, or say --force.",
        )
    if not replace and await work.held() is not None:
        fail("this Redis holds the data of a gateway already.", "Say --replace to delete what stands there first.")


async def _journal(settings: Settings, scripts: Scripts, box: SecretBox) -> list[Line]:
    """The erasures that the Redis knows which is to be replaced: they bind what is restored too."""
    from gateway.store.journal import Journal
    from gateway.store.keys import META

    sealed = await scripts.urgent.send("HGET", META, "pepper")
    pepper = None if sealed is None else box.open(sealed)
    return [] if pepper is None else await Journal(scripts.pipe, settings.data_dir, pepper).in_redis()


async def _mended(settings: Settings, url: str, journal: list[Line]) -> tuple[int, int, int]:
    """Complete what is derived, and erase again: live records, customers, erasures done again."""
    from gateway.app import Gateway
    from gateway.store.restore import Mending

    gateway = await Gateway.open(settings, url)
    try:
        mending = Mending(gateway.client, gateway.scripts, gateway.customers, gateway.clock)
        about = max(1, await gateway.customers.count())
        with shown("checking customers", "customers") as progress:
            customers = await mending.customers(lambda n: progress(n, min(1.0, n / about)))
        with shown("checking messages", "records") as progress:
            unfinished = await mending.messages(lambda n: progress(n, 0.0))
        return unfinished, customers, await gateway.erasures.reapply(journal)
    finally:
        await gateway.close()
