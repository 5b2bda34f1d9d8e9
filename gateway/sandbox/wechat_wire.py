"""How WeChat's API reads and writes: JSON bodies in text/plain, error codes, template fields."""

from __future__ import annotations

import json
from typing import Any, cast

from aiohttp import web

ERRORS = {
    -1: "system error",
    0: "ok",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40013: "invalid appid",
    40029: "invalid code",
    40016: "invalid button size",
    40017: "invalid button type",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40023: "invalid sub button size",
    40037: "invalid template_id",
    40125: "invalid appsecret",
    40163: "code been used",
    41001: "access_token missing",
    42001: "access_token expired",
    43004: "require subscribe",
    43101: "user refuse to accept the msg",
    44004: "empty content",
    45002: "content size out of limit",
    45011: "api minute-quota reach limit, must slower, retry next minute",
    45015: "response out of time limit or subscription is canceled",
    45047: "out of response count limit",
    47001: "data format error",
    47003: "argument invalid",
}
FIELD_LIMITS = {"thing": 20, "character_string": 32, "number": 32, "phrase": 5, "name": 10, "phone_number": 17}


def answer(code: int, **more: Any) -> web.Response:
    """WeChat's way to answer: JSON in text/plain."""
    body: dict[str, Any] = {"errcode": code, "errmsg": ERRORS[code]} if code else {"errcode": 0, "errmsg": "ok"}
    return web.Response(text=json.dumps(body | more, ensure_ascii=False), content_type="text/plain")


def token_answer(value: str, seconds: int) -> web.Response:
    """The answer with an access token and its life in seconds."""
    return web.Response(text=json.dumps({"access_token": value, "expires_in": seconds}), content_type="text/plain")


async def json_of(request: web.Request) -> dict[str, Any] | None:
    """The JSON object in a request, or None."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", body) if isinstance(body, dict) else None


def fields_of(data: object) -> list[tuple[str, str]] | None:
    """The fields of a template message, or None when they are malformed."""
    if not isinstance(data, dict):
        return None
    fields: list[tuple[str, str]] = []
    for name, cell in cast("dict[str, Any]", data).items():
        if not isinstance(cell, dict) or "value" not in cell:
            return None
        fields.append((name, str(cast("dict[str, Any]", cell)["value"])))
    return fields


def too_long(name: str, value: str) -> bool:
    """Whether a field breaks the limit of its type, such as 20 characters for a thing."""
    kind = name.rstrip("0123456789")
    return len(value) > FIELD_LIMITS.get(kind, 200)
