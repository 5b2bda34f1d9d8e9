"""Errors as RFC 9457 problems: a stable type, a sentence, and every bad field at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

import msgspec
from aiohttp import web

CONTENT_TYPE: Final = "application/problem+json"


class Kind(msgspec.Struct, frozen=True):
    """One type of problem: its HTTP status, title, and what the caller can do about it."""

    status: int
    title: str
    remedy: str


KINDS: Final[dict[str, Kind]] = {
    "not-json": Kind(
        400, "Not JSON", "Send one JSON document in UTF-8, with no key twice, no NaN, nested at most 32 deep."
    ),
    "bad-request": Kind(400, "Bad request", "Correct the request as the detail says."),
    "unauthorized": Kind(
        401, "No valid API key", "Send 'Authorization: Bearer gw_<mode>_<id>_<secret>' with a live key."
    ),
    "forbidden": Kind(403, "Not allowed", "Use a key with the scope and mode that the detail names."),
    "forged": Kind(403, "Signature refused", "Callbacks are taken only from the provider itself."),
    "not-found": Kind(404, "Not found", "Check the path and the id; ids of another mode are not found."),
    "method-not-allowed": Kind(405, "Method not allowed", "Use one of the methods in the Allow header."),
    "timeout": Kind(408, "Body too slow", "Send the whole body within the time the detail names."),
    "conflict": Kind(409, "Conflict", "The detail says what the request conflicts with."),
    "idempotency-mismatch": Kind(409, "Idempotency-Key used for another body", "Make a new key for a new request."),
    "precondition-failed": Kind(412, "Changed meanwhile", "Read it again and repeat with the new ETag."),
    "too-large": Kind(413, "Body too large", "Send less at once, within the limit that the detail names."),
    "unsupported-media-type": Kind(
        415, "Unsupported media type", "Send the Content-Type that the detail names, unpacked."
    ),
    "invalid": Kind(422, "Invalid fields", "Correct every entry of 'errors'; nothing has been done."),
    "too-many-requests": Kind(429, "Too many requests", "Wait as long as Retry-After says."),
    "internal": Kind(500, "Internal error", "A fault of the gateway: report it with the X-Request-Id of this answer."),
    "unavailable": Kind(
        503, "Not available now", "Nothing is lost: repeat after Retry-After, with the same Idempotency-Key."
    ),
}
FROM_STATUS: Final[dict[int, str]] = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "timeout",
    413: "too-large",
    415: "unsupported-media-type",
}  # fmt: skip - a table


class FieldError(msgspec.Struct, frozen=True):
    """One bad field."""

    pointer: Annotated[
        str, msgspec.Meta(description="JSON pointer into the body; `?name` for a parameter, `:name` for a header.")
    ]
    detail: Annotated[str, msgspec.Meta(description="What is wrong with it, and what would be right.")]


class ProblemOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"kind": "type"}):
    """An error (RFC 9457)."""

    kind: Annotated[str, msgspec.Meta(description="`/problems/<code>`: stable, and a page that explains it.")]
    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldError, ...] = ()


class Problem(Exception):
    """A refusal on its way to the caller. `code` is a key of `KINDS`; `errors` are (pointer, detail).

    `slow`: it comes of too much being asked, and who is answered at once would only ask again the sooner.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        *,
        slow: bool = False,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.status = KINDS[code].status
        self.detail = detail
        self.slow = slow
        self.errors = tuple(FieldError(pointer, text) for pointer, text in errors)
        self.headers = dict(headers or {})

    def out(self) -> ProblemOut:
        """The problem as it is sent."""
        kind = KINDS[self.code]
        return ProblemOut(
            kind=f"/problems/{self.code}",
            title=kind.title,
            status=kind.status,
            detail=self.detail or kind.remedy,
            errors=self.errors,
        )

    def response(self) -> web.Response:
        """The problem as an answer."""
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(self.out()),
            content_type=CONTENT_TYPE,
            headers=self.headers,
        )


def invalid(errors: Sequence[tuple[str, str]], detail: str = "") -> Problem:
    """422 with every bad field; (pointer, detail)."""
    return Problem(
        "invalid", detail or f"{len(errors)} field{'s are' if len(errors) != 1 else ' is'} not valid.", errors
    )


def not_found(what: str) -> Problem:
    """404: there is no `what` of that id, in this mode."""
    return Problem("not-found", f"There is no {what} of that id here.")


def unavailable(detail: str, retry_after: int = 5) -> Problem:
    """503 with Retry-After in seconds."""
    return Problem("unavailable", detail, headers={"Retry-After": str(retry_after)})
