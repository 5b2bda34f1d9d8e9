"""What `/v1/surveys` refuses, and who may look: every bad field at once, whatever else is wrong beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import FORM
from tests.support.running import Answer, Running, running


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        yield made


def named(answer: Answer) -> Counter[str]:
    """How often each field is named."""
    assert answer.status == 422, answer
    return Counter(error["pointer"] for error in answer.body["errors"])


async def test_who_may_write_may_look(gw: Running) -> None:
    operator, reader = await gw.new_key(scopes=["operate"]), await gw.new_key(scopes=["read"])
    assert (await gw.api("PUT", "/v1/surveys/visit", FORM, key=operator)).status == 201
    for key in (operator, reader):
        for path in (
            "surveys",
            "surveys/visit",
            "surveys/visit/invitations",
            "surveys/visit/results",
            "cases",
            "rules",
        ):
            assert (await gw.api("GET", f"/v1/{path}", key=key)).status == 200, path
    assert (await gw.api("PUT", "/v1/surveys/visit", FORM, key=reader)).status == 403
    sender = await gw.new_key(scopes=["send"])
    assert (await gw.api("GET", "/v1/surveys", key=sender)).status == 403


async def test_a_fault_of_type_hides_no_other(gw: Running) -> None:
    bad: dict[str, Any] = {
        "questions": [
            {"id": "a", "kind": "choice", "text": "Which?"},
            {"id": "b", "kind": "nps", "text": "", "options": [{"id": "x", "label": "X"}], "colour": "red"},
            {"id": "b", "kind": "ces", "text": "How easy?"},
        ],
        "alerts": [{"question": "z", "at_most": 3, "owner": "anna"}, {"question": "b", "at_most": 3, "owner": 7}],
        "title": {"en": ""},
        "x": 1,
    }
    found = named(await gw.api("PUT", "/v1/surveys/visit", bad))
    assert found == Counter(
        [
            "/x",
            "/questions/1/colour",
            "/alerts/1/owner",
            "/questions/0/options",
            "/questions/1/text",
            "/questions/1/options",
            "/questions/2/id",
            "/alerts/0/question",
            "/title/en",
        ]
    )


async def test_what_cannot_be_told_for_a_bad_field_is_not_said(gw: Running) -> None:
    bad: dict[str, Any] = {
        "questions": [
            {"id": 7, "kind": "nps", "text": "How likely?"},
            {
                "id": "b",
                "kind": "mood",
                "text": {"en": 5},
                "options": [{"id": "x", "label": 1}, {"id": "y", "label": "Y"}],
            },
        ],
        "alerts": [{"question": "a", "at_most": 3, "owner": "anna"}, {"question": "b", "owner": "anna"}],
    }
    assert named(await gw.api("PUT", "/v1/surveys/visit", bad)) == Counter(
        [
            "/questions/0/id",
            "/questions/1/kind",
            "/questions/1/text/en",
            "/questions/1/options/0/label",
            "/alerts/1/at_most",
        ]
    )
    for body in ({"questions": 1}, {"questions": [1, 2]}, {"title": 5}, {}):
        assert "/questions" in str(named(await gw.api("PUT", "/v1/surveys/visit", body)))


async def test_bad_invitations_name_every_field_once(gw: Running) -> None:
    assert (await gw.api("PUT", "/v1/surveys/visit", FORM)).status == 201
    path = "/v1/surveys/visit/invitations"
    only = named(await gw.api("POST", path, {"audience": {"customers": ["maria"]}}))
    assert only == Counter(["/data/who"])
    bad: dict[str, Any] = {
        "audience": {"customers": []},
        "reach": {"channels": ["fax"]},
        "case": "none",
        "x": 1,
        "closes_in": "soon",
    }
    assert named(await gw.api("POST", path, bad)) == Counter(
        ["/audience/customers", "/reach/channels/0", "/case", "/x", "/closes_in", "/data/who"]
    )
    assert named(await gw.api("POST", path, {"case": "none", "data": 1})) == Counter(["/audience", "/case", "/data"])
    assert named(await gw.api("POST", "/v1/surveys/none/invitations", {"case": "none"})) == Counter(["/audience"])
