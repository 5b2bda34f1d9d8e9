"""The OpenAPI document: valid, whole, and true to what is served."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
from openapi_spec_validator import validate

from gateway.web.api.table import OPERATIONS
from gateway.web.docs import curl, docs_page, problem_page
from gateway.web.fields import convert
from gateway.web.openapi import document
from gateway.web.operations import TAGS, Operation, Raw
from gateway.web.page_texts import HERE
from gateway.web.problems import KINDS

SERVER = "https://gateway.example.com"
EVERY = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def doc() -> dict[str, Any]:
    return document(OPERATIONS, SERVER)


def test_it_is_valid(doc: dict[str, Any]) -> None:
    validate(doc)
    assert doc["openapi"].startswith("3.1")


def test_every_reference_leads_somewhere(doc: dict[str, Any]) -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(doc))):
        place: Any = doc
        for step in reference.split("/"):
            place = place[step]


def test_what_is_made_links_to_what_can_be_done_with_it(doc: dict[str, Any]) -> None:
    names = {one.name for one in OPERATIONS}
    made = doc["paths"]["/v1/messages"]["post"]["responses"]["202"]["links"]
    assert set(made) == {"getMessage", "cancelMessage", "acknowledgeMessage", "retryMessage"}
    for methods in doc["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                assert {link["operationId"] for link in response.get("links", {}).values()} <= names


def test_names_and_paths_are_told_apart() -> None:
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)
    assert len({(one.method, one.path) for one in OPERATIONS}) == len(OPERATIONS)
    assert {one.tag for one in OPERATIONS} <= set(TAGS)


@EVERY
def test_requests_and_refusals_are_described(doc: dict[str, Any], operation: Operation) -> None:
    described = doc["paths"][operation.path][operation.method.lower()]
    assert described["summary"]
    assert described["security"] == [{"key": [scope]} for scope in operation.scopes]
    assert {"401", "403", "422", "429", "503"} <= set(described["responses"])
    parts = {one["name"] for one in described["parameters"] if one["in"] == "path"}
    assert parts == set(re.findall(r"\{(\w+)\}", operation.path))
    headers = {one["name"] for one in described["parameters"] if one["in"] == "header"}
    assert ("Idempotency-Key" in headers) == operation.creates
    if operation.body is None or isinstance(operation.body, Raw):
        return
    content = described["requestBody"]["content"]
    assert all(media["schema"]["$ref"].endswith(operation.body.__name__) for media in content.values())


@EVERY
def test_unknown_fields_are_refused_everywhere(doc: dict[str, Any], operation: Operation) -> None:
    if operation.body is not None and not isinstance(operation.body, Raw):
        assert doc["components"]["schemas"][operation.body.__name__]["additionalProperties"] is False


@EVERY
def test_examples_are_taken_by_their_own_types(operation: Operation) -> None:
    if operation.example is not None:
        convert(operation.example, operation.body)
    elif operation.method in ("PUT", "PATCH"):
        pytest.fail("a change without an example")


@EVERY
def test_curl_lines_can_be_pasted(operation: Operation) -> None:
    words = shlex.split(curl(operation, SERVER))
    assert words[:3] == ["curl", "-X", operation.method]
    assert "{" not in words[3]
    if "-d" in words:
        assert json.loads(words[words.index("-d") + 1]) == operation.example


def test_the_page_shows_everything_and_loads_nothing_from_elsewhere(doc: dict[str, Any]) -> None:
    page = docs_page(doc, OPERATIONS)
    for operation in OPERATIONS:
        assert f'id="{operation.name}"' in page
    for name in doc["components"]["schemas"]:
        assert f'id="type-{name}"' in page
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'(?:src|href)="([^#"][^"]*)"', page)) <= {
        "/assets/docs.css",
        "/assets/docs.js",
        "/assets/icon.svg",
        "/openapi.json",
        *(f"/problems/{code}" for code in KINDS),
    }  # fmt: skip - a set
    assert not re.search(r"<script(?! src)|<style| style=| on\w+=", page)


@pytest.mark.parametrize("path", sorted((HERE / "static").iterdir()), ids=lambda path: path.name)
def test_static_files_stay_at_home(path: Any) -> None:
    assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\(", path.read_text())


def test_every_problem_has_a_page() -> None:
    assert all(problem_page(code) for code in KINDS)
    assert problem_page("nothing") is None
