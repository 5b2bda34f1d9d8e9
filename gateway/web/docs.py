"""`/docs`: the OpenAPI document as a page to read, made on the server, complete without network or JavaScript."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from jinja2 import Environment
from markupsafe import Markup, escape

from gateway.web.openapi import refusals
from gateway.web.operations import TAGS, Operation, Raw
from gateway.web.page_texts import environment
from gateway.web.problems import KINDS

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_CODE: Final = re.compile(r"`([^`]+)`")


class Row(msgspec.Struct, frozen=True):
    """One field of a type. `kind` is safe HTML."""

    name: str
    kind: Markup
    words: Markup
    required: bool


class Shape(msgspec.Struct, frozen=True):
    """One type: its fields, or its plain form."""

    name: str
    words: Markup
    rows: tuple[Row, ...]
    kind: Markup


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One operation, ready to be shown."""

    operation: Operation
    words: Markup
    curl: str
    parameters: tuple[Row, ...]
    body: Markup
    answers: tuple[tuple[int, Markup], ...]
    refusals: tuple[tuple[int, str], ...]


def docs_page(document: dict[str, Any], operations: Sequence[Operation]) -> str:
    """The whole page as HTML."""
    schemas = cast("dict[str, dict[str, Any]]", document["components"]["schemas"])
    server = cast("str", document["servers"][0]["url"])
    groups = [
        (tag, words, [_entry(one, document, server) for one in operations if one.tag == tag])
        for tag, words in TAGS.items()
    ]
    made: Environment = environment()
    return made.get_template("docs.html").render(
        language="en",
        title=document["info"]["title"],
        version=document["info"]["version"],
        about=[_words(part.replace("\n", " ")) for part in document["info"]["description"].strip().split("\n\n")],
        server=server,
        groups=[group for group in groups if group[2]],
        shapes=[_shape(name, schema) for name, schema in schemas.items()],
        kinds=KINDS,
    )


def problem_page(code: str) -> str | None:
    """What a problem's type means; None when there is no such type."""
    kind = KINDS.get(code)
    if kind is None:
        return None
    return environment().get_template("problem.html").render(language="en", title=kind.title, code=code, kind=kind)


def _words(text: str) -> Markup:
    """Plain text with `code` in it."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just before


def _entry(operation: Operation, document: dict[str, Any], server: str) -> Entry:
    described = cast("dict[str, Any]", document["paths"][operation.path][operation.method.lower()])
    return Entry(
        operation=operation,
        words=_words(operation.description),
        curl=curl(operation, server),
        parameters=tuple(
            Row(
                f"{one['name']}",
                _kind(one["schema"]),
                _words(f"In the {one['in']}. {one['description']}"),
                one["required"],
            )
            for one in described["parameters"]
        ),
        body=_body(operation, described),
        answers=tuple((status, _answer(status, described)) for status in operation.answers),
        refusals=tuple((status, _titles(status)) for status in refusals(operation)),
    )


def _titles(status: int) -> str:
    return ", ".join(kind.title for kind in KINDS.values() if kind.status == status)


def _body(operation: Operation, described: dict[str, Any]) -> Markup:
    if operation.body is None:
        return Markup()
    if isinstance(operation.body, Raw):
        return _words(operation.body.description)
    return _kind(next(iter(described["requestBody"]["content"].values()))["schema"])


def _answer(status: int, described: dict[str, Any]) -> Markup:
    content = cast("dict[str, Any]", described["responses"][str(status)].get("content", {}))
    return next((_kind(media["schema"]) for media in content.values()), Markup("no body"))


def curl(operation: Operation, server: str) -> str:
    """A command that can be pasted into a shell; the key stands in $GATEWAY_KEY."""
    path = re.sub(r"\{(\w+)\}", lambda part: operation.example_path.get(part[1], _sample(operation)), operation.path)
    lines = [f"curl -X {operation.method} {shlex.quote(server + path + operation.example_query)}"]
    lines.append('  -H "Authorization: Bearer $GATEWAY_KEY"')
    if operation.creates:
        lines.append('  -H "Idempotency-Key: $(uuidgen)"')
    if isinstance(operation.body, Raw):
        lines += [f"  -H 'Content-Type: {operation.body.content_type}'", "  --data-binary @customers.ndjson"]
    elif operation.body is not None and operation.example is not None:
        lines.append("  -H 'Content-Type: application/json'")
        lines.append(f"  -d {shlex.quote(json.dumps(operation.example, ensure_ascii=False, indent=2))}")
    return " \\\n".join(lines)


def _sample(operation: Operation) -> str:
    return {"Customers": "c-1001", "Messages": "$MESSAGE", "Templates": "outage-notice"}.get(operation.tag, "$ID")


def _shape(name: str, schema: dict[str, Any]) -> Shape:
    required = schema.get("required", ())
    rows = [
        Row(field, _kind(part), _words(_described(part)), field in required)
        for field, part in cast("dict[str, dict[str, Any]]", schema.get("properties", {})).items()
    ]
    return Shape(name, _words(schema.get("description", "")), tuple(rows), Markup() if rows else _kind(schema))


def _described(part: Mapping[str, Any]) -> str:
    own = part.get("description", "")
    inner = [one.get("description", "") for one in part.get("anyOf", ())]
    words = [own, *inner, *_limits(part)]
    if "default" in part and part["default"] not in (None, {}, [], ""):
        words.append(f"Default `{json.dumps(part['default'])}`.")
    return " ".join(dict.fromkeys(word for word in words if word))


def _limits(part: Mapping[str, Any]) -> list[str]:
    words = {
        "minimum": "at least",
        "maximum": "at most",
        "maxLength": "up to",
        "maxItems": "up to",
    }  # fmt: skip - a table
    units = {"maxLength": " characters", "maxItems": " entries"}
    found = [f"{text} {part[name]}{units.get(name, '')}" for name, text in words.items() if name in part]
    return [f"{'; '.join(found).capitalize()}."] if found else []


def _kind(schema: Mapping[str, Any]) -> Markup:
    """A type in a few words, with links to the types it names."""
    if "$ref" in schema:
        name = cast("str", schema["$ref"]).rpartition("/")[2]
        return Markup('<a href="#type-{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" or ").join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return Markup(" · ").join(Markup("<code>{}</code>").format(json.dumps(one)) for one in schema["enum"])
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema.get("items") or {}))
    extra = schema.get("additionalProperties")
    if schema.get("type") == "object" and isinstance(extra, dict):
        return Markup("object of {}").format(_kind(cast("dict[str, Any]", extra)))
    named = {"integer": "whole number", "boolean": "true or false", "date-time": "time", None: "anything"}
    kind = schema.get("format") or schema.get("type")
    return Markup(escape(named.get(kind, kind)))  # noqa: S704 - escaped right here
