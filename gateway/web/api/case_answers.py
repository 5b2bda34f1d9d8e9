"""What every operation on a case shares: how it is shown, and refusals as problems."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from gateway.cases.machine import NotNow
from gateway.cases.nouns import Case
from gateway.web.api.case_types import case_out
from gateway.web.api.ids import etag
from gateway.web.operations import Answer, Call
from gateway.web.problems import Problem, not_found

T = TypeVar("T")
ETAG: Final = {"ETag": ""}


async def done(change: Awaitable[T]) -> T:
    """A change of a case, with its refusals as problems."""
    try:
        return await change
    except KeyError:
        raise not_found("case") from None
    except NotNow as refused:
        raise Problem("conflict", str(refused)) from None


def shown(case: Case, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A case, with its ETag."""
    return Answer(
        status=status,
        body=case_out(case),
        headers=etag(case.version) | (headers or {}),
        concerns=case.customer,
    )


def token(call: Call[Any, Any]) -> str:
    """Names the request; a repeat has the same."""
    return call.seed.seed.hex()
