"""The preference page: what a person sets there, who may open it, and what the ledger says of it afterwards."""

from __future__ import annotations

import re

import pytest

from tests.contract.self_service import Centre, addresses, dry, ledger, open_to, said
from tests.contract.world import World, fresh

HOSTILE = "\"><script>alert(1)</script>'{{7*7}}"


async def test_a_kind_is_switched_off_and_on_with_the_words_that_were_seen(w: World) -> None:
    person = await w.person("sms", "email")
    page = await Centre.of(w, person)
    await page.switch("survey", "0")
    assert await open_to(w, person, "survey") == set()
    assert await open_to(w, person) == {"sms", "email"}
    await page.switch("survey", "1")
    assert await open_to(w, person, "survey") == {"sms", "email"}
    entries = await ledger(w, person)
    assert [(one["category"], one["state"], one["way"]) for one in entries] == [
        ("survey", "granted", "page"),
        ("survey", "withdrawn", "page"),
    ]
    assert all("Surveys" in one["wording"] and one["version"] for one in entries)


@pytest.mark.parametrize("language", ["el", "zh-Hans", "zh-Hant"])
async def test_the_ledger_keeps_the_language_of_the_page(w: World, language: str) -> None:
    person = await w.person("sms")
    page = await Centre.of(w, person)
    shown = (await page.get(f"?lang={language}")).text
    assert f'<html lang="{language}"' in shown
    await page.switch("service", "0", f"/switch?lang={language}")
    entry = (await ledger(w, person))[0]
    assert entry["wording"].partition(".")[0] in shown
    assert language in entry["version"]


async def test_the_business_cannot_undo_what_the_person_switched_off(w: World) -> None:
    person = await w.person("sms")
    page = await Centre.of(w, person)
    await page.switch("survey", "0")
    path = f"/v1/customers/{person.id}/preferences"
    assert (await w.api("PUT", path, {"categories": {"survey": {"enabled": True}}})).status in {200, 409}
    assert await open_to(w, person, "survey") == set()


async def test_stop_everything_is_never_refused_and_has_a_way_back(w: World) -> None:
    person = await w.person("sms", "email")
    refused = {"channel": "email", "category": "survey", "state": "withdrawn", "way": "phone", "wording": "No."}
    await w.api("POST", f"/v1/customers/{person.id}/consents", refused)
    page = await Centre.of(w, person)
    old = await page.seen()
    await w.api("PUT", f"/v1/customers/{person.id}/preferences", {"language": "el"})
    assert (await page.post("/stop", seen=old)).status == 303, "a page that is out of date stops as well"
    for category in ("outage", "code", "reply", "survey"):
        assert await open_to(w, person, category) == set()
    assert (await page.post("/stop")).status == 303
    assert (await page.post("/resume", seen=await page.seen())).status == 303
    assert await open_to(w, person) == {"sms", "email"}
    assert await open_to(w, person, "survey") == {"sms"}, "what was stopped before stays stopped"


async def test_offers_are_agreed_to_channel_by_channel(w: World) -> None:
    person = await w.person("sms", "email")
    page = await Centre.of(w, person)
    where = "/about/marketing"
    assert (await page.post(f"{where}/agree", seen=await page.seen(where), channel="sms", agree="1")).status == 303
    assert await open_to(w, person, "marketing") == {"sms"}
    entry = (await ledger(w, person))[0]
    assert (entry["channel"], entry["category"], entry["state"], entry["way"]) == (
        "sms",
        "marketing",
        "granted",
        "page",
    )
    assert "I agree" in entry["wording"]
    assert (await page.post(f"{where}/agree", seen=await page.seen(where), channel="sms", agree="0")).status == 303
    assert await open_to(w, person, "marketing") == set()


async def test_a_change_on_an_old_page_overwrites_nothing(w: World) -> None:
    person = await w.person("sms", "email")
    page = await Centre.of(w, person)
    old = await page.seen()
    path = f"/v1/customers/{person.id}/preferences"
    await w.api("PUT", path, {"channels": ["email", "sms"]})
    assert (await page.post("/language", seen=old, language="el")).status == 409
    kept = (await w.api("GET", path)).body
    assert kept["channels"] == ["email", "sms"]
    assert kept.get("language") is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_forms_of_other_sites_are_refused(w: World, site: str) -> None:
    person = await w.person("sms")
    page = await Centre.of(w, person)
    for where in ("/stop", "/resume", "/switch", "/order", "/quiet", "/language", "/addresses/add", "/forget"):
        assert (await page.post(where, site, seen=await page.seen(), kind="survey", on="0")).status == 403
    assert await said(w, person) == []


