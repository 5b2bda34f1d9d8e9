"""Outages over HTTP: what is refused, who may see what, and the list of doors in its three forms."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import hdrs

from gateway.app import Gateway
from gateway.channels.base import Refused
from gateway.message import Fault
from gateway.web.api.outage_people import wanted_form
from tests.support.core import core
from tests.support.outages import begin, counted, listed, people
from tests.support.scripted import Scripted
from tests.support.web_client import Api
from tests.support.web_gateway import public
from tests.support.web_parts import bearer

NOTICE: Final = {
    "id": "o1",
    "title": "Power cut",
    "audience": {"where": {"area": ["Kypseli"]}},
    "content": {"text": "The power is out."},
}


async def test_an_outage_is_made_looked_at_and_listed(admin: Api) -> None:
    made = await admin("POST", "/v1/outages", NOTICE, status=202)
    assert (made["id"], made["state"], made["thread"], made["title"]) == ("o1", "active", "outage:o1", "Power cut")
    assert made["counts"]["audience"] == 0
    assert [one["kind"] for one in made["broadcasts"]] == ["notice"]
    assert (await admin("GET", "/v1/outages/o1", status=200))["broadcast"] == made["broadcast"]
    await admin("POST", "/v1/outages", {**NOTICE, "id": None} | {"title": "Another"}, status=202)
    page = await admin("GET", "/v1/outages?limit=1", status=200)
    assert [one["title"] for one in page["items"]] == ["Another"]
    rest = await admin("GET", f"/v1/outages?cursor={page['next']}", status=200)
    assert [one["title"] for one in rest["items"]] == ["Power cut"]
    assert (await admin("GET", "/v1/outages?state=resolved", status=200))["items"] == []
    assert (await admin("POST", "/v1/outages", NOTICE, status=202))["broadcast"] == made["broadcast"]
    await admin("POST", "/v1/outages", NOTICE | {"title": "Another"}, status=409)


@pytest.mark.parametrize(
    "change, pointers",
    [
        ({"title": ""}, {"/title"}),
        ({"audience": {}, "title": 3, "colour": "red"}, {"/title", "/colour"}),
        ({"content": None}, {"/template"}),
        ({"audience": {"group": "nobody"}, "template": "no-such", "content": None}, {"/audience/group", "/template"}),
        ({"id": "a b"}, {"/id"}),
        ({"reach": {"until": "told"}}, {"/reach/until"}),
    ],
)
async def test_a_refusal_names_every_bad_field(admin: Api, change: dict[str, Any], pointers: set[str]) -> None:
    refused = await admin("POST", "/v1/outages", NOTICE | change, status=422)
    assert pointers <= {error["pointer"] for error in refused["errors"]}
    await admin("GET", "/v1/outages/o1", status=404)


async def test_people_are_asked_to_acknowledge_unless_told_otherwise(admin: Api, gateway: Gateway) -> None:
    asked: dict[str, Any] = {"plain": {}, "nothing": {"prompt": None}, "choice": {"prompt": {"kind": "yes_no"}}}
    for name, more in asked.items():
        await admin("POST", "/v1/outages", NOTICE | {"id": name} | more, status=202)
    outages = [await gateway.outages.load("live", name) for name in asked]
    made = [await gateway.broadcasts.load("live", one.newest.broadcast) for one in outages]
    kinds = [None if one is None or one.prompt is None else one.prompt.kind for one in made]
    assert kinds == ["acknowledge", None, "yes_no"]
    assert [one is not None and one.reach.until for one in made] == ["acknowledged", "delivered", "delivered"]
    await admin("POST", "/v1/outages/nothing/updates", {"content": {"text": "More."}}, status=202)
    newest = (await gateway.outages.load("live", "nothing")).newest
    update = await gateway.broadcasts.load("live", newest.broadcast)
    assert update is not None
    assert update.prompt is None, "what the notice said holds for updates"


async def test_what_is_over_is_over(admin: Api) -> None:
    await admin("POST", "/v1/outages", NOTICE, status=202)
    await admin("POST", "/v1/outages/o1/updates", {}, status=422)
    await admin("POST", "/v1/outages/o1/resolve", {"content": {"text": ""}}, status=422)
    assert (await admin("GET", "/v1/outages/o1", status=200))["state"] == "active"
    done = await admin("POST", "/v1/outages/o1/resolve", status=202, Idempotency_Key="over")
    assert done["state"] == "resolving"
    again = await admin("POST", "/v1/outages/o1/resolve", status=202, Idempotency_Key="over")
    assert again == done
    await admin("POST", "/v1/outages/o1/resolve", status=409)
    await admin("POST", "/v1/outages/o1/updates", {"content": {"text": "More."}}, status=409)
    refused = await admin("POST", f"/v1/broadcasts/{done['broadcast']}/retry", {}, status=409)
    assert "resolved" in refused["detail"]
    await admin("POST", f"/v1/broadcasts/{done['broadcast']}/resume", status=409)
    await admin("POST", "/v1/outages/o2/resolve", status=404)


async def test_scopes_and_modes(admin: Api, gateway: Gateway, session: aiohttp.ClientSession) -> None:
    await admin("POST", "/v1/outages", NOTICE, status=202)
    sender = Api(session, await bearer(gateway, "send"))
    await sender("POST", "/v1/outages", NOTICE | {"id": "o2"}, status=403)
    await sender("GET", "/v1/outages/o1", status=403)
    reader = Api(session, await bearer(gateway, "read"))
    await reader("GET", "/v1/outages/o1", status=200)
    await reader("POST", "/v1/outages/o1/updates", {"content": {"text": "More."}}, status=403)
    tester = Api(session, await bearer(gateway, "admin", mode="test"))
    for path in ("", "/recipients"):
        await tester("GET", f"/v1/outages/o1{path}", status=404)
    assert (await tester("GET", "/v1/outages", status=200))["items"] == []
    await tester("POST", "/v1/outages", NOTICE, status=202)


@pytest.mark.parametrize(
    "accept, form",
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        ("application/json, text/csv;q=0.5", "application/json"),
        ("text/csv;q=0.2, text/html;q=bad, application/json;q=0.1", "text/csv"),
        ("image/png", "application/json"),
    ],
)
def test_the_form_that_is_asked_for(accept: str, form: str) -> None:
    assert wanted_form(accept) == form


async def test_the_doors_to_knock_at(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms", usual=Refused(fault=Fault.UNEXPLAINED))
    async with core(redis_url, tmp_path, sms, DATA_DIR=str(tmp_path)) as made:
        await people(made, 4, medical=(2,))
        await made.gateway.people.patch("c0", {"name": '=HYPERLINK("http://x")', "attributes": {"area": "+Kypseli"}})
        made.work()
        await begin(made, where={"area": ["Kypseli", "+Kypseli"]})
        await counted(made, unreached=4)
        async with public(made.gateway) as session:
            api = Api(session, await bearer(made.gateway, "admin"))
            first = await api("GET", "/v1/outages/o1/recipients?state=unreached&limit=2", status=200)
            assert first["items"][0]["customer"] == "c2"
            assert first["items"][0]["medical_priority"]
            rest = await api("GET", f"/v1/outages/o1/recipients?state=unreached&cursor={first['next']}", status=200)
            names = [one["customer"] for one in first["items"] + rest["items"]]
            assert sorted(names) == ["c0", "c1", "c2", "c3"]
            assert rest["next"] is None
            await api("GET", "/v1/outages/o1/recipients?cursor=z", status=422)
            seen = await api(
                "POST", "/v1/outages/o1/recipients/c2/visited", {"by": "Team 4", "note": "At home."}, status=200
            )
            assert seen["by"] == "Team 4"
            await api("POST", "/v1/outages/o1/recipients/nobody/visited", {"by": "Team 4"}, status=404)
            await api("POST", "/v1/outages/o1/recipients/c2/visited", {}, status=422)
            left = (await api("GET", "/v1/outages/o1/recipients?visited=false", status=200))["items"]
            assert sorted(one["customer"] for one in left) == ["c0", "c1", "c3"]
            await _medical_first(api)
            counts = (await api("GET", "/v1/outages/o1", status=200))["counts"]
            assert (counts["visited"], counts["unreached"], counts["reached"]) == (2, 4, 0)

            table = await _text(session, await bearer(made.gateway, "customers"), "text/csv")
            rows = list(csv.DictReader(io.StringIO(table)))
            assert [row["customer"] for row in rows][-2:] == ["c2", "c3"]
            assert (rows[-2]["visited"], rows[-2]["visited_by"], rows[-2]["note"]) == ("true", "Team 4", "At home.")
            [formula] = [row for row in rows if row["customer"] == "c0"]
            assert formula["name"] == '\'=HYPERLINK("http://x")'
            assert formula["area"] == "'+Kypseli"
            page = await _text(session, await bearer(made.gateway, "customers"), "text/html")
            assert page.index("Everybody else") < page.index("Already visited") < page.index("Person 2")
            assert "&#34;http://x&#34;" in page
            await _styled(session, await bearer(made.gateway, "customers"))
            assert not re.search(r"(src|href)=", page), "nothing is fetched from anywhere"
            for form in ("text/csv", "text/html", "application/json"):
                hidden = await _text(session, await bearer(made.gateway, "read"), form)
                assert "+3069" not in hidden.replace("+30…", "")
                assert "Person 1" not in hidden
                assert "Odos" not in hidden

        held = await made.gateway.holdings.of("c2")
        assert held is not None
        assert held.things["visits"][0]["note"] == "At home."
        erasure = await made.gateway.erasures.begin("c2", "test")
        await _erased(made, erasure)
        assert (await counted(made, unreached=4)).visited == 1
        assert sorted(one.customer.id for one in await listed(made)) == ["c0", "c1", "c3"]


async def _erased(made: Any, erasure: str) -> None:
    from tests.support.core import until

    async def done() -> bool:
        found = await made.gateway.erasures.certificate(erasure)
        return found is not None and found.state == "done" and found.erased.get("visits") == 1

    await until(done)


async def _medical_first(api: Api) -> None:
    """Also among those visited, and from page to page."""
    await api("POST", "/v1/outages/o1/recipients/c3/visited", {"by": "Team 5"}, status=200)
    seen: list[str] = []
    path = "/v1/outages/o1/recipients?limit=1"
    cursor = ""
    while cursor is not None:
        page = await api("GET", f"{path}&cursor={cursor}" if cursor else path, status=200)
        seen += [one["customer"] for one in page["items"]]
        cursor = page["next"]
    assert (sorted(seen[:2]), seen[2:]) == (["c0", "c1"], ["c2", "c3"])
    for first, names in (("true", ["c2"]), ("false", ["c3"])):
        found = await api("GET", f"/v1/outages/o1/recipients?visited=true&priority={first}", status=200)
        assert [one["customer"] for one in found["items"]] == names


async def _styled(session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    """As a browser reads it: what stands in <style> is raw text (HTML 13.1.2.1), and applies if the policy has its hash."""
    asked = {**headers, hdrs.ACCEPT: "text/html"}
    async with session.get("/v1/outages/o1/recipients", headers=asked) as answer:
        [sheet] = re.findall(r"<style>(.*?)</style>", await answer.text(), re.DOTALL)
        hashed = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
        assert f"'sha256-{hashed}'" in answer.headers["Content-Security-Policy"]
        assert "&" not in sheet
        assert "<" not in sheet


async def _text(session: aiohttp.ClientSession, headers: dict[str, str], form: str) -> str:
    asked = {**headers, hdrs.ACCEPT: form}
    async with session.get("/v1/outages/o1/recipients?state=unreached", headers=asked) as answer:
        assert answer.status == 200
        assert answer.content_type == form
        return await answer.text()
