"""`gateway serve` and `gateway dev` with the embedded server, as real processes that are interrupted and killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from gateway.store.data_dir import DataDir, attach
from tests.support.commands import Served, command, end, environment, ports, start
from tests.support.running import Answer, ask, until

MANY = 20


def server_pid(served: Served) -> int:
    """The embedded server's process."""
    return int((served.folder / "var" / "valkey.pid").read_text())


def server_log(served: Served) -> str:
    return (served.folder / "var" / "valkey.log").read_text()


def soon() -> str:
    """In two seconds: nothing is in a carrier's hands yet when somebody is killed, so nobody waits for its lease."""
    return (datetime.now(UTC) + timedelta(seconds=2)).isoformat()


class Caller:
    """Somebody with a test key, content as soon as the look-alikes have taken a message."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self.http, self.url, self.key = http, url, key

    async def __call__(self, method: str, path: str, json: Any = None) -> Answer:
        return await ask(self.http, self.url, self.key, method, path, json)

    async def post(self, number: int = 0, **more: Any) -> Answer:
        to = {"addresses": [{"channel": "sms", "value": f"+3069123{number:04d}9"}]}
        given = {"recipient": to, "category": "outage", "content": {"text": "Out."}, "reach": {"until": "accepted"}}
        return await self("POST", "/v1/messages", given | more)

    async def accepted(self, count: int, **more: Any) -> list[str]:
        """The ids of that many messages, all accepted."""
        answers = await asyncio.gather(*(self.post(number, **more) for number in range(count)))
        assert {one.status for one in answers} == {202}, answers
        return [one.body["id"] for one in answers]

    async def reached(self, ids: list[str]) -> None:
        """Wait until all of them have reached their person."""

        async def one(message: str) -> None:
            async def done() -> bool:
                found = await self("GET", f"/v1/messages/{message}")
                assert found.status == 200, found
                return found.body["verdict"]["state"] == "reached"

            await until(done, 30.0)

        await asyncio.gather(*(one(message) for message in ids))


@contextlib.asynccontextmanager
async def interruptible(folder: Path, *arguments: str, more: dict[str, str]) -> AsyncGenerator[Served]:
    """A gateway in a process group of its own, as in a terminal; nothing of it is left afterwards."""
    served = await start(folder, arguments, more, own_group=True)
    try:
        yield served
    finally:
        await end(served)
        await until(lambda: not DataDir(folder / "var").server_lives())


def interrupt(served: Served) -> None:
    """Ctrl-C in the terminal: the whole group gets it."""
    os.killpg(served.process.pid, signal.SIGINT)


async def test_ctrl_c_stops_the_server_last(tmp_path: Path) -> None:
    variables = environment(tmp_path, **ports())
    async with aiohttp.ClientSession() as http, interruptible(tmp_path, "serve", more=variables) as served:
        assert os.getsid(server_pid(served)) == server_pid(served) != os.getsid(served.process.pid)
        caller = Caller(http, served.url, await served.key("test"))
        sent = await caller.accepted(MANY)
        interrupt(served)
        assert await asyncio.wait_for(served.process.wait(), 40) == 0, served.log()
        assert '"event": "stopped"' in served.log()
        assert not re.search("redis_unavailable|redis_gone|Traceback", served.log()), "the server was there to the end"
        assert "Received SIGTERM" in server_log(served)
        assert "Received SIGINT" not in server_log(served)
        async with interruptible(tmp_path, "serve", more=variables):
            await caller.reached(sent)


async def test_a_second_ctrl_c_does_no_harm(tmp_path: Path) -> None:
    variables = environment(tmp_path, **ports())
    async with interruptible(tmp_path, "dev", more=variables) as served:
        interrupt(served)
        interrupt(served)
        assert await asyncio.wait_for(served.process.wait(), 40) == 0, served.log()
        assert "Traceback" not in served.log()
        assert "ready to exit" in server_log(served), "the server wrote and synced what was left"
        assert attach(tmp_path / "var") is None


async def test_the_server_outlives_a_killed_gateway_and_is_taken_over(tmp_path: Path) -> None:
    variables = environment(tmp_path, **ports())
    async with aiohttp.ClientSession() as http, interruptible(tmp_path, "serve", more=variables) as served:
        caller = Caller(http, served.url, await served.key("test"))
        sent = await caller.accepted(MANY, send_at=soon())
        first = server_pid(served)
        await served.kill()
        assert attach(tmp_path / "var") is not None
        async with interruptible(tmp_path, "serve", more=variables) as heir:
            assert f'"pid": {first}, "event": "redis_taken_over"' in heir.log()
            await caller.reached(sent)
            refused = await command(tmp_path, "serve", variables={**variables, **environment(tmp_path, **ports())})
            said = " ".join(refused.err.split())
            assert (refused.status, "Traceback" in said) == (1, False)
            assert f"is in use by another gateway (process {heir.process.pid}). Stop that one" in said
            assert "GATEWAY_DATA_DIR" in said
            assert (await caller.post()).status == 202, "the first goes on"


async def test_a_killed_server_is_503_until_it_is_back(tmp_path: Path) -> None:
    variables = environment(tmp_path, **ports())
    async with aiohttp.ClientSession() as http, interruptible(tmp_path, "serve", more=variables) as served:
        caller = Caller(http, served.url, await served.key("test"))
        sent = await caller.accepted(MANY, send_at=soon())
        os.kill(server_pid(served), signal.SIGKILL)
        refused = await caller.post()
        ready = await caller("GET", "/readyz")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        assert refused.body["detail"] == "The store can't take this now; nothing has been accepted."
        assert (ready.status, ready.body["checks"]["store"]) == (503, "Redis can't be reached.")

        async def back() -> bool:
            return (await caller("GET", "/readyz")).status == 200

        await until(back, 10.0, served.log)
        await caller.reached([*sent, *(await caller.accepted(1))])
        assert served.log().count("redis_gone") == 1


def others_of(served: Served) -> list[int]:
    """The processes that a gateway of several has started for itself."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_no_process_outlives_the_first_of_a_gateway(tmp_path: Path) -> None:
    variables = environment(tmp_path, **ports())
    async with interruptible(tmp_path, "serve", "--processes", "2", more=variables) as served:
        await until(lambda: served.log().count('"event": "started"') == 2, 60.0, served.log)
        (other,) = others_of(served)
        await served.kill()
        await until(lambda: served.log().count('"event": "stopped"') == 1, 40.0, served.log)
        await until(lambda: not Path(f"/proc/{other}").exists(), 10.0)
        async with interruptible(tmp_path, "serve", more=variables):
            assert attach(tmp_path / "var") is not None, "the next start takes the server over, and ends it"
