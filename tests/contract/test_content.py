"""Content and templates: the part and the language for each channel, and nothing cut silently."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.contract.waiting import eventually
from tests.contract.wire import path_of
from tests.contract.world import World, fresh, in_time

LONG = {"step": 600, "within": 900}


async def preview(w: World, person: Any, content: Any, **more: Any) -> Any:
    given = {"customer": person.id, "category": "outage", "content": content, **more}
    answer = await w.api("POST", "/v1/messages", given, dry_run="true")
    assert answer.status == 200, answer
    return answer.body


LANGUAGES: list[tuple[str | None, str | None, str]] = [
    ("el", None, "EL"), ("el-CY", None, "EL"), ("zh-CN", None, "HANS"), ("zh-HK", None, "HANT"), ("fr", None, "EN"),
    (None, None, "EN"), ("fr", "el", "EL"), ("en-GB", None, "EN"),
]  # fmt: skip


@pytest.mark.parametrize("locale, wish, expected", LANGUAGES)
async def test_the_language_of_a_text(w: World, locale: str | None, wish: str | None, expected: str) -> None:
    person = await w.person("sms", locale=locale, preferences={"language": wish} if wish else None)
    await w.send(person, content={"text": {"en": "EN", "el": "EL", "zh-Hans": "HANS", "zh-Hant": "HANT"}})
    assert (await w.twilio.text(person.number)).form["Body"].startswith(expected)


async def test_each_channel_takes_its_own_part(w: World) -> None:
    person = await w.person("sms", "email", "wechat")
    data = base64.b64encode(b"a,b\n1,2\n").decode()
    content = {
        "subject": "The subject", "text": "Plain words", "html": "<p>Rich <b>words</b></p>",
        "wechat": {"template_id": "tpl-9", "data": {"thing1": {"value": "Cut"}}, "url": "https://example.org/x"},
        "attachments": [{"name": "plan.csv", "type": "text/csv", "data": data}],
    }  # fmt: skip
    await w.send(person, content=content, reach={**LONG, "mode": "all_at_once"})
    mail = await w.mail.mail(person.email)
    assert mail["Subject"] == "The subject"
    html, plain = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None
    assert plain is not None
    assert "Rich <b>words</b>" in html.get_content()
    assert "Plain words" in plain.get_content()
    files = list(mail.iter_attachments())
    assert [(one.get_filename(), one.get_content_type()) for one in files] == [("plan.csv", "text/csv")]
    sent = await w.wechat.got(person.openid)
    assert (sent["kind"], sent["template_id"], sent["data"]["thing1"]["value"]) == ("template", "tpl-9", "Cut")
    text = await w.twilio.text(person.number)
    assert text.form["Body"].startswith("Plain words")


async def test_what_a_channel_cannot_carry_stands_behind_a_link(w: World) -> None:
    person = await w.person("sms")
    data = base64.b64encode(b"hello file").decode()
    content = {"text": "See the plan.", "attachments": [{"name": "plan.txt", "type": "text/plain", "data": data}]}
    await w.send(person, content=content)
    text = await w.twilio.text(person.number)
    links = [one for one in text.links if "/m/" in one]
    assert links, text.form["Body"]
    page = await w.api("GET", path_of(links[0]), headers={"Authorization": None})
    assert page.status == 200
    assert "See the plan." in page.text


async def test_too_long_for_sms_skips_sms_and_cuts_nothing(w: World) -> None:
    person = await w.person("sms", "email")
    body = await preview(w, person, {"subject": "s", "text": "Ω" * 5000})
    assert [one["channel"] for one in body["route"]] == ["email"]
    assert {one["channel"]: one["why"]["code"] for one in body["skipped"]}["sms"] == "too_long"


async def test_no_wechat_template_outside_the_reply_window(w: World) -> None:
    person = await w.person("wechat")
    body = await preview(w, person, {"text": "x"})
    assert {one["channel"]: one["why"]["code"] for one in body["skipped"]}["wechat"] in {"no_template", "no_window"}
    await w.wechat.writes(person.openid, "hello there")

    async def open_now() -> bool:
        return bool((await preview(w, person, {"text": "x"}))["route"])

    await eventually(open_now, 10)
    message = await w.send(person, "Inside the window", reach=LONG)

    def came() -> list[dict[str, Any]]:
        return [one for one in w.wechat.sent if "Inside the window" in str(one)]  # a kind word to "hello" comes too

    [sent] = await eventually(came)
    assert (sent["kind"], sent["touser"]) == ("custom", person.openid)
    assert message["id"]


async def test_duplicate_addresses_and_foreign_countries_are_skipped_with_reasons(w: World) -> None:
    number = "+33612345678"
    person = await w.person("sms", number=number)
    body = await preview(w, person, {"text": "x"})
    assert [(one["channel"], one["why"]["code"]) for one in body["skipped"] if one["channel"] == "sms"] == [
        ("sms", "country")
    ]
    assert all(one["why"]["text"] for one in body["skipped"])


async def test_mail_headers_cannot_be_injected(w: World) -> None:
    person = await w.person("email")
    given = {
        "customer": person.id,
        "category": "outage",
        "content": {"subject": "Hi\r\nBcc: x@example.org", "text": "x"},
    }
    answer = await w.api("POST", "/v1/messages", given)
    if answer.status == 202:
        assert (await w.mail.mail(person.email))["Bcc"] is None
    else:
        assert answer.status == 422


TEMPLATE = {
    "locales": {
        "en": {
            "subject": "Visit on {{ day | date }}",
            "text": "Hello {{ name }}{% if again %} again{% endif %}.",
            "sms": "Hi {{ name }}",
        },
        "el": {"subject": "Επίσκεψη {{ day | date }}", "text": "Γεια {{ name }}."},
    }
}


async def test_templates_are_stored_versioned_and_pinned(w: World) -> None:
    name = f"t{fresh()[1:]}"
    made = await w.api("PUT", f"/v1/templates/{name}", TEMPLATE)
    assert made.status == 201
    assert made.body["id"] == name
    person = await w.person("sms", locale="en")
    data = {"name": "Ana", "day": "2026-12-01", "again": False}
    message = await w.send(person, template=name, data=data, send_at=in_time(seconds=2))
    assert message["template"] == {"id": name, "version": made.body["version"]}
    changed: Any = {"locales": {"en": {"text": "Changed {{ name }}", "sms": "Changed {{ name }}"}}}
    again = await w.api("PUT", f"/v1/templates/{name}", changed)
    assert again.status == 200
    assert again.body["version"] > made.body["version"]
    assert (await w.twilio.text(person.number)).form["Body"].startswith("Hi Ana")


async def test_data_is_checked_against_every_locale_and_channel(w: World) -> None:
    name = f"t{fresh()[1:]}"
    parts = {"en": {"text": "Hi {{ a }}"}, "el": {"subject": "{{ b }}", "text": "Γεια {{ a }}", "speech": "{{ c }}"}}
    assert (await w.api("PUT", f"/v1/templates/{name}", {"locales": parts})).status == 201
    person = await w.person("sms")
    answer = await w.api(
        "POST", "/v1/messages", {"customer": person.id, "category": "outage", "template": name, "data": {"a": 1}}
    )
    assert answer.status == 422
    assert {"/data/b", "/data/c"} <= answer.pointers, answer.body


BAD_TEMPLATES = [
    "{{ name", "{% include 'x' %}", "{{ name | upper }}", "{{ name.__class__ }}", "{% for a in b %}", "{{ 7 * 7 }}",
    "{{ ''.join(x) }}", "{% set a = 1 %}", "{% for i in range(9) %}{% endfor %}", "{{ name() }}", "{% macro m() %}{% endmacro %}",
    "{{ 'a' * 10 ** 9 }}",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_TEMPLATES)
async def test_nothing_else_is_allowed_in_templates(w: World, text: str) -> None:
    answer = await w.api("PUT", "/v1/templates/never-made", {"locales": {"en": {"text": text}}})
    assert answer.status == 422, answer
    assert "/locales/en/text" in answer.pointers
    assert (await w.api("GET", "/v1/templates/never-made")).status == 404


async def test_a_loop_is_bounded(w: World) -> None:
    name = f"t{fresh()[1:]}"
    text = "{% for a in rows %}{% for b in rows %}{% for c in rows %}x{% endfor %}{% endfor %}{% endfor %}"
    made = await w.api("PUT", f"/v1/templates/{name}", {"locales": {"en": {"text": text}}})
    if made.status == 422:
        return
    person = await w.person("sms")
    given = {"customer": person.id, "category": "outage", "template": name, "data": {"rows": list(range(3000))}}
    answer = await w.api("POST", "/v1/messages", given)
    assert answer.status in {413, 422}, answer.status


async def test_preview_shows_every_channel_with_segments(w: World) -> None:
    name = f"t{fresh()[1:]}"
    await w.api("PUT", f"/v1/templates/{name}", TEMPLATE)
    given = {"data": {"name": "Ana", "day": "2026-12-01", "again": False}, "locale": "el"}
    answer = await w.api("POST", f"/v1/templates/{name}/preview", given)
    assert answer.status == 200
    channels = answer.body["channels"]
    assert set(channels) >= {"sms", "email", "voice", "wechat"}
    assert channels["sms"]["text"].startswith("Γεια Ana")
    assert channels["sms"]["segments"]["units"] == 1
    assert channels["sms"]["segments"]["encoding"].upper().startswith("UCS")
    assert "2026" in channels["email"]["subject"]
    missing = await w.api("POST", f"/v1/templates/{name}/preview", {"data": {}})
    assert missing.status == 422


async def test_templates_are_listed_and_read(w: World) -> None:
    name = f"t{fresh()[1:]}"
    await w.api("PUT", f"/v1/templates/{name}", TEMPLATE)
    assert (await w.api("GET", f"/v1/templates/{name}")).body["locales"]["en"]["sms"] == "Hi {{ name }}"
    assert name in {one["id"] for one in (await w.api("GET", "/v1/templates")).body["items"]}
    assert (await w.api("GET", "/v1/templates/none-such")).status == 404


async def test_the_templates_text_is_escaped_in_html(w: World) -> None:
    name = f"t{fresh()[1:]}"
    await w.api(
        "PUT",
        f"/v1/templates/{name}",
        {"locales": {"en": {"subject": "s", "text": "{{ a }}", "html": "<p>{{ a }}</p>"}}},
    )
    person = await w.person("email")
    await w.send(person, template=name, data={"a": "<script>alert(1)</script>"})
    html = (await w.mail.mail(person.email)).get_body(("html",))
    assert html is not None
    assert "<script>alert" not in html.get_content()


async def test_literal_content_is_never_read_as_a_template(w: World) -> None:
    person = await w.person("sms")
    await w.send(person, "Use {{ name }} and {% if %}")
    assert "Use {{ name }} and {% if %}" in (await w.twilio.text(person.number)).form["Body"]
