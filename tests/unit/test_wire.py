"""The ports of tests close what was opened there, whatever the other end does."""

from __future__ import annotations

import asyncio

from tests.support.wire import HOST, answering


async def test_a_handler_that_still_waits_leaves_nothing_open() -> None:
    begun, writers = asyncio.Event(), list[asyncio.StreamWriter]()

    async def waits(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        begun.set()
        await asyncio.Event().wait()

    async with answering(waits) as port:
        _, far = await asyncio.open_connection(HOST, port)
        async with asyncio.timeout(5):
            await begun.wait()
        far.transport.abort()
    [near] = writers
    assert near.is_closing()
    assert near.get_extra_info("socket").fileno() == -1
