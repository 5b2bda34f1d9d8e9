"""From a request to an operation and back: key, parameters, body, idempotency, answer. The same for every operation."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.store.idempotency import Mismatch, Replay, Resume, body_digest
from gateway.web.admission import Admission
from gateway.web.auth import Auth, Rates, require_live
from gateway.web.context import Gateway
from gateway.web.fields import collect, convert, unknown
from gateway.web.json_body import parsed, read_body, require_type
from gateway.web.operations import Answer, Call, Operation, Raw
from gateway.web.problems import Problem, invalid

_IDEMPOTENCY_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
# In a query a plus sign means a blank, and the plus of a time's offset is rarely written as %2B.
_BLANK_FOR_PLUS: Final = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?) (\d\d:\d\d)")
_NOTHING: Final = b"{}"
_OF_CUSTOMER: Final = "/v1/customers/{id}/"
REPLAYED: Final = "Idempotency-Replayed"


def add_operations(app: web.Application, gateway: Gateway, operations: Sequence[Operation]) -> None:
    """Serve a table of operations."""
    auth = Auth(gateway.api_keys, Rates(gateway.clock.now))
    door = Admission(gateway.room, gateway.metrics)
    for operation in operations:
        handler = handler_of(operation, gateway, auth, door)
        app.router.add_route(operation.method, operation.path, handler)


def handler_of(operation: Operation, gateway: Gateway, auth: Auth, door: Admission) -> Handler:
    """The aiohttp handler of an operation."""

    async def handle(request: web.Request) -> web.StreamResponse:
        key = await auth.principal(request, *operation.scopes)
        if operation.live_only:
            require_live(key)
        query, wrong = read_query(request, operation.query)
        dry = getattr(query, "dry_run", False)
        if operation.stores and not dry:
            door.new()
        with door.body(_announced(request, operation)):
            body = await _read(request, operation)
            with door.under_way(operation.lane(gateway, body), operation.places):
                call = Call[Any, Any](
                    request, gateway, key, query, None, await parsed(body), gateway.idempotency.unkeyed(), door
                )
                return await _answer(operation, call, wrong, dry=dry)

    return handle


async def _answer(
    operation: Operation, call: Call[Any, Any], wrong: list[tuple[str, str]], *, dry: bool
) -> web.StreamResponse:
    """Check what is left to check, and let the operation answer. `wrong`: what is already known to be."""
    try:
        if operation.body is not None and not isinstance(operation.body, Raw):
            call.body = await _body(operation, call)
    except Problem as bad:
        raise invalid([*wrong, *((error.pointer, error.detail) for error in bad.errors)]) from None
    if wrong:
        raise invalid(wrong)
    once = idempotency_key(call.request) if operation.creates else None
    if once is not None and not dry:
        return await _once(operation, call, once)
    return answered(await operation.handler(call))


async def _body(operation: Operation, call: Call[Any, Any]) -> Any:
    """The typed body. Where fields have the wrong type, the others are checked all the same, to name all at once."""
    try:
        return convert(call.tree, operation.body)
    except Problem as bad:
        if operation.check is None or not _is_object(call.tree):
            raise
        known = {error.pointer for error in bad.errors}
        more = await operation.check(call, {pointer.split("/")[1] for pointer in known})
        new = [fault for fault in more if fault[0] not in known]
        raise invalid([*((error.pointer, error.detail) for error in bad.errors), *new]) from None


def _is_object(tree: object) -> bool:
    return isinstance(tree, dict)


def _announced(request: web.Request, operation: Operation) -> int:
    """How many bytes of body may have to be held; where nobody says how long it is, as many as may come."""
    if isinstance(operation.body, Raw) or not request.can_read_body:
        return 0
    length = request.content_length
    return operation.limit if length is None else min(length, operation.limit)


async def _read(request: web.Request, operation: Operation) -> bytes:
    """The body as it came. Bodies of which every field may be left out may be left out themselves."""
    if isinstance(operation.body, Raw):
        return _NOTHING
    if operation.body is None:
        if (await read_body(request, operation.limit, operation.seconds)).strip() not in (b"", _NOTHING):
            raise invalid([("/", "This request takes no body.")])
        return _NOTHING
    if operation.method == "POST" and not request.can_read_body and not collect({}, operation.body):
        return _NOTHING
    require_type(
        request, *(("application/merge-patch+json",) if operation.method == "PATCH" else ()), "application/json"
    )
    return await read_body(request, operation.limit, operation.seconds)


async def _once(operation: Operation, call: Call[Any, Any], key: str) -> web.StreamResponse:
    """Run a creating operation at most once for its Idempotency-Key; a repeat gets the first answer."""
    store, mode, digest = call.gateway.idempotency, call.key.mode, body_digest(call.tree)
    claim = await store.claim(mode, key, digest)
    if isinstance(claim, Mismatch):
        raise Problem(
            "idempotency-mismatch", "This Idempotency-Key was used for another body within the last 24 hours."
        )
    if isinstance(claim, Replay):
        return _replay(claim)
    call.seed = claim
    try:
        answer = await operation.handler(call)
    except Problem as problem:
        if problem.status < 500:
            await store.forget(mode, key, claim)
        raise
    if isinstance(answer, Answer) and operation.keeps_answer:
        body = msgspec.json.encode(answer.body)
        whose = call.path["id"] if operation.path.startswith(_OF_CUSTOMER) else answer.concerns
        if whose is not None:
            await store.concerns(mode, key, whose)
        earlier = await store.finish(mode, key, digest, claim, answer.status, body)
        if whose is not None:
            await call.gateway.answer_eraser.late(mode, key, whose)
        return _replay(earlier) if earlier is not None else _encoded(answer, body)
    response = answered(answer)
    if isinstance(claim, Resume):
        response.headers[REPLAYED] = "true"
    return response


def idempotency_key(request: web.Request) -> str | None:
    """The request's Idempotency-Key, or None. Raises Problem 422."""
    given = request.headers.getall("Idempotency-Key", [])
    if not given:
        return None
    if len(given) > 1 or not _IDEMPOTENCY_KEY.fullmatch(given[0]):
        raise invalid([(":Idempotency-Key", "must be one header with 1 to 255 printable ASCII characters.")])
    return given[0]


