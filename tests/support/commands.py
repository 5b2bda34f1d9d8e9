"""The command line as people run it: `gateway …` in a process of its own, in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import aiohttp
import msgspec

from tests.support.ports import free_ports
from tests.support.running import HOST, until

ROOT = Path(__file__).parents[2]
KILLED_S: Final = 10.0
"""How long the end of a process that was killed may take."""


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    status: int
    out: str
    err: str


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """The variables of a command whose DATA_DIR is `folder`/var; `settings` are more, without their prefix."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    given = {"DATA_DIR": folder / "var", **settings}
    mine = {f"GATEWAY_{name}": str(value) for name, value in given.items()}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "COLUMNS": "120", **mine}


def ports() -> dict[str, object]:
    """Settings for all listeners on ports of their own."""
    names = ("HTTP_PORT", "CONSOLE_PORT", "PHONES_PORT", "BOUNCE_PORT")
    return dict(zip(names, free_ports(len(names)), strict=True))


async def command(
    folder: Path, *arguments: str, given: bytes = b"", seconds: float = 60.0, variables: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end."""
    # Files, not pipes: whatever it leaves running would keep a pipe open, and us waiting for its end.
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as wrong:
        said.write(given)
        said.seek(0)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            cwd=folder,
            env=dict(variables or environment(folder)),
            stdin=said,
            stdout=told,
            stderr=wrong,
        )
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            raise AssertionError(f"{arguments} went on for {seconds} s: {_whole(told)} {_whole(wrong)}") from None
        finally:
            if process.returncode is None:
                process.kill()
                await asyncio.wait_for(process.wait(), KILLED_S)
        assert process.returncode is not None
        return Ended(process.returncode, _whole(told), _whole(wrong))


def _whole(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


class Served(msgspec.Struct):
    """A gateway that runs in a process of its own."""

    process: asyncio.subprocess.Process
    url: str
    folder: Path
    variables: dict[str, str]

    async def command(self, *arguments: str, given: bytes = b"", seconds: float = 60.0) -> Ended:
        """Run a command beside it."""
        return await command(self.folder, *arguments, given=given, seconds=seconds, variables=self.variables)

    async def kill(self) -> None:
        """End it without a warning."""
        self.process.kill()
        await asyncio.wait_for(self.process.wait(), KILLED_S)

    async def key(self, mode: str = "live", scopes: str = "send,read,customers,operate,admin") -> str:
        """A new API key, made on the command line."""
        made = await self.command("keys", "create", "--name", "test", "--scopes", scopes, "--mode", mode, "--json")
        assert made.status == 0, made
        return msgspec.json.decode(made.out)["key"]

    def log(self) -> str:
        """What it wrote on standard error so far."""
        return (self.folder / "err.txt").read_text(errors="replace")


async def start(
    folder: Path, arguments: Sequence[str], variables: dict[str, str], *, own_group: bool = False
) -> Served:
    """Start a gateway and wait until it answers; its output goes to files in the folder.

    `own_group`: as a shell starts it, so that a Ctrl-C can be sent to it and to what it started, but not to us.
    """
    with (folder / "out.txt").open("ab") as out, (folder / "err.txt").open("ab") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            *arguments,
            cwd=folder,
            env=variables,
            stdout=out,
            stderr=err,
            start_new_session=own_group,
        )
    served = Served(process, f"http://{HOST}:{variables['GATEWAY_HTTP_PORT']}", folder, variables)
    async with aiohttp.ClientSession() as http:

        async def ready() -> bool:
            assert process.returncode is None, f"it ended with {process.returncode}: {served.log()}"
            try:
                async with http.get(served.url + "/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        try:
            await until(ready, 60.0, served.log)
        except BaseException:
            await end(served)
            raise
    return served


async def end(served: Served) -> int:
    """Ask it to stop, and wait; its status."""
    if served.process.returncode is None:
        served.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(served.process.wait(), 40.0)
        except TimeoutError:
            await served.kill()
    return served.process.returncode or 0


@contextlib.asynccontextmanager
async def serving(folder: Path, *arguments: str, **settings: object) -> AsyncGenerator[Served]:
    """A running `gateway …`, ended afterwards."""
    served = await start(folder, arguments, environment(folder, **{**ports(), **settings}))
    try:
        yield served
    finally:
        await end(served)
