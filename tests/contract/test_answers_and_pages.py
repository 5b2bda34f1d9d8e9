"""Answers on every channel, and the public pages behind signed links."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.contract.wire import path_of
from tests.contract.world import World

LONG = {"step": 600, "within": 900}
OPEN: dict[str, str | None] = {"Authorization": None}
FORM: dict[str, str | None] = {**OPEN, "Content-Type": "application/x-www-form-urlencoded"}

CHOICE = {
    "kind": "choice",
    "question": "Which?",
    "options": [{"id": "mon", "label": "Monday"}, {"id": "tue", "label": "Tuesday"}],
}
ANSWERS: list[tuple[dict[str, Any], str, Any]] = [
    ({"kind": "acknowledge"}, "1", True),
    ({"kind": "yes_no", "question": "On?"}, "YES", True),
    ({"kind": "yes_no", "question": "On?"}, "2", False),
    ({"kind": "scale", "min": 0, "max": 10, "question": "How likely?"}, " 7 ", 7),
    (CHOICE, "2", "tue"),
    (CHOICE, "monday", "mon"),
    ({"kind": "text", "question": "Tell us."}, "All is well", "All is well"),
]


@pytest.mark.parametrize("prompt, words, value", ANSWERS)
async def test_answers_by_sms(w: World, prompt: dict[str, Any], words: str, value: Any) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG, prompt=prompt)
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, words)
    now = await w.when(message, lambda one: one["answer"])
    assert (now["answer"]["value"], now["answer"]["channel"], now["answer"]["late"]) == (value, "sms", False)
    assert now["answer"]["text"].strip() == words.strip()
    done = await w.done(message)
    assert done["verdict"]["state"] == "reached"
    assert done["attempts"][0]["engagement"] in {"answered", "acknowledged"}


@pytest.mark.parametrize(
    "prompt, words", [({"kind": "scale", "min": 1, "max": 5, "question": "?"}, "9"), (CHOICE, "banana")]
)
async def test_what_does_not_fit_is_no_answer(w: World, prompt: dict[str, Any], words: str) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach={**LONG, "until": "acknowledged"}, prompt=prompt)
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, words)
    await w.twilio.inbound(person.number, "1")
    now = await w.when(message, lambda one: one["answer"])
    assert now["answer"]["text"].strip() == "1"


async def test_the_first_answer_counts(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach=LONG, prompt=CHOICE)
    await w.twilio.text(person.number)
    await w.twilio.inbound(person.number, "1")
    await w.when(message, lambda one: one["answer"])
    await w.twilio.inbound(person.number, "2")
    other = await w.send(person, reach=LONG, prompt=CHOICE)
    await w.twilio.text(person.number, 2)
    await w.twilio.inbound(person.number, "2")
    await w.when(other, lambda one: one["answer"])
    assert (await w.get(message))["answer"]["value"] == "mon"


async def test_prompts_and_until(w: World) -> None:
    person = await w.person("sms")
    given: dict[str, Any] = {"customer": person.id, "category": "outage", "content": {"text": "x"}}
    asked = (await w.api("POST", "/v1/messages", {**given, "prompt": {"kind": "acknowledge"}}, dry_run="true")).body
    assert asked["reach"]["until"] == "acknowledged"
    adds = (await w.api("POST", "/v1/messages", {**given, "reach": {"until": "acknowledged"}}, dry_run="true")).body
    assert adds["prompt"]["kind"] == "acknowledge"
    both = {**given, "prompt": {"kind": "acknowledge"}, "reach": {"until": "delivered"}}
    assert (await w.api("POST", "/v1/messages", both, dry_run="true")).body["reach"]["until"] == "delivered"


async def test_the_prompt_stays_open_after_the_verdict(w: World) -> None:
    person = await w.person("sms")
    message = await w.send(person, reach={**LONG, "until": "delivered"}, prompt={"kind": "acknowledge"})
    await w.twilio.report(await w.twilio.text(person.number), "delivered")
    done = await w.done(message)
    assert (done["verdict"]["level"], done["answer"]) == ("delivered", None)
    await w.twilio.inbound(person.number, "1")
    assert (await w.when(message, lambda one: one["answer"]))["answer"]["value"] is True


async def links(w: World, prompt: dict[str, Any]) -> tuple[Any, list[str]]:
    person = await w.person("email")
    message = await w.send(person, reach={**LONG, "until": "acknowledged"}, prompt=prompt)
    body = (await w.mail.mail(person.email)).get_body(("plain",))
    assert body is not None
    return message, [path_of(one) for one in re.findall(r"https?://\S+/a/\S+", body.get_content())]


async def test_nothing_counts_on_get(w: World) -> None:
    message, found = await links(w, {"kind": "yes_no", "question": "Is it on?"})
    assert len(found) == 2
    page = await w.api("GET", found[0], headers=OPEN)
    assert page.status == 200
    assert "Is it on?" in page.text
    await w.api("HEAD", found[0], headers=OPEN)
    assert (await w.get(message))["answer"] is None
    assert page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"]


PRESET: list[tuple[dict[str, Any], int]] = [
    ({"kind": "yes_no", "question": "Is it on?"}, 1),
    (CHOICE, 1),
]


@pytest.mark.parametrize("prompt, which", PRESET)
async def test_the_page_shows_the_answer_of_the_link_chosen(w: World, prompt: dict[str, Any], which: int) -> None:
    _, found = await links(w, prompt)
    page = await w.api("GET", found[which], headers=OPEN)
    chosen = [" checked" in one for one in re.findall(r"<input[^>]*radio[^>]*>", page.text)]
    assert [place for place, one in enumerate(chosen) if one] == [which], page.text


async def test_post_counts(w: World) -> None:
    message, found = await links(w, {"kind": "yes_no", "question": "Is it on?"})
    page = await w.api("GET", found[1], headers=OPEN)
    shown = re.findall(r'<input type="radio" name="([^"]+)" value="([^"]*)"', page.text)
    assert len(shown) == 2, page.text
    body = "=".join(shown[1])
    posted = await w.api("POST", found[1], raw=body.encode(), headers=FORM)
    assert posted.status in {200, 303}, posted
    now = await w.when(message, lambda one: one["answer"])
    assert now["answer"]["value"] is False
    assert now["answer"]["channel"] in {"email", "page"}, "the contract doesn't say which"
    assert (await w.done(message))["verdict"]["level"] == "acknowledged"


@pytest.mark.parametrize("kind", ["a", "m", "u"])
async def test_a_changed_link_opens_nothing(w: World, kind: str) -> None:
    person = await w.person("email")
    await w.send(person, category="service", reach=LONG, prompt={"kind": "yes_no", "question": "?"})
    raw = await w.mail.raw(person.email)
    found = re.search(rf"https?://[^\s\"<>]+/{kind}/([A-Za-z0-9_.~-]+)", raw.replace("=\n", ""))
    assert found, raw
    token = found[1]
    last = "A" if token[-2] != "A" else "B"
    for wrong in (token[:-2] + last + token[-1], token[:-6], "x", token + "x"):
        answer = await w.api("GET", f"/{kind}/{wrong}", headers=OPEN)
        assert answer.status in {400, 403, 404, 410}, wrong
        assert (await w.api("POST", f"/{kind}/{wrong}", raw=b"v=1", headers=FORM)).status in {400, 403, 404, 405, 410}


async def test_links_are_scoped(w: World) -> None:
    """A token of one kind opens no page of another."""
    person = await w.person("email")
    message = await w.send(person, category="service", reach=LONG, prompt={"kind": "yes_no", "question": "?"})
    raw = (await w.mail.raw(person.email)).replace("=\n", "")
    tokens = {kind: re.search(rf"https?://[^\s\"<>]+/{kind}/([A-Za-z0-9_.~-]+)", raw) for kind in "amu"}
    for kind, found in tokens.items():
        assert found, kind
        for other in "amu".replace(kind, ""):
            assert (await w.api("GET", f"/{other}/{found[1]}", headers=OPEN)).status in {400, 403, 404, 410}, (
                kind,
                other,
            )
    assert message["id"]


async def test_the_whole_message_page_escapes_what_it_shows(w: World) -> None:
    person = await w.person("email")
    await w.send(person, "<script>alert(1)</script> & done", category="service", reach=LONG)
    raw = (await w.mail.raw(person.email)).replace("=\n", "")
    found = re.search(r"https?://[^\s\"<>]+/m/[A-Za-z0-9_.~-]+", raw)
    assert found, raw
    page = await w.api("GET", path_of(found[0]), headers=OPEN)
    assert page.status == 200
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text
