"""A client of the API whose answers are held against their documentation."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import msgspec

from gateway.web.api.table import OPERATIONS
from gateway.web.openapi import refusals

ANA = {
    "name": "Ana Pappas",
    "locale": "el",
    "time_zone": "Europe/Athens",
    "addresses": [
        {"channel": "sms", "value": "+30 691 234 5678"},
        {"channel": "voice", "value": "+306912345678"},
        {"channel": "email", "value": "ana@example.com", "label": "home"},
    ],
    "attributes": {"area": "Kypseli"},
}
NOTICE = {"customer": "c-1", "category": "service", "content": {"text": "The engineer comes at nine."}}


class Api:
    """A client with a key; answers are checked against their documented types."""

    def __init__(self, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
        self.session = session
        self.headers = headers

    async def __call__(
        self, method: str, path: str, body: Any = None, *, status: int, kind: Any = None, **headers: str
    ) -> Any:
        sent = {} if body is None else {"json": body}
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, headers={**self.headers, **names}, **sent) as response:
            text = await response.text()
            assert response.status == status, text
            self.last = response
        assert documented(method, path, status), f"{method} {path} is not documented to answer {status}"
        tree = msgspec.json.decode(text) if text else None
        if kind is not None:
            msgspec.convert(tree, kind)
        return tree


def documented(method: str, path: str, status: int) -> bool:
    """Whether the OpenAPI document knows this answer."""
    plain = path.partition("?")[0]
    known = [one for one in OPERATIONS if one.method == method and _pattern(one.path).fullmatch(plain)]
    return any(status in (*one.answers, *refusals(one)) for one in known)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))


def pointers(problem: dict[str, Any]) -> list[str]:
    return [error["pointer"] for error in problem["errors"]]