async def test_names_and_attributes_are_never_markup(w: World) -> None:
    person = await w.person("sms", name=HOSTILE, attributes={HOSTILE[:40]: HOSTILE})
    given = {"channel": "sms", "category": "marketing", "state": "granted", "way": "form", "wording": HOSTILE}
    await w.api("POST", f"/v1/customers/{person.id}/consents", given)
    page = await Centre.of(w, person)
    for where in (
        "",
        "/data",
        "/about/marketing",
        "/quiet",
        "/forget",
        "?lang=<script>alert(1)",
        "?done=<script>alert(1)",
    ):
        answer = await page.get(where)
        assert answer.status == 200
        assert "<script>alert" not in answer.text
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert (await page.get("/export")).body["customer"]["name"] == HOSTILE


async def test_links_that_were_changed_open_nothing(w: World) -> None:
    person, other = await w.person("sms"), await w.person("sms")
    page = await Centre.of(w, person)
    changed = page.path[:-1] + ("A" if page.path[-1] != "A" else "B")
    for path in (changed, page.path.replace(person.id, other.id), page.path.rpartition(".")[0], "/p/x"):
        assert (await Centre(w, path).get()).status == 404
        assert (await Centre(w, path).post("/stop")).status == 404
    assert await said(w, person) == await said(w, other) == []


@pytest.mark.parametrize("seconds", [59, 31_536_001, -1, "60"])
async def test_how_long_a_link_may_hold(w: World, seconds: object) -> None:
    person = await w.person("sms")
    answer = await w.api("POST", f"/v1/customers/{person.id}/preference-link", {"expires_in": seconds})
    assert answer.status == 422
    assert answer.pointers == {"/expires_in"}


async def test_the_link_of_somebody_erased_shows_nothing(w: World) -> None:
    person = await w.person("sms", name="Maria")
    page = await Centre.of(w, person)
    assert (await w.api("DELETE", f"/v1/customers/{person.id}")).status == 202
    await w.api("PUT", f"/v1/customers/{person.id}", {"name": "Somebody new", "addresses": []})
    for answer in (await page.get(), await page.get("/data"), await page.post("/stop")):
        assert answer.status == 410
        assert "Maria" not in answer.text
        assert "Somebody new" not in answer.text


async def test_an_address_is_added_with_the_code_sent_to_it(w: World) -> None:
    person = await w.person("email")
    page = await Centre.of(w, person)
    number = fresh()
    asked = await page.post("/addresses/add", seen=await page.seen("/addresses/add"), channel="sms", value=number)
    assert asked.status == 303
    where = asked.headers["Location"].removeprefix(page.path)
    code = re.findall(r"\d{6}", (await w.twilio.text(number)).form["Body"])[0]
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert (await page.post(where, code=wrong)).status == 422
    assert (await page.post(where, code=code)).status == 303
    assert ("sms", number) in await addresses(w, person)
    assert (await page.post(where, code=code)).status == 410, "a code counts once"


async def test_five_wrong_codes_and_the_right_one_is_void(w: World) -> None:
    person = await w.person("email")
    page = await Centre.of(w, person)
    number = fresh()
    asked = await page.post("/addresses/add", seen=await page.seen("/addresses/add"), channel="sms", value=number)
    where = asked.headers["Location"].removeprefix(page.path)
    code = re.findall(r"\d{6}", (await w.twilio.text(number)).form["Body"])[0]
    for step in range(5):
        await page.post(where, code=f"{(int(code) + step + 1) % 1_000_000:06d}")
    assert (await page.post(where, code=code)).status == 410
    assert await addresses(w, person) == [("email", person.email)]


async def test_codes_to_one_number_are_few_whoever_asks(w: World) -> None:
    number = fresh()
    statuses: list[int] = []
    for _ in range(5):
        page = await Centre.of(w, await w.person("email"))
        seen = await page.seen("/addresses/add")
        statuses.append((await page.post("/addresses/add", seen=seen, channel="sms", value=number)).status)
    assert statuses == [303, 303, 303, 429, 429]


async def test_no_code_goes_to_a_number_that_said_stop(w: World) -> None:
    number = fresh()
    await w.twilio.inbound(number, "STOP")
    person = await w.person("email")
    page = await Centre.of(w, person)
    seen = await page.seen("/addresses/add")
    assert (await page.post("/addresses/add", seen=seen, channel="sms", value=number)).status == 422
    assert w.twilio.count(number) == 0
    assert (await dry(w, person))[0] == {"email"}
