"""Request bodies: read within limits of size and time, and parsed strictly.

What other parsers would silently repair is refused here, because two readers of one body must never understand two
different things: a key given twice, NaN, lone surrogates, bytes that are no UTF-8, nesting without end.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from email.message import Message as MimeHeader
from typing import Any, Final, NoReturn, cast

from aiohttp import web

from gateway.web.problems import Problem

LIMIT: Final = 1024 * 1024
BATCH_LIMIT: Final = 8 * 1024 * 1024
SECONDS: Final = 10.0
DEPTH: Final = 32
BIG: Final = 128 * 1024
"""Bodies above this are parsed in a thread, so that the event loop goes on."""


async def read_body(request: web.Request, limit: int = LIMIT, seconds: float = SECONDS) -> bytes:
    """The whole body. Raises Problem: 413 above `limit` bytes, 415 for a packed body, 408 after `seconds`.

    The deadline is for the body as a whole; a time-out between two reads would let one byte a minute go on for ever.
    """
    refuse_coding(request)
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)
    if not request.can_read_body:
        return b""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in cast("AsyncIterator[bytes]", request.content.iter_any()):
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise Problem(
            "timeout", f"The body did not arrive within {seconds:g} s.", headers={"Connection": "close"}
        ) from None
    return b"".join(parts)


def refuse_coding(request: web.Request) -> None:
    """415 for packed bodies: a few packed bytes could ask for gigabytes."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Problem("unsupported-media-type", "Send the body as it is, without Content-Encoding.")


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"A body here may have {limit} bytes at most.", headers={"Connection": "close"})


def require_type(request: web.Request, *wanted: str) -> None:
    """415 unless the Content-Type is one of `wanted` and its charset, if named, UTF-8."""
    given = request.headers.get("Content-Type")
    if given in wanted:
        return
    header = MimeHeader()
    header["Content-Type"] = given or ""
    charset = header.get_param("charset") or "utf-8"
    known = str(charset).lower() in ("utf-8", "utf8")
    if given is None or header.get_content_type() not in wanted or not known:
        raise Problem("unsupported-media-type", f"The Content-Type must be {' or '.join(wanted)}, in UTF-8.")


async def parsed(body: bytes) -> Any:
    """As `parse`, while the event loop goes on."""
    return parse(body) if len(body) <= BIG else await asyncio.to_thread(parse, body)


def parse(body: bytes) -> Any:
    """One strict JSON document (RFC 8259, I-JSON of RFC 7493). Raises Problem 400 with the remedy."""
    try:
        text = body.decode()
    except UnicodeDecodeError as bad:
        raise _refused(f"Byte {bad.start} is not UTF-8: send the body in UTF-8.") from None
    if not text.strip(" \t\r\n"):
        raise _refused("The body is empty: send a JSON document.")
    try:
        tree = _decoder.decode(text)
    except json.JSONDecodeError as bad:
        raise _refused(f"{bad.msg} at line {bad.lineno}, column {bad.colno}.") from None
    except RecursionError:
        raise _too_deep() from None
    if text.count("{") + text.count("[") > DEPTH:
        _check_depth(tree)
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(tree)
    return tree


def _check_depth(tree: Any) -> None:
    level: list[Any] = [tree]
    for _ in range(DEPTH):
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
        if not level:
            return
    raise _too_deep()


def _check_surrogates(tree: Any) -> None:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        waiting.extend(_children(node))
        texts: list[Any] = [node, *cast("dict[str, Any]", node)] if isinstance(node, dict) else [node]
        if any(isinstance(text, str) and not _encodes(text) for text in texts):
            raise _refused(
                "A string holds half of a surrogate pair: escape characters above U+FFFF by two \\u, or by none."
            )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(cast("dict[str, Any]", node).values())
    return cast("list[Any]", node) if isinstance(node, list) else []


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _refused(f"The key {json.dumps(twice[:100])} stands twice in one object: send it once.")
    return made


def _constant(name: str) -> NoReturn:
    raise _refused(f"{name} is not JSON: send a number, or null.")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _refused(f"The number {text[:40]} is too large: send it as a string.")
    return number


def _int(text: str) -> int:
    # Nothing that keeps or passes these on holds more than 64 bits.
    number = int(text) if len(text) < 21 else None
    if number is None or not -(2**63) <= number < 2**63:
        raise _refused(f"The number {text[:40]} has more than 64 bits: send it as a string.")
    return number


def _refused(detail: str) -> Problem:
    return Problem("not-json", detail)


def _too_deep() -> Problem:
    return _refused(f"The document is nested deeper than {DEPTH} levels: flatten it.")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
)
