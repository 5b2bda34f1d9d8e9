"""An HTTP client for the gateway's API."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer, its JSON decoded."""

    status: int
    body: Any
    headers: Mapping[str, str]
    text: str

    @property
    def pointers(self) -> set[str]:
        return {one["pointer"] for one in self.body["errors"]}


class Api:
    """The gateway's API with one key."""

    def __init__(self, http: aiohttp.ClientSession, base: str, key: str | None) -> None:
        self.http, self.base, self.key = http, base, key

    async def __call__(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        **query: object,
    ) -> Answer:
        given: dict[str, str | None] = (
            {"Content-Type": "application/json"} if json is not None or raw is not None else {}
        )
        if self.key:
            given["Authorization"] = f"Bearer {self.key}"
        given |= headers or {}
        sent = {name: value for name, value in given.items() if value is not None}
        plain = raw if raw is not None else None if json is None else msgspec.json.encode(json)
        body = None if plain is None else io.BytesIO(plain)
        url = URL(self.base + path + ("?" + urlencode(query) if query else ""), encoded=True)
        skip = ["Content-Type"] if "Content-Type" not in sent else None
        async with self.http.request(
            method, url, data=body, headers=sent, skip_auto_headers=skip, allow_redirects=False
        ) as answer:
            text = (await answer.read()).decode()
            is_json = "json" in answer.content_type and "ndjson" not in answer.content_type
            return Answer(answer.status, msgspec.json.decode(text) if is_json and text else None, answer.headers, text)