def read_query(request: web.Request, wanted: Any) -> tuple[Any, list[tuple[str, str]]]:
    """The parameters as a value of `wanted`, and what is wrong with them: unknown, repeated and bad ones, all at once."""
    fields, values = _parameters(wanted), dict[str, Any]()
    faults: list[tuple[str, str]] = []
    for name, text in request.query.items():
        if name not in fields:
            faults.append((f"?{name}", unknown(name, fields)))
        elif name in values:
            faults.append((f"?{name}", "must be given once."))
        else:
            values[name] = value = _BLANK_FOR_PLUS.sub(r"\1+\2", text)
            found = collect(value, fields[name], strict=False)
            faults += [(f"?{name}", detail) for _, detail in found]
            if not found:
                values[name] = msgspec.convert(value, fields[name], strict=False)
    needed = (field.name for field in msgspec.structs.fields(wanted) if field.required)
    faults += [(f"?{name}", "is required.") for name in needed if name not in request.query]
    return (None if faults else wanted(**values)), faults


@functools.cache
def _parameters(wanted: Any) -> dict[str, Any]:
    """Each parameter's type, without None: a parameter is there or not, and the text `null` is a text."""
    hints = get_type_hints(wanted, include_extras=True)
    return {name: _given(hint) for name, hint in hints.items()}


def _given(hint: Any) -> Any:
    members = [member for member in get_args(hint) if member is not type(None)]
    return members[0] if get_origin(hint) in (Union, UnionType) and len(members) == 1 else hint


def answered(answer: Answer | web.StreamResponse) -> web.StreamResponse:
    """An answer as a response."""
    if isinstance(answer, web.StreamResponse):
        return answer
    return _encoded(answer, b"" if answer.body is None else msgspec.json.encode(answer.body))


def _encoded(answer: Answer, body: bytes) -> web.Response:
    headers = {**answer.headers, "Content-Type": "application/json"} if body else answer.headers
    return web.Response(status=answer.status, body=body, headers=headers)


def _replay(kept: Replay) -> web.Response:
    return web.Response(status=kept.status, body=kept.body, content_type="application/json", headers={REPLAYED: "true"})
