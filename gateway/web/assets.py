"""The few static files of the pages, read once and served from memory."""

from __future__ import annotations

import hashlib
from typing import Final

from aiohttp import web

from gateway.web.brand import stylesheet
from gateway.web.page_texts import HERE

_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Assets:
    """Every file of `static/`, by name; `colour` (#rrggbb): the operator's own, as `brand.css`."""

    def __init__(self, colour: str | None = None) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for path in sorted((HERE / "static").iterdir()):
            if path.suffix in _TYPES:
                self._add(path.name, path.suffix, path.read_bytes())
        if colour is not None:
            self._add("brand.css", ".css", stylesheet(colour))

    def _add(self, name: str, suffix: str, body: bytes) -> None:
        tag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        self._files[name] = (body, _TYPES[suffix], tag)

    async def serve(self, request: web.Request) -> web.Response:
        """One file; browsers ask again only whether it has changed."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        body, kind, tag = found
        headers = {"ETag": tag, "Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
