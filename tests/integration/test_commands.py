"""The commands, each in a process of its own, most of them beside a running gateway."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.store.api_keys import SCOPES
from tests.support.commands import Served, command, environment, ports, serving
from tests.support.running import ask

COMMANDS = [
    ["dev"],
    ["serve"],
    ["check"],
    ["send"],
    ["bounce"],
    ["keys"],
    ["keys", "create"],
    ["keys", "list"],
    ["keys", "revoke"],
    ["customers"],
    ["customers", "import"],
    ["customers", "export"],
    ["templates"],
    ["templates", "check"],
    ["morgue"],
    ["morgue", "list"],
    ["morgue", "retry"],
    ["morgue", "discard"],
    ["wechat"],
    ["wechat", "menu"],
]
GOOD = {
    "id": "c-1",
    "name": "One (sample)",
    "locale": "en",
    "addresses": [{"channel": "sms", "value": "+447400000201"}],
}


def test_help_names_every_command_and_each_has_its_own() -> None:
    shell = CliRunner(env={"COLUMNS": "120", "TERM": "dumb"})
    top = shell.invoke(app, ["--help"])
    assert top.exit_code == 0
    assert set(re.findall(r"^│ ([a-z]+) ", top.output, re.MULTILINE)) >= {c[0] for c in COMMANDS}
    for arguments in COMMANDS:
        shown = shell.invoke(app, [*arguments, "--help"])
        assert shown.exit_code == 0, shown
        assert f" {' '.join(arguments)} " in shown.output
    assert shell.invoke(app, ["frobnicate"]).exit_code == 2


def test_help_needs_none_of_what_the_commands_work_with() -> None:
    heavy = {"aiohttp", "aiosmtplib", "babel", "jinja2", "phonenumbers", "redis", "structlog", "twilio", "wechatpy"}
    heavy |= {"gateway.app", "gateway.sandbox", "gateway.service", "gateway.store"}
    code = "import json, sys, gateway.cli; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert heavy & set(json.loads(loaded)) == set()


def test_the_help_of_keys_names_every_scope() -> None:
    shown = CliRunner(env={"COLUMNS": "120", "TERM": "dumb"}).invoke(app, ["keys", "create", "--help"]).output
    assert ", ".join(SCOPES) in shown


async def test_keys_beside_a_running_gateway(tmp_path: Path) -> None:
    async with serving(tmp_path, "serve") as served, aiohttp.ClientSession() as http:
        made = await served.command(
            "keys", "create", "--name", "CRM", "--scopes", "send, read", "--mode", "live", "--json"
        )
        assert made.status == 0, made
        key: dict[str, Any] = json.loads(made.out)
        assert set(key) == {"id", "key", "scopes", "mode"}
        assert (key["scopes"], key["mode"]) == (["send", "read"], "live")
        assert key["key"].startswith(f"gw_live_{key['id']}_")
        assert (await ask(http, served.url, key["key"], "GET", "/v1/messages")).status == 200

        listed = await served.command("keys", "list", "--json")
        assert [one["name"] for one in json.loads(listed.out)] == ["CRM"]
        assert key["key"] not in listed.out
        assert "CRM" in (await served.command("keys", "list")).out

        assert (await served.command("keys", "revoke", key["id"])).status == 0
        assert (await served.command("keys", "revoke", key["id"])).status == 1
        assert json.loads((await served.command("keys", "list", "--json")).out) == []


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--scopes", "send,fly", "--mode", "live"], "fly"),
        (["--scopes", "send", "--mode", "wild"], "wild"),
        (["--scopes", "send", "--expires", "soon"], "soon"),
    ],
)
def test_bad_keys_are_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["keys", "create", "--name", "n", *arguments])
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_templates_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shell, hello = CliRunner(), tmp_path / "templates" / "hello"
    hello.mkdir(parents=True)
    (hello / "en.toml").write_text('subject = "Hello {{ name }}"\ntext = "Hello {{ name }}."\n')
    fine = shell.invoke(app, ["templates", "check"])
    assert fine.exit_code == 0, fine
    assert "hello" in fine.stdout

    (hello / "el.toml").write_text('subject = "Γεια"\ntext = "{{ name "\n', encoding="utf-8")
    bad = shell.invoke(app, ["templates", "check", str(tmp_path / "templates"), "--json"])
    assert bad.exit_code == 1, bad
    faults = [one for one in json.loads(bad.stdout)["findings"] if one["severity"] == "fault"]
    assert [(one["template"], one["locale"]) for one in faults] == [("hello", "el")]
    assert shell.invoke(app, ["templates", "check", "no-such-folder"]).exit_code == 1


async def test_check_says_what_is_wrong_and_the_mend(tmp_path: Path) -> None:
    twilio = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "t" * 32, "TWILIO_SMS_FROM": "+15005550006"}
    nobody = {**twilio, "TWILIO_API_BASE": "http://127.0.0.1:9"}
    faulty = await command(tmp_path, "check", "--json", variables=environment(tmp_path, **ports(), **nobody))
    assert faulty.status == 1, faulty
    found = json.loads(faulty.out)
    assert all(one["remedy"] for one in found if one["result"] == "fault")
    assert any("wilio" in one["name"] or "sms" in one["name"] for one in found if one["result"] == "fault"), found

    misspelt = await command(tmp_path, "check", variables=environment(tmp_path, HTTP_PROT="8080"))
    assert misspelt.status == 1
    assert "HTTP_PROT" in misspelt.out

    healthy = await command(tmp_path, "check", variables=environment(tmp_path, **ports(), SANDBOX="true"))
    assert healthy.status == 0, healthy


async def test_customers_in_and_out(tmp_path: Path) -> None:
    rows = [GOOD, {"id": "c-2", "addresses": [{"channel": "sms", "value": "not a number"}]}, "nonsense"]
    source, back = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    source.write_text("\n".join(json.dumps(row) for row in rows))
    table = tmp_path / "in.csv"
    table.write_text("id,name,locale,sms,email,area\nc-3,Three (sample),el,+306900000101,three@example.org,Kypseli\n")
    async with serving(tmp_path, "serve") as served:
        read = await served.command("customers", "import", str(source))
        assert read.status == 3, read
        rejects = [json.loads(line) for line in (tmp_path / "in.ndjson.rejects.ndjson").read_text().splitlines()]
        assert [one["_rejected"]["line"] for one in rejects] == [2, 3]
        assert (await served.command("customers", "import", str(table))).status == 0

        assert (await served.command("customers", "export", str(back))).status == 0
        out = {row["id"]: row for row in map(json.loads, back.read_text().splitlines())}
        assert set(out) == {"c-1", "c-3"}
        assert out["c-3"]["attributes"] == {"area": "Kypseli"}
        assert {a["channel"]: a["value"] for a in out["c-3"]["addresses"]}["email"] == "three@example.org"

        again = await served.command("customers", "import", str(back))
        assert (again.status, "2 customers kept, 0 rows" in again.out) == (0, True), "again is harmless"


async def test_send_and_wait_beside_a_gateway_on_this_machine(tmp_path: Path) -> None:
    async with serving(tmp_path, "dev") as served:
        await _sends(served)


async def _sends(served: Served) -> None:
    notice = ["--category", "outage", "--text", "The power is out."]
    sent = await served.command("send", "sample-001", *notice, "--wait", "--json")
    assert sent.status == 0, sent
    verdict = json.loads(sent.out)["verdict"]
    assert (verdict["state"], verdict["channel"], verdict["proven"]) == ("reached", "sms", True)

    unknown = await served.command("send", "nobody", *notice)
    assert (unknown.status, "/customer" in unknown.err) == (1, True), unknown
    broken = await served.command("send", "sample-001", "--category", "outage", "--template", "x", "--data", "[1]")
    assert (broken.status, "--data" in broken.err) == (1, True), broken
    welcome = (served.folder / "out.txt").read_text()
    assert len(re.findall(r"^curl ", welcome, re.MULTILINE)) == 3
    assert "gw_live_" in welcome


async def test_one_gateway_at_a_time_in_a_folder(tmp_path: Path) -> None:
    async with serving(tmp_path, "serve") as served:
        second = await command(tmp_path, "serve", variables={**served.variables, **environment(tmp_path, **ports())})
        assert second.status == 1
        assert "Error" in second.err


def test_exit_goes_with_the_tour() -> None:
    refused = CliRunner().invoke(app, ["dev", "--exit"])
    assert (refused.exit_code, "--tour" in refused.stderr) == (1, True)


@pytest.mark.slow
async def test_the_tour_ends_well(tmp_path: Path) -> None:
    played = await command(tmp_path, "dev", "--tour", "--exit", seconds=110, variables=environment(tmp_path, **ports()))
    assert played.status == 0, played
    assert "Ana: reached by voice and acknowledged." in played.out
    assert "Every outcome was the expected one." in played.out
    assert "Traceback" not in played.err
