"""The embedded server's disk fills, and has room again (G7)."""

from __future__ import annotations

import asyncio
import itertools
import os
import shlex
import signal
from pathlib import Path

import pytest

from gateway.store.connect import connect
from gateway.store.data_dir import DataDir, write_whole
from gateway.store.embedded import EmbeddedRedis, EmbeddedRedisError
from gateway.store.pipe import Pipe, StoreUnavailable
from gateway.store.server_binary import Binary, find_binary
from tests.chaos.servers import small_disk
from tests.support.commands import command, environment, ports
from tests.support.running import until

MEMORY = 64 * 2**20
VALUE = b"x" * 2_000


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(path.name for path in folder.glob(pattern))


async def test_a_full_disk_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    with small_disk(tmp_path / "d", 2_000) as disk:
        redis = EmbeddedRedis(disk.path / "v", max_memory=MEMORY)
        client = await connect(await redis.start(), max_connections=2)
        pipe = Pipe(client)
        kept: list[str] = []

        async def fill() -> None:
            for number in itertools.count():
                await pipe.send("SET", f"k{number}", VALUE)
                kept.append(f"k{number}")

        with pytest.raises(StoreUnavailable):
            await fill()
        async with asyncio.timeout(5):
            assert await redis.wait_failed() == "the server ended with status 1; its disk is full"
        assert 500 < len(kept) < 1_000
        await until(lambda: redis.restarts >= 2)
        assert not redis.running
        assert "; its disk is full" in await redis.wait_failed()
        assert not names(disk.path / "v", ".*"), "no drafts are left"
        disk.resize(16_000)
        async with asyncio.timeout(10):
            await redis.wait_running()
        await pipe.send("SET", "after", VALUE)
        assert await pipe.send("EXISTS", *kept) == len(kept)
        await client.aclose()
        await redis.stop()


async def test_a_full_disk_at_the_start_is_said_plainly(tmp_path: Path) -> None:
    with small_disk(tmp_path / "d", 64) as disk:
        (disk.path / "var").mkdir()
        (disk.path / "var" / "secret_key").write_text("k" * 64)
        (disk.path / "ballast").write_bytes(b"x" * disk.free)
        redis = EmbeddedRedis(disk.path / "var", max_memory=MEMORY)
        with pytest.raises(EmbeddedRedisError, match=r"can't be written \(No space left on device\).*GATEWAY_DATA_DIR"):
            await redis.start()
        assert not redis.running
        assert not DataDir(disk.path / "var").server_lives()
        ended = await command(tmp_path, "serve", variables=environment(tmp_path, **ports(), DATA_DIR=disk.path / "var"))
        assert ended.status == 1
        assert "can't be written (No space left" in " ".join(ended.err.split())
        assert "Traceback" not in ended.err
        (disk.path / "ballast").unlink()
        disk.resize(4_000)
        await redis.start()
        await redis.stop()


async def test_restarts_come_at_growing_pauses(tmp_path: Path) -> None:
    real = find_binary()
    program = tmp_path / "server"
    program.touch(mode=0o755)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(real.path)} "$@"\n')
    redis = EmbeddedRedis(tmp_path / "v", max_memory=MEMORY, binary=Binary(str(program), real.version))
    await redis.start()
    assert redis.pid is not None
    loop = asyncio.get_running_loop()
    began = loop.time()
    write_whole(program, "#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    os.kill(redis.pid, signal.SIGKILL)
    await until(lambda: redis.restarts == 3)
    assert loop.time() - began > 0.1 + 0.2 + 0.4
    assert "ended with status 3" in await redis.wait_failed()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(real.path)} "$@"\n')
    async with asyncio.timeout(10):
        await redis.wait_running()
    await redis.stop()


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "d", 64) as disk:
        write_whole(disk.path / "f", "old")
        (disk.path / "ballast").write_bytes(b"x" * disk.free)
        with pytest.raises(OSError, match="No space left"):
            write_whole(disk.path / "f", "new")
        assert names(disk.path, "*") == ["ballast", "f"]
        assert (disk.path / "f").read_text() == "old"
