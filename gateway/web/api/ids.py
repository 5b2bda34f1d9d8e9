"""Ids in paths and bodies, and the entity tags of what has a version."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from aiohttp import web
from msgspec import Meta

from gateway.message import Message
from gateway.store.ids import place_of
from gateway.web.operations import Call
from gateway.web.problems import invalid, not_found

END: Final = r"(?!\n)$"
"""The end of a pattern: in Python a mere `$` also stands before a last line feed."""
CustomerId = Annotated[
    str,
    Meta(pattern=rf"^~?[A-Za-z0-9._:@-]{{1,128}}{END}", description="Chosen by you; `~…` names a one-off recipient."),
]
_READABLE: Final = re.compile(r"~?[A-Za-z0-9._:@-]{1,128}")
_TAG: Final = re.compile(r'"([\x21\x23-\x7e\x80-\xff]*)"')
NEVER: Final = -1
"""The version of a well-formed tag that can't be ours: it is no present one (RFC 9110, 13.1.1)."""


def known_id(call: Call[Any, Any], what: str, part: str = "id") -> str:
    """The id in the path of something that exists; what can't be one is 404."""
    found = call.path[part]
    if not _READABLE.fullmatch(found):
        raise not_found(what)
    return found


async def own_message(call: Call[Any, Any]) -> Message:
    """The message of the path, of the key's own mode. Raises Problem 404."""
    message_id = call.path["id"]
    place = place_of(message_id)
    loaded = await call.gateway.messages.load(message_id) if place is not None and place[0] == call.key.mode else None
    if loaded is None:
        raise not_found("message")
    return loaded.message


def etag(version: int) -> dict[str, str]:
    """The header that names a version."""
    return {"ETag": f'"{version}"'}


def if_match(request: web.Request) -> int | None:
    """The version a change asks for, None for any. Raises Problem 422 for a tag that none of ours looks like."""
    given = request.headers.getall("If-Match", [])
    if not given or given == ["*"]:
        return None
    match = _TAG.fullmatch(given[0].strip().removeprefix("W/"))
    if len(given) != 1 or match is None:
        raise invalid([(":If-Match", 'must be the ETag of the last answer, such as "7".')])
    return int(match[1]) if match[1].isascii() and match[1].isdigit() and len(match[1]) < 19 else NEVER
