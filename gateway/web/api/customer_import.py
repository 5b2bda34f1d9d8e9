"""Many customers in one streamed request: a line of JSON each, good rows kept, bad rows named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from gateway.store.pipe import StoreUnavailable
from gateway.web.json_body import parse, refuse_coding, require_type
from gateway.web.operations import Call, NoQuery
from gateway.web.problems import FieldError, Problem, unavailable

LINE_LIMIT: Final = 256 * 1024
AT_ONCE: Final = 32
"""Rows taken in together: with the longest lines two such batches hold 16 MiB; no more is read until one is stored."""
SILENCE_SECONDS: Final = 30.0
"""How long the caller may pause while sending."""
CONTENT_TYPE: Final = "application/x-ndjson"


class Rejected(msgspec.Struct, frozen=True):
    """A row that was not kept; lines count from 1."""

    line: int
    errors: tuple[FieldError, ...]


class Count(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last line. `choices_kept`: of how many the person's own preferences stayed; left out when of nobody.

    `problem`: the import ended early, and the rows after `rows` were not looked at.
    """

    rows: int
    kept: int
    rejected: int
    choices_kept: int = 0
    problem: Any = None


async def import_customers(call: Call[None, NoQuery]) -> web.StreamResponse:
    """Take rows in while they come, and tell of the bad ones while the rest goes on."""
    require_type(call.request, CONTENT_TYPE, "application/ndjson", "application/jsonl")
    refuse_coding(call.request)
    response = web.StreamResponse(headers={"Content-Type": CONTENT_TYPE})
    rows = kept = own = 0
    ended: Problem | None = None
    try:
        async for line, told in call.gateway.people.import_rows(_rows(call.request), AT_ONCE):
            if not response.prepared:
                await response.prepare(call.request)
            rows += 1
            kept += not told.problems
            own += told.choices_kept
            if told.problems:
                errors = tuple(FieldError(pointer or "/", detail) for pointer, detail in told.problems)
                await _write(response, Rejected(line, errors))
    except Problem as problem:
        ended = problem
    except StoreUnavailable:
        ended = unavailable("The store can't take more now; send the file again, what is in stays in.")
    if ended is not None and not response.prepared:
        raise ended
    if not response.prepared:
        await response.prepare(call.request)
    problem = None if ended is None else ended.out()
    await _write(response, Count(rows=rows, kept=kept, rejected=rows - kept, choices_kept=own, problem=problem))
    await response.write_eof()
    return response


async def _write(response: web.StreamResponse, line: Any) -> None:
    await response.write(msgspec.json.encode(line) + b"\n")


async def _rows(request: web.Request) -> AsyncIterator[tuple[int, Any]]:
    number = 0
    async for line in _lines(request):
        number += 1
        if line.strip():
            yield number, _row(line)


def _row(line: bytes) -> Any:
    """The parsed row; a text says why there is none."""
    if len(line) > LINE_LIMIT:
        return f"is longer than {LINE_LIMIT} bytes."
    try:
        tree = parse(line)
    except Problem as bad:
        return bad.detail
    return tree if not isinstance(tree, str) else "must be a JSON object."


async def _lines(request: web.Request) -> AsyncIterator[bytes]:
    """Lines as they arrive. What is beyond the limit of a line is dropped, and the line stays too long."""
    rest = b""
    chunks = cast("AsyncIterator[bytes]", request.content.iter_any()).__aiter__()
    while True:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise Problem("timeout", f"Nothing came for {SILENCE_SECONDS:g} s.") from None
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        rest = rest[: LINE_LIMIT + 1]
    if rest:
        yield rest
