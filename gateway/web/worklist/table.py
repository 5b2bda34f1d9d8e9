"""The worklist as CSV (RFC 4180), a row at a time, in the same memory for any number of people."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Final

import structlog
from aiohttp import web

from gateway.outages.recipients import Recipient
from gateway.people.cells import text_cell
from gateway.people.fields import wire_time
from gateway.store.pipe import StoreUnavailable
from gateway.text import clean, mask
from gateway.web.worklist.rows import address_of, area_of

COLUMNS: Final = (
    "customer",
    "name",
    "state",
    "medical_priority",
    "area",
    "address",
    "contacts",
    "attempts",
    "tried",
    "why",
    "visited",
    "visited_by",
    "visited_at",
    "note",
    "message",
)
_AT_ONCE: Final = 32 * 1024
_log = structlog.get_logger()


async def table(
    request: web.Request, people: AsyncIterator[Recipient], name: str, *, unmasked: bool
) -> web.StreamResponse:
    """Write them all. What breaks off on the way ends without its last chunk, so nobody takes it for the whole."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Cache-Control": "no-store",
        }
    )
    lines = io.StringIO()
    rows = csv.writer(lines)
    rows.writerow(COLUMNS)
    try:
        first = await anext(people, None)
        await response.prepare(request)
        if first is not None:
            rows.writerow(row(first, unmasked=unmasked))
        async for one in people:
            rows.writerow(row(one, unmasked=unmasked))
            if lines.tell() >= _AT_ONCE:
                await _flush(response, lines)
                await asyncio.sleep(0)
    except StoreUnavailable:
        if not response.prepared:
            raise
        _log.warning("worklist_broken_off")
        if request.transport is not None:
            request.transport.abort()
        return response
    await _flush(response, lines)
    await response.write_eof()
    return response


async def _flush(response: web.StreamResponse, lines: io.StringIO) -> None:
    await response.write(lines.getvalue().encode())
    lines.seek(0)
    lines.truncate()


def row(one: Recipient, *, unmasked: bool) -> Sequence[str]:
    """One person. Cells are never formulas, whatever somebody has called themselves."""
    customer, visit, why = one.customer, one.visit, one.why
    contacts = (f"{a.channel}:{a.value if unmasked else mask(a.channel, a.value)}" for a in customer.addresses)
    tried = dict.fromkeys(f"{attempt.channel} {attempt.status}" for attempt in one.attempts)
    cells = (
        customer.id,
        (customer.name or "") if unmasked else "",
        one.state,
        _truth(one.medical),
        (area_of(one) or "") if unmasked else "",
        (address_of(one) or "") if unmasked else "",
        "; ".join(contacts),
        str(len(one.attempts)),
        "; ".join(tried),
        "" if why is None else why.code,
        _truth(visit is not None),
        "" if visit is None else visit.by,
        "" if visit is None else wire_time(visit.at),
        "" if visit is None else visit.note or "",
        one.message.id,
    )
    return [text_cell(clean(cell).strip()) for cell in cells]


def _truth(value: object) -> str:
    return "true" if value else "false"
