"""The OpenAPI 3.1 document, generated from the table of operations and the very types that check the requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, cast

import msgspec

from gateway import __version__
from gateway.content.content import TEMPLATE_ID
from gateway.web.fields import collect
from gateway.web.operations import TAGS, NoQuery, Operation, Raw
from gateway.web.problems import CONTENT_TYPE, KINDS, ProblemOut

_PART: Final = re.compile(r"(\w+)/\{(\w+)\}")
_REF: Final = "#/components/schemas/{name}"
_PART_WORDS: Final = {"id": "The id.", "name": "The name."}
_PART_SCHEMAS: Final = {
    "customers": {"pattern": r"^~?[A-Za-z0-9._:@-]{1,128}$", "minLength": 1, "maxLength": 129},
    "rules": {"pattern": r"^[A-Za-z0-9._:@-]{1,128}$", "minLength": 1, "maxLength": 128},
    "templates": {"pattern": f"^{TEMPLATE_ID.pattern}$", "minLength": 1, "maxLength": 64},
}
"""By the collection that the part follows; ids of the others are opaque."""
_STATUS_WORDS: Final = {200: "Done", 201: "Made", 202: "Accepted durably", 204: "Done, nothing to show"}
_HEADER_WORDS: Final = {
    "ETag": "The version, for If-Match.",
    "Location": "Where what has just begun can be followed.",
    "Idempotency-Replayed": "`true`: this is the first answer again, nothing new was made.",
    "X-Request-Id": "The request's id: yours, or one made for it. It stands in every log line.",
}
_ABOUT: Final = """\
One call, and the gateway reaches the person over SMS, e-mail, WeChat or voice, by their own wishes, until your message
has arrived.

Every request needs `Authorization: Bearer gw_<mode>_<id>_<secret>`. Times are RFC 3339 with offset, durations whole
seconds. Unknown fields and parameters are refused. Every POST that makes something takes an `Idempotency-Key`: repeat
it as often as you like within 24 hours, it happens once.
"""


def document(operations: Sequence[Operation], server: str) -> dict[str, Any]:
    """The whole document. `server`: the public URL of this gateway."""
    types = _types(operations)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = dict(zip(map(_key, types), schemas, strict=True))
    queries = {operation.query.__name__ for operation in operations}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        made = _operation(operation, schema_of, components)
        _link(made["responses"], operation, operations)
        paths.setdefault(operation.path, {})[operation.method.lower()] = made
    paths |= _health_paths()
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Omnichannel customer messaging gateway",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "security": [{"key": []}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key: `gw_<mode>_<id>_<secret>`."}
            },
            "schemas": {name: components[name] for name in sorted(components) if name not in queries},
            "responses": {str(status): _problem(status) for status in sorted({k.status for k in KINDS.values()})},
            "headers": {
                name: {"description": words, "schema": {"type": "string"}} for name, words in _HEADER_WORDS.items()
            },
        },
    }
    # Through JSON and back, so that defaults are the lists and objects they will be read as.
    return msgspec.json.decode(msgspec.json.encode(whole), type=dict[str, Any])


def _types(operations: Sequence[Operation]) -> list[Any]:
    found: dict[str, Any] = {_key(ProblemOut): ProblemOut}
    for operation in operations:
        for one in (operation.query, operation.body, *operation.answers.values()):
            if one is not None and not isinstance(one, Raw):
                found.setdefault(_key(one), one)
    return list(found.values())


def _key(one: Any) -> str:
    return repr(one)


def _operation(operation: Operation, schema_of: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": "\n\n".join(
            filter(
                None, (operation.description, "Scope: " + " or ".join(f"`{scope}`" for scope in operation.scopes) + ".")
            )
        ),
        "security": [{"key": [scope]} for scope in operation.scopes],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation, components), *_headers(operation)],
        "responses": _responses(operation, schema_of),
    }
    body = _body(operation, schema_of)
    if body is not None:
        made["requestBody"] = body
    return made


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PART_WORDS.get(name, ""),
            "schema": {"type": "string"} | _PART_SCHEMAS.get(collection, {"minLength": 1, "maxLength": 128}),
        }
        for collection, name in _PART.findall(operation.path)
    ]


def _query_parameters(operation: Operation, components: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is NoQuery:
        return []
    schema = components[operation.query.__name__]
    made: list[dict[str, Any]] = []
    for name, part in cast("dict[str, dict[str, Any]]", schema["properties"]).items():
        plain = _without_null(part)
        words = plain.pop("description", part.get("description", ""))
        made.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "description": words,
                "schema": plain,
            }
        )
    return made


def _without_null(part: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not; it is never null."""
    options = [dict(one) for one in part.get("anyOf", ()) if one.get("type") != "null"]
    plain = {k: v for k, v in part.items() if not (k == "default" and v is None) and k != "anyOf"}
    if len(options) == 1:
        return {**options[0], **plain}
    values = [value for value in part.get("enum", ()) if value is not None]
    if values:
        plain["enum"] = values
    return {**plain, "anyOf": options} if options else plain


