"""All responses of a survey as CSV (RFC 4180), a row each, in the same memory for any number of them."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from typing import Final

import structlog
from aiohttp import web

from gateway.people.cells import text_cell
from gateway.people.fields import wire_time
from gateway.store.pipe import StoreUnavailable
from gateway.surveys.nouns import Form, Given, Response
from gateway.text import clean

COLUMNS: Final = ("response", "customer", "version", "invitation", "case", "state", "begun_at", "completed_at")
_log = structlog.get_logger()


async def table(
    request: web.Request, pages: AsyncGenerator[list[Response]], form: Form, name: str, *, named: bool
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
    rows.writerow(heading(form))
    try:
        async for page in pages:
            for one in page:
                rows.writerow(row(one, form, named=named))
            if not response.prepared:
                await response.prepare(request)
            await response.write(lines.getvalue().encode())
            lines.seek(0)
            lines.truncate()
            await asyncio.sleep(0)
    except StoreUnavailable:
        if not response.prepared:
            raise
        _log.warning("survey_table_broken_off")
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response


def heading(form: Form) -> list[str]:
    """The names of the columns: each question has its answer, what was said with it, its channel and its time."""
    found: list[str] = [*COLUMNS]
    for question in form.questions:
        found += [text_cell(f"{question.id}{part}") for part in ("", " words", " channel", " at")]
    return found


def row(response: Response, form: Form, *, named: bool) -> list[str | int]:
    """One response. What people wrote is text for any spreadsheet, never a formula."""
    found: list[str | int] = [
        response.id,
        text_cell(response.customer or "") if named else "",
        response.version,
        response.invitation,
        text_cell(response.case or ""),
        "partial" if response.completed_at is None else "completed",
        wire_time(response.created_at),
        "" if response.completed_at is None else wire_time(response.completed_at),
    ]
    for question in form.questions:
        found += _cells(response.answers.get(question.id))
    return found


def _cells(given: Given | None) -> list[str | int]:
    if given is None:
        return ["", "", "", ""]
    words = text_cell(clean(given.words))
    match given.value:
        case bool() as yes:
            value: str | int = "yes" if yes else "no"
        case int() as mark:
            value = mark
        case str() as option:
            value = text_cell(option)
        case None:
            value, words = words, ""
    return [value, words, text_cell(given.channel), wire_time(given.at)]
