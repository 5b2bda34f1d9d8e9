"""Schemathesis over the whole API of a real gateway: every operation, its links, good data and bad."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from aiohttp import web

from gateway.store.api_keys import SCOPES
from gateway.web.server import build_public_app, runner
from tests.support.web_gateway import gateway_on

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
HOST: Final = "127.0.0.1"
CUSTOMER: Final = {"locale": "en", "addresses": [{"channel": "sms", "value": "+306912345678"}]}


async def run(redis_url: str, *options: str) -> tuple[int, str]:
    """Exit status and output of one run. `redis_url`: a server of its own; `options`: more words of its command line."""
    async with gateway_on(redis_url) as gateway:
        serving = runner(build_public_app(gateway))
        await serving.setup()
        try:
            await web.TCPSite(serving, HOST, 0).start()
            url = f"http://{HOST}:{serving.addresses[0][1]}"
            _, key = await gateway.api_keys.create("fuzz", "live", SCOPES)
            await gateway.people.put("c-1001", CUSTOMER, expected=None)
            return await _schemathesis(url, {"GATEWAY_FUZZ_KEY": key, "GATEWAY_FUZZ_REDIS": redis_url}, options)
        finally:
            await serving.cleanup()


async def _schemathesis(url: str, environ: dict[str, str], options: tuple[str, ...]) -> tuple[int, str]:
    command = (
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(HERE / "schemathesis.toml"),
        "run",
        f"{url}/openapi.json",
        "--url",
        url,
        *options,
    )  # fmt: skip - a command line
    with tempfile.TemporaryDirectory() as folder:  # what the tools remember of a run is left there
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env={**os.environ, **environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
    return process.returncode or 0, said.decode()
