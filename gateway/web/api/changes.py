"""What every change of a customer shares: the version it asks for, and refusals as problems."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from gateway.people.people import Conflict, Invalid, Result
from gateway.web.api.ids import etag, if_match
from gateway.web.operations import Answer, Call
from gateway.web.problems import Problem, invalid, not_found

T = TypeVar("T")
ETAG: Final = {"ETag": ""}
"""The header that answers with a version have."""


async def done(change: Awaitable[T]) -> T:
    """A change of a customer, with its refusals as problems."""
    try:
        return await change
    except KeyError:
        raise not_found("customer") from None
    except Conflict:
        raise Problem("precondition-failed", "It has been changed since it was read.") from None
    except Invalid as bad:
        raise invalid([(pointer or "/", detail) for pointer, detail in bad.problems]) from None


async def expected(call: Call[Any, Any]) -> int | None:
    """The version that If-Match asks for; `*` asks that there is one at all."""
    wanted = if_match(call.request)
    if call.request.headers.get("If-Match") == "*" and await call.gateway.people.view(call.path["id"]) is None:
        raise Problem("precondition-failed", "There is no such customer yet.")
    return wanted


def shown(result: Result | None, status: int = 200) -> Answer:
    """A customer's view with its ETag. Raises Problem 404."""
    if result is None:
        raise not_found("customer")
    return Answer(status=status, body=result.view, headers=etag(result.version))
