"""What the tests of surveys, cases and threads share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from tests.contract.client import Answer
from tests.contract.waiting import eventually
from tests.contract.wire import path_of
from tests.contract.world import Person, World

LOOK: dict[str, str | None] = {"Authorization": None}
FORM: dict[str, str | None] = {**LOOK, "Content-Type": "application/x-www-form-urlencoded"}
ALERT = {"question": "nps", "at_most": 6, "owner": "anna", "due_in": 14400}
QUESTIONS: dict[str, dict[str, Any]] = {
    "nps": {"id": "nps", "kind": "nps", "text": "How likely?"},
    "csat": {"id": "csat", "kind": "csat", "text": "How content?"},
    "ces": {"id": "ces", "kind": "ces", "text": "How easy?"},
    "yes": {"id": "yes", "kind": "yes_no", "text": "All well?"},
    "pick": {
        "id": "pick", "kind": "choice", "text": "Which <b>?",
        "options": [{"id": "a", "label": "Alpha & co"}, {"id": "b", "label": "Beta"}],
    },
    "why": {"id": "why", "kind": "text", "text": "What is the main reason?"},
}  # fmt: skip


async def put(w: World, survey: str, *names: str, **more: Any) -> Answer:
    """A survey of such questions."""
    given = {"questions": [QUESTIONS[name] for name in names], **more}
    stored = await w.api("PUT", f"/v1/surveys/{survey}", given)
    assert stored.status in {200, 201}, stored
    return stored


async def invite(w: World, survey: str, *people: Person, **more: Any) -> Any:
    given = {"audience": {"customers": [one.id for one in people]}, **more}
    answer = await w.api("POST", f"/v1/surveys/{survey}/invitations", given)
    assert answer.status == 202, answer
    return answer.body


async def results(w: World, survey: str, **query: Any) -> Any:
    answer = await w.api("GET", f"/v1/surveys/{survey}/results", **query)
    assert answer.status == 200, answer
    return answer.body


async def results_when(w: World, survey: str, fits: Callable[[Any], object]) -> Any:
    """The results, as soon as they fit."""
    seen: list[Any] = []

    async def look() -> Any:
        seen[:] = [await results(w, survey)]
        return seen[0] if fits(seen[0]) else None

    return await eventually(look, 30, lambda: seen)


def question(shown: Any, name: str) -> Any:
    return next(one for one in shown["questions"] if one["id"] == name)


def given(shown: Any, name: str) -> dict[str, int]:
    """The answers that were given, and how often."""
    return {value: count for value, count in question(shown, name)["counts"].items() if count}


async def asked(w: World, who: Person, *words: str) -> str:
    """Say these one after the other by SMS, each when it was asked for; the text that follows."""
    body = (await w.twilio.text(who.number)).form["Body"]
    for count, said in enumerate(words, 2):
        assert (await w.twilio.inbound(who.number, said))[0] == 200
        body = (await w.twilio.text(who.number, count)).form["Body"]
    return body


def texts(w: World, who: Person) -> list[str]:
    return [one.form["Body"] for one in w.twilio.texts if one.to == who.number]


async def mine(w: World, who: Person, path: str = "/v1/messages") -> list[Any]:
    answer = await w.api("GET", path, customer=who.id)
    assert answer.status == 200, answer
    return answer.body["items"]


async def cases(w: World, who: Person, count: int = 1, seconds: float = 30) -> list[Any]:
    """The person's cases, once there are so many."""

    async def look() -> list[Any] | None:
        found = await mine(w, who, "/v1/cases")
        return found if len(found) >= count else None

    return await eventually(look, seconds)


async def links(w: World, who: Person) -> list[str]:
    """The links of the HTML part that answer, in order."""
    part = (await w.mail.mail(who.email)).get_body(("html",))
    assert part is not None
    return [path_of(one.replace("&amp;", "&")) for one in re.findall(r'"(https?://[^"]+/a/[^"]+)"', part.get_content())]


async def look(w: World, link: str, method: str = "GET") -> str:
    shown = await w.api(method, link, headers=LOOK)
    assert shown.status == 200, shown
    return shown.text


async def post(w: World, link: str, fields: Mapping[str, str], status: int = 200) -> str:
    answer = await w.api("POST", link, raw=urlencode(fields).encode(), headers=FORM)
    assert answer.status == status, answer
    return answer.text


async def new_case(w: World, who: Person, **more: Any) -> str:
    """A case; its path."""
    made = await w.api("POST", "/v1/cases", {"customer": who.id, "subject": "your bill", "kind": "billing", **more})
    assert made.status == 201, made
    return f"/v1/cases/{made.body['id']}"


async def case_when(w: World, path: str, fits: Callable[[Any], object]) -> Any:
    """The case, as soon as it fits."""
    seen: list[Any] = []

    async def look_at() -> Any:
        answer = await w.api("GET", path)
        assert answer.status == 200, answer
        seen[:] = [answer.body]
        return seen[0] if fits(seen[0]) else None

    return await eventually(look_at, 30, lambda: seen)


async def timeline(w: World, who: Person, **query: Any) -> list[Any]:
    answer = await w.api("GET", f"/v1/customers/{who.id}/timeline", **query)
    assert answer.status == 200, answer
    return answer.body["items"]
