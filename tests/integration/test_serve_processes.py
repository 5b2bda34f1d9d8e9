"""`gateway serve --processes N`: processes that share every public port, and end together."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.service import Service
from gateway.settings import load
from tests.support.commands import end, environment, ports, start
from tests.support.running import until


async def test_two_processes_share_the_ports_and_end_together(tmp_path: Path) -> None:
    mail = {"SMTP_URL": "smtp://127.0.0.1:9", "EMAIL_FROM": "power@example.org"}
    served = await start(tmp_path, ["serve", "--processes", "2"], environment(tmp_path, **ports(), **mail))
    try:

        async def both() -> bool:
            return served.log().count('"event": "started"') == 2

        await until(both, 30)
    finally:
        status = await end(served)
    assert status == 0, served.log()
    assert "process_died" not in served.log()
    assert served.log().count('"event": "stopped"') == 2


async def test_a_dead_worker_ends_its_process(tmp_path: Path) -> None:
    service = Service(load({}, tmp_path, command="dev"), "unix:///nowhere")
    stopped = asyncio.Event()
    stopped.set()
    assert await service.ended(stopped)
    service.failed.set()
    assert not await service.ended(asyncio.Event())


async def test_a_process_that_stands_still_ends_with_its_stacks(tmp_path: Path) -> None:
    program = tmp_path / "stuck.py"
    program.write_text(
        "import asyncio\n"
        "from gateway.cli.serve_run import watched\n"
        "async def main():\n"
        "    watch = asyncio.create_task(watched(1))\n"
        "    await asyncio.sleep(2)\n"
        "    print('still here', flush=True)\n"
        "    while True:\n"
        "        pass\n"
        "asyncio.run(main())\n"
    )
    ended = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )
    said, stacks = await asyncio.wait_for(ended.communicate(), 30)
    assert ended.returncode == 1
    assert said == b"still here\n", "as long as the loop turns nothing happens"
    assert b" in main" in stacks
