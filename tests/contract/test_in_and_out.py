"""Customers in and out: files of all sorts, rows that are refused, and a back-up that is put back."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec

from tests.contract.client import Api
from tests.contract.self_service import open_to, said
from tests.contract.waiting import eventually
from tests.contract.world import Gateway, World, fresh, in_time, variables

NDJSON: dict[str, str | None] = {"Content-Type": "application/x-ndjson"}


def numbered() -> tuple[str, str]:
    """A number that nobody else has, and an ending for ids."""
    number = fresh()
    return number, number[1:]


async def imported(w: World, name: str, data: bytes, *options: str) -> tuple[int, Any, str]:
    """`gateway customers import`: status, summary, rejects."""
    file = w.gateway.folder / name
    await asyncio.to_thread(file.write_bytes, data)
    status, out, err = await w.gateway.command("customers", "import", name, "--json", *options)
    assert out, err
    rejects = [one for one in (f"{name}.rejects.csv", f"{name}.rejects.ndjson") if (w.gateway.folder / one).exists()]
    text = await asyncio.to_thread((w.gateway.folder / rejects[0]).read_text) if rejects else ""
    return status, msgspec.json.decode(out), text


async def stored(w: World, customer: str) -> Any:
    return (await w.api("GET", f"/v1/customers/{customer}")).body


async def test_good_rows_are_kept_and_bad_ones_come_back_with_the_reason(w: World) -> None:
    number, name = numbered()
    rows = f"id,name,sms,plan\nin1-{name},Maria,{number},gold\nin2-{name},Bad,12345,\n,Nobody,,\n"
    for _ in range(2):
        status, summary, rejects = await imported(w, f"in-{name}.csv", rows.encode())
        assert (status, summary["kept"], summary["rejected"]) == (3, 1, 2)
        assert f"in2-{name}" in rejects
        assert "country code" in rejects
    kept = await stored(w, f"in1-{name}")
    assert (kept["name"], kept["attributes"]) == ("Maria", {"plan": "gold"})
    file = w.gateway.folder / f"in-{name}.csv.rejects.csv"
    assert (await asyncio.to_thread(file.stat)).st_mode & 0o077 == 0


async def test_what_spreadsheets_do(w: World) -> None:
    (one, name), two, three = numbered(), fresh(), fresh()
    rows = f'sep=;\r\nKunde;Phone No\r\ns1-{name};\'{one}\r\n\r\ns2-{name};="{two}"\r\ns3-{name};3.06912E+11\r\ns4-{name};{three}\r\n'
    options = ("--map", "Kunde=id,Phone No=sms", "--set", "locale=de")
    status, summary, rejects = await imported(w, f"sheet-{name}.csv", rows.encode(), *options)
    assert (status, summary["kept"], summary["rejected"]) == (3, 3, 1), rejects
    assert "digits are lost" in rejects
    assert [(await stored(w, f"s{step}-{name}"))["addresses"][0]["value"] for step in (1, 2, 4)] == [one, two, three]


async def test_encodings(w: World) -> None:
    number, name = numbered()
    rows = f"id,name,sms\ngr-{name},Γιώργος,{number}\n"
    greek = rows.encode("cp1253")
    status, _, rejects = await imported(w, f"greek-{name}.csv", greek)
    assert status == 3
    assert "UTF-8" in rejects
    for data, options in ((greek, ("--encoding", "cp1253")), (rows.encode("utf-16"), ())):
        assert (await imported(w, f"other-{name}-{len(data)}.csv", data, *options))[0] == 0
        assert (await stored(w, f"gr-{name}"))["name"] == "Γιώργος"


async def test_no_import_lifts_a_withdrawal_without_proof(w: World) -> None:
    person = await w.person("sms")
    await w.twilio.inbound(person.number, "STOP")
    await w.api("PUT", f"/v1/customers/{person.id}/preferences", {"categories": {"survey": {"enabled": False}}})
    addresses = [{"channel": "sms", "value": person.number}]
    grant = {"channel": "sms", "category": "*", "state": "granted", "way": "form", "wording": "Yes", "at": in_time()}
    for more in ({"consents": [grant]}, {"preferences": {"categories": {"survey": {"enabled": True}}}}):
        row = msgspec.json.encode({"id": person.id, "addresses": addresses, **more})
        await imported(w, f"lift-{person.number}.ndjson", row + b"\n", "--from-start")
        assert await open_to(w, person) == set()
    assert ("sms", "*", "granted") not in await said(w, person)


async def test_an_export_is_read_again_without_loss(w: World) -> None:
    number, name = numbered()
    profile = {
        "name": "=1+1", "addresses": [{"channel": "sms", "value": number, "label": "-x"}],
        "attributes": {"n": "+5", "a;b": 'x\ny"q', "num": 5, "@x": True},
    }  # fmt: skip
    assert (await w.api("PUT", f"/v1/customers/out-{name}", profile)).status == 201
    for file in (f"out-{name}.csv", f"out-{name}.ndjson"):
        assert (await w.gateway.command("customers", "export", file))[0] == 0
        lines = (await asyncio.to_thread((w.gateway.folder / file).read_text)).splitlines()
        mine = "\n".join([*(lines[:1] if file.endswith("csv") else []), *(one for one in lines if number in one)])
        assert "out-" in mine
        await w.api("PATCH", f"/v1/customers/out-{name}", {"name": None, "attributes": {"num": 6}})
        assert (await imported(w, f"again-{file}", mine.encode() + b"\n"))[0] == 0
        kept = await stored(w, f"out-{name}")
        assert {field: kept[field] for field in profile} == profile


async def test_a_dry_run_stores_nothing(w: World) -> None:
    number, name = numbered()
    status, summary, _ = await imported(w, f"dry-{name}.csv", f"id,sms\ndry-{name},{number}\n".encode(), "--dry-run")
    assert (status, summary["kept"]) == (0, 1)
    assert (await w.api("GET", f"/v1/customers/dry-{name}")).status == 404


async def test_lines_over_http(w: World) -> None:
    name = numbered()[1]
    lines = f'{{"id":"h1-{name}","addresses":[]}}\n{{"id":"h2-{name}","name":5}}\n\n{{bad\n'.encode()
    answer = await w.api("POST", "/v1/customers/import", raw=lines, headers=NDJSON)
    assert answer.status == 200
    told = [msgspec.json.decode(one) for one in answer.text.splitlines() if one]
    assert [one.get("line") for one in told[:-1]] == [2, 4]
    assert {name: told[-1][name] for name in ("rows", "kept", "rejected")} == {"rows": 3, "kept": 1, "rejected": 2}
    assert (await w.api("POST", "/v1/customers/import", raw=lines)).status == 415
    for key in (await w.key("send"), await w.key(mode="test")):
        assert (await key("POST", "/v1/customers/import", raw=lines, headers=NDJSON)).status == 403


async def test_a_back_up_is_put_back_sends_nothing_and_erases_again(w: World, tmp_path: Path) -> None:
    person, gone = await w.person("sms"), await w.person("sms")
    await w.send(person, send_at=in_time(seconds=1), reach={"step": 600, "within": 900})
    file = tmp_path / "gateway.backup"
    assert (await w.gateway.command("backup", str(file)))[0] == 0
    assert (await asyncio.to_thread(file.stat)).st_mode & 0o077 == 0
    await w.twilio.text(person.number)
    erasure = (await w.api("DELETE", f"/v1/customers/{gone.id}")).body["erasure"]

    async def over() -> bool:
        return (await w.api("GET", f"/v1/erasures/{erasure}")).body["state"] == "done"

    await eventually(over)
    folder = tmp_path / "drill"
    await asyncio.to_thread((folder / "var").mkdir, 0o700, parents=True)
    for name in ("secret_key", "erasures.ndjson"):
        await asyncio.to_thread(shutil.copy, w.gateway.folder / "var" / name, folder / "var" / name)
    same = {
        name.removeprefix("GATEWAY_"): value
        for name, value in w.gateway.variables.items()
        if name.startswith("GATEWAY_") and not name.endswith(("_PORT", "DATA_DIR", "PUBLIC_URL"))
    }
    drill = Gateway(folder, variables(folder, **same))
    status, out, err = await drill.command("restore", str(file), "--json")
    assert status == 0, err
    assert msgspec.json.decode(out)["channels_paused"] is True
    assert (await drill.command("restore", str(file)))[0] == 1, "what stands there isn't overwritten"
    await drill.start()
    try:
        await drill.ready(w.http)
        api = Api(w.http, drill.base, await drill.key())
        assert {one["state"] for one in (await api("GET", "/v1/channels")).body["items"]} == {"paused"}
        assert (await api("GET", f"/v1/customers/{person.id}")).status == 200
        assert (await api("GET", f"/v1/customers/{gone.id}")).status == 404
        assert w.twilio.count(person.number) == 1
    finally:
        await drill.stop()