def _headers(operation: Operation) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if operation.creates:
        words = "Makes a repeat harmless: the same key and body give the first answer again, for 24 hours."
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[ -~]+$"}
        made.append(
            {"name": "Idempotency-Key", "in": "header", "required": False, "description": words, "schema": schema}
        )
    if operation.if_match:
        words = "Change it only if this ETag is still the present one."
        schema = {"type": "string", "pattern": r'^(\*|(W/)?"[0-9]{1,18}")$'}
        made.append({"name": "If-Match", "in": "header", "required": False, "description": words, "schema": schema})
    return made


def _body(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any] | None:
    if operation.body is None:
        return None
    if isinstance(operation.body, Raw):
        content: dict[str, Any] = {operation.body.content_type: {"schema": {"type": "string"}}}
        return {"required": True, "description": operation.body.description, "content": content}
    media: dict[str, Any] = {"schema": schema_of[_key(operation.body)]}
    if operation.example is not None:
        media["example"] = operation.example
    kinds = ["application/json"]
    if operation.method == "PATCH":
        kinds.insert(0, "application/merge-patch+json")
    # What needs no field may be left out as a whole; but a patch or a whole that says nothing is a mistake.
    required = operation.method != "POST" or bool(collect({}, operation.body))
    return {"required": required, "content": dict.fromkeys(kinds, media)}


def _responses(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    names = ["X-Request-Id", *(["Idempotency-Replayed"] if operation.creates else []), *operation.answer_headers]
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    made: dict[str, Any] = {}
    for status, answer in operation.answers.items():
        response: dict[str, Any] = {"description": _STATUS_WORDS[status], "headers": headers}
        if isinstance(answer, Raw):
            response["description"] = answer.description
            response["content"] = {answer.content_type: {"schema": {"type": "string"}}}
        elif answer is not None:
            response["content"] = {"application/json": {"schema": schema_of[_key(answer)]}}
        made[str(status)] = response
    for status in refusals(operation):
        made[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return made


def _link(responses: dict[str, Any], operation: Operation, operations: Sequence[Operation]) -> None:
    """Where one can go on from what has just been made: every operation on the thing of that id (OpenAPI, link object)."""
    by_caller = operation.method == "PUT"
    if not by_caller and not operation.creates:
        return
    place = operation.path if by_caller else operation.path + "/{id}"
    known = "$request.path.id" if by_caller else "$response.body#/id"
    onward = [one for one in operations if one.path.startswith(place) and one.name != operation.name]
    for status in map(str, operation.answers):
        if onward and status.startswith("2") and status != "200":
            responses[status]["links"] = {
                one.name: {"operationId": one.name, "parameters": {"id": known}} for one in onward
            }


def refusals(operation: Operation) -> list[int]:
    """Every status an operation may refuse with."""
    found = {401, 403, 422, 429, 500, 503, *operation.refuses}
    if operation.body is not None or operation.method == "POST":
        found |= {400, 408, 413, 415}
    if operation.creates:
        found.add(409)
    if operation.if_match:
        found.add(412)
    return sorted(found)


def _problem(status: int) -> dict[str, Any]:
    kinds = {code: kind for code, kind in KINDS.items() if kind.status == status}
    words = " · ".join(f"{kind.title} (`/problems/{code}`): {kind.remedy}" for code, kind in kinds.items())
    headers: dict[str, Any] = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    if status in (429, 503):
        headers["Retry-After"] = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    return {
        "description": words,
        "headers": headers,
        "content": {CONTENT_TYPE: {"schema": {"$ref": _REF.format(name="ProblemOut")}}},
    }


def _health_paths() -> dict[str, Any]:
    def text(words: str) -> dict[str, Any]:
        return {"description": words, "content": {"application/json": {"schema": {"type": "object"}}}}

    return {
        "/healthz": {
            "get": {
                "operationId": "alive",
                "tags": ["Health"],
                "summary": "The process answers",
                "security": [],
                "responses": {"200": text("It does.")},
            }
        },
        "/readyz": {
            "get": {
                "operationId": "ready",
                "tags": ["Health"],
                "summary": "Messages can be taken and are worked on",
                "security": [],
                "responses": {
                    "200": text('They are; "degraded" while nothing new is taken for want of memory.'),
                    "503": text("They are not; the answer says why."),
                },
            }
        },
    }  # fmt: skip - a table
