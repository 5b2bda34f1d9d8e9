"""A caller that sends an import and reads no answers: the gateway stops reading, so nothing heaps up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import msgspec
import pytest
from aiohttp.test_utils import TestServer

from gateway.app import Gateway
from gateway.web.api import customer_import
from gateway.web.server import build_public_app
from tests.support.core import until
from tests.support.web_parts import bearer

ROWS: Final = 160
ROW: Final = msgspec.json.encode({f"unknown-{n}": 0 for n in range(500)}) + b"\n"
"""8 KB that are refused with about 80 KB: 13 MB for all rows, while a socket's buffers hold 4 MiB."""


async def test_who_reads_no_answers_is_read_no_further(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    imported = gateway.people.import_rows

    async def counted(*given: Any, **more: Any) -> AsyncIterator[Any]:
        async for number, one in imported(*given, **more):
            told.append(number)
            yield number, one

    monkeypatch.setattr(gateway.people, "import_rows", counted)
    loop = asyncio.get_running_loop()
    async with TestServer(build_public_app(gateway)) as server:
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            caller.setblocking(False)
            await loop.sock_connect(caller, (server.host, cast("Any", server).port))
            headers = {**await bearer(gateway, "admin"), "Content-Type": customer_import.CONTENT_TYPE, "Host": "x"}
            headers |= {"Content-Length": str(ROWS * len(ROW)), "Connection": "close"}
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            request = f"POST /v1/customers/import HTTP/1.1\r\n{head}\r\n".encode() + ROWS * ROW
            sending = asyncio.create_task(loop.sock_sendall(caller, request))

            seen = [-1, -1, -1, -1]

            async def still() -> bool:
                """Nothing more has been answered for four looks."""
                seen[:] = [*seen[1:], len(told)]
                await asyncio.wait([sending], timeout=0.1)
                return bool(told) and len(set(seen)) == 1

            await until(still, 20)
            assert len(told) < 100, "it waits for its answers to be read"
            answer = bytearray()
            while chunk := await loop.sock_recv(caller, 1 << 20):
                answer += chunk
            await sending
    assert len(told) == ROWS
    assert b'{"rows":160,"kept":0,"rejected":160}' in answer
