"""Customers over the API, as a business system keeps them, on the real gateway and real Redis."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from gateway.app import Gateway
from gateway.web.api import customer_types
from tests.support.web_client import ANA, NOTICE, Api, pointers


async def test_customers_have_versions(admin: Api) -> None:
    made = await admin("PUT", "/v1/customers/c-1", ANA, status=201, kind=customer_types.CustomerOut)
    tag = admin.last.headers["ETag"]
    assert made["addresses"][0]["value"] == "+306912345678"
    patched = await admin(
        "PATCH", "/v1/customers/c-1", {"name": None, "attributes": {"floor": 2}}, status=200, If_Match=tag
    )
    assert (patched["name"], patched["attributes"]) == (None, {"area": "Kypseli", "floor": 2})
    await admin("PUT", "/v1/customers/c-1", ANA, status=412, If_Match=tag)
    await admin("PUT", "/v1/customers/c-1", ANA, status=200, If_Match="*")
    await admin("PUT", "/v1/customers/c-2", ANA, status=412, If_Match="*")
    await admin("PUT", "/v1/customers/c-1", ANA, status=422, If_Match="newest")
    for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/preferences"), ("GET", "/consents"), ("GET", "/export")):
        await admin(method, f"/v1/customers/nobody{path}", {} if method == "PATCH" else None, status=404)


async def test_every_fault_of_a_customer_at_once(admin: Api) -> None:
    bad = {
        "locale": "xx-nowhere",
        "time_zone": "Mars/Olympus",
        "addresses": [{"channel": "sms", "value": "12"}, {"channel": "pigeon", "value": "x"}],
    }  # fmt: skip - one request
    found = await admin("PUT", "/v1/customers/c%20x", bad, status=422)
    assert {"/id", "/locale", "/time_zone", "/addresses/0/value", "/addresses/1/channel"} <= set(pointers(found))


async def test_preferences_and_consent(ana: Api) -> None:
    wishes = {
        "channels": ["voice"],
        "categories": {"survey": {"enabled": False}},
        "quiet_hours": None,
        "language": "zh-HK",
    }
    await ana("PUT", "/v1/customers/c-1/preferences", wishes, status=200, kind=customer_types.PreferencesIO)
    assert ana.last.headers["ETag"]
    assert await ana("GET", "/v1/customers/c-1/preferences", status=200) == wishes
    ledger = await ana("GET", "/v1/customers/c-1/consents", status=200, kind=customer_types.ConsentsOut)
    assert [(one["category"], one["state"]) for one in ledger["items"]] == [("survey", "withdrawn")]
    shown = await ana("POST", "/v1/messages?dry_run=true", NOTICE, status=200)
    assert [step["channel"] for step in shown["route"]] == ["voice"]
    grant = {"channel": "*", "category": "survey", "state": "granted", "way": "phone", "wording": "Yes."}
    refused = await ana("POST", "/v1/customers/c-1/consents", grant, status=422)
    assert pointers(refused) == ["/proof"]
    proven = {**grant, "proof": "call 77"}
    first = await ana(
        "POST", "/v1/customers/c-1/consents", proven, status=201, kind=customer_types.ConsentOut, Idempotency_Key="c"
    )
    assert await ana("POST", "/v1/customers/c-1/consents", proven, status=201, Idempotency_Key="c") == first
    assert len((await ana("GET", "/v1/customers/c-1/consents", status=200))["items"]) == 2


async def test_export_and_lift(ana: Api) -> None:
    await ana("POST", "/v1/messages", NOTICE, status=202)
    held = await ana("GET", "/v1/customers/c-1/export", status=200, kind=customer_types.ExportOut)
    assert held["customer"]["name"] == "Ana Pappas"
    assert len(held["messages"]) == 1
    assert list(held["contents"].values()) != [None]
    lifted = await ana(
        "POST", "/v1/addresses/lift", {"channel": "sms", "value": "+306912345678", "reason": "works"}, status=200
    )
    assert lifted["customers"] == ["c-1"]
    await ana("POST", "/v1/addresses/lift", {"channel": "sms", "value": "12", "reason": "works"}, status=422)


async def test_an_import_leaves_what_people_chose(admin: Api, gateway: Gateway) -> None:
    await admin("PUT", "/v1/customers/a", ANA, status=201)
    await gateway.people.put_preferences("a", {"channels": ["sms"]}, way="wechat")
    row = msgspec.json.encode({"id": "a", **ANA, "name": "Later", "preferences": {"channels": ["email"]}})

    async def taken_in() -> dict[str, Any]:
        headers = {**admin.headers, "Content-Type": "application/x-ndjson"}
        async with admin.session.post("/v1/customers/import", data=row, headers=headers) as response:
            return msgspec.json.decode(await response.read())

    assert await taken_in() == {"rows": 1, "kept": 1, "rejected": 0, "choices_kept": 1}
    assert (await admin("GET", "/v1/customers/a", status=200))["name"] == "Later"
    assert await admin("GET", "/v1/customers/a/preferences", status=200) == {"channels": ["sms"]}
    await admin("PUT", "/v1/customers/a/preferences", {"channels": ["sms"]}, status=200)
    assert await taken_in() == {"rows": 1, "kept": 1, "rejected": 0}, "by their PUT they are the business' own"
    assert await admin("GET", "/v1/customers/a/preferences", status=200) == {"channels": ["email"]}


async def test_import_keeps_good_rows_and_names_bad_ones(admin: Api) -> None:
    rows = [
        msgspec.json.encode({"id": "a", **ANA}),
        b"{not json",
        b"",
        msgspec.json.encode({"id": "b", "addresses": [{"channel": "sms", "value": "12"}]}),
        msgspec.json.encode({"id": "d", "name": "x" * 300_000}),
        b'"text"',
        msgspec.json.encode({"id": "c", "name": "Last"}),
    ]

    async def stream() -> AsyncGenerator[bytes]:
        body = b"\n".join(rows)
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    kind = {"Content-Type": "application/x-ndjson"}
    async with admin.session.post("/v1/customers/import", data=stream(), headers={**admin.headers, **kind}) as response:
        lines = [msgspec.json.decode(line) for line in (await response.read()).splitlines()]
        assert response.status == 200
    assert [line["line"] for line in lines[:-1]] == [2, 4, 5, 6]
    assert lines[1]["errors"][0]["pointer"] == "/addresses/0/value"
    assert lines[-1] == {"rows": 6, "kept": 2, "rejected": 4}
    assert (await admin("GET", "/v1/customers/c", status=200))["name"] == "Last"
    async with admin.session.post(
        "/v1/customers/import", data=b"{}", headers={**admin.headers, "Content-Type": "text/csv"}
    ) as response:
        assert response.status == 415
