"""The API's reference: `/openapi.json`, `/docs` and a page for each kind of problem."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from aiohttp import web

from gateway.web import docs, openapi
from gateway.web.operations import Operation
from gateway.web.page_texts import SAFE_HEADERS


class Reference:
    """The document and its page, made once, when somebody first asks: a start shouldn't wait for what few read."""

    def __init__(self, operations: Sequence[Operation], server: str) -> None:
        self._operations = operations
        self._server = server
        self._making = asyncio.Lock()
        self._made: tuple[bytes, str] | None = None

    async def document(self, _request: web.Request) -> web.Response:
        """The OpenAPI document."""
        return web.Response(body=(await self._parts())[0], content_type="application/json")

    async def page(self, _request: web.Request) -> web.Response:
        """The same for people."""
        headers = {**SAFE_HEADERS, "Content-Security-Policy": docs.POLICY}
        return web.Response(text=(await self._parts())[1], content_type="text/html", headers=headers)

    async def problem(self, request: web.Request) -> web.Response:
        """What a problem's type means and what to do."""
        found = docs.problem_page(request.match_info["code"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(text=found, content_type="text/html", headers=SAFE_HEADERS)

    def routes(self) -> list[web.RouteDef]:
        """Where they are found."""
        return [
            web.get("/openapi.json", self.document),
            web.get("/docs", self.page),
            web.get("/problems/{code}", self.problem),
        ]

    async def _parts(self) -> tuple[bytes, str]:
        async with self._making:
            if self._made is None:
                # In a thread: messages must not wait for it.
                self._made = await asyncio.to_thread(self._make)
        return self._made

    def _make(self) -> tuple[bytes, str]:
        document = openapi.document(self._operations, self._server)
        return msgspec.json.encode(document), docs.docs_page(document, self._operations)
