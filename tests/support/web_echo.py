"""Operations that give back what they got, and what a problem must look like."""

from __future__ import annotations

from typing import Annotated, Any

import aiohttp
import msgspec
from msgspec import Meta

from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import KINDS


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    value: Annotated[str, Meta(min_length=1, max_length=5)]
    count: Annotated[int, Meta(ge=1, le=9)] = 1


class Sample(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    inner: Inner | None = None
    items: list[Inner] = []
    text: str | dict[str, str] = ""
    data: dict[str, Any] = {}


async def echo(call: Call[Sample, NoQuery]) -> Answer:
    return Answer(body={"tree": call.tree, "mode": call.key.mode})


async def listed(call: Call[None, Page]) -> Answer:
    return Answer(body={"limit": call.query.limit, "cursor": call.query.cursor})


async def broken(_call: Call[None, NoQuery]) -> Answer:
    raise ZeroDivisionError("a secret of the inside")


def operation(method: Any, path: str, handler: Any, **more: Any) -> Operation:
    values: dict[str, Any] = {
        "name": handler.__name__,
        "tag": "Messages",
        "summary": "",
        "scope": "send",
        "answers": {200: None},
    }
    return Operation(method=method, path=path, handler=handler, **{**values, **more})


async def problem(response: aiohttp.ClientResponse, status: int, code: str) -> dict[str, Any]:
    body = await response.json(content_type="application/problem+json")
    assert (response.status, body["status"], body["type"]) == (status, status, f"/problems/{code}"), body
    assert body["title"] == KINDS[code].title
    assert response.headers["X-Request-Id"]
    return body
