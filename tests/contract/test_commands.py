"""The commands: check, keys, customers, send, templates, serve and dev."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tests.contract.client import Api
from tests.contract.world import Gateway, World, fresh, run, variables


async def test_help_everywhere(tmp_path: Path) -> None:
    for arguments in ([], ["serve"], ["keys", "create"]):
        status, out, _ = await run(tmp_path, variables(tmp_path), *arguments, "--help")
        assert status == 0
        assert "Usage" in out


BAD: list[tuple[dict[str, object], list[str]]] = [
    (
        {"NONSENSE": "1", "HTTP_PORT": "none", "DEFAULT_TIME_ZONE": "Mars/Base"},
        ["NONSENSE", "HTTP_PORT", "DEFAULT_TIME_ZONE"],
    ),
    (
        {
            "DEFAULT_QUIET_HOURS": "late",
            "ALLOWED_COUNTRIES": "Greece",
            "SANDBOX": "maybe",
            "DEFAULT_LOCALE": "??",
            "RETENTION_CONTENT_DAYS": "-1",
        },
        ["DEFAULT_QUIET_HOURS", "ALLOWED_COUNTRIES", "SANDBOX", "DEFAULT_LOCALE", "RETENTION_CONTENT_DAYS"],
    ),
    ({"REDIS_URL": "redis://127.0.0.1:1/0"}, ["SECRET_KEY"]),
    ({"REDIS_URL": "http://x", "SECRET_KEY": "k" * 40, "SMTP_URL": "ftp://x"}, ["REDIS_URL", "SMTP_URL"]),
]


@pytest.mark.parametrize("bad, names", BAD)
async def test_bad_settings_stop_the_start_with_a_clear_line_each(
    tmp_path: Path, bad: dict[str, object], names: list[str]
) -> None:
    status, out, err = await run(tmp_path, variables(tmp_path, **bad), "serve")
    assert status != 0
    assert "Traceback" not in out + err
    for name in names:
        assert name in out + err, (name, out + err)


async def test_a_settings_file_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('default_time_zone = "Mars/Base"\nzzz = 1\n')
    status, out, err = await run(tmp_path, variables(tmp_path), "serve")
    assert status != 0
    assert "zzz" in out + err
    assert "default_time_zone" in (out + err).lower()
    named = tmp_path / "other.toml"
    named.write_text("colour = 1\n")
    status, out, err = await run(tmp_path, variables(tmp_path, CONFIG=named), "serve")
    assert status != 0
    assert "colour" in out + err


async def test_check_beside_a_running_gateway(w: World) -> None:
    status, out, err = await w.gateway.command("check", "--json")
    assert err == "" or "Traceback" not in err
    found: Any = msgspec.json.decode(out)
    assert found
    assert status in {0, 1}
    assert w.gateway.variables["GATEWAY_TWILIO_AUTH_TOKEN"] not in out


async def test_check_names_what_is_wrong(w: World, tmp_path: Path) -> None:
    """Providers that refuse us or aren't there: a fault with its mend, and a non-zero status."""
    given = variables(
        tmp_path, TWILIO_ACCOUNT_SID="AC" + "0" * 32, TWILIO_AUTH_TOKEN="x", TWILIO_SMS_FROM="+302101234567",
        TWILIO_API_BASE=w.gateway.variables["GATEWAY_TWILIO_API_BASE"], SMTP_URL="smtp://127.0.0.1:1", EMAIL_FROM="a@example.org",
    )  # fmt: skip
    status, out, _ = await run(tmp_path, given, "check")
    assert status != 0
    assert "Traceback" not in out
    assert "sms" in out.lower() or "twilio" in out.lower()
    assert "ALLOWED_COUNTRIES" in out, "unset: all, and check warns"


async def test_keys_create_list_revoke(w: World) -> None:
    status, out, _ = await w.gateway.command(
        "keys",
        "create",
        "--name",
        "n1",
        "--scopes",
        "send,read",
        "--mode",
        "test",
        "--rate",
        "5",
        "--expires",
        "90d",
        "--json",
    )
    assert status == 0
    made: Any = msgspec.json.decode(out)
    assert set(made) >= {"id", "key", "scopes", "mode"}
    assert (made["scopes"], made["mode"]) == (["send", "read"], "test")
    assert made["key"].startswith(f"gw_test_{made['id']}_")
    assert (await Api(w.http, w.gateway.base, made["key"])("GET", "/v1/channels")).status == 200
    status, out, _ = await w.gateway.command("keys", "list", "--json")
    assert status == 0
    assert made["id"] in out
    assert made["key"].split("_")[3] not in out
    status, _, _ = await w.gateway.command("keys", "revoke", made["id"], seconds=30)
    assert status == 0
    status, _, err = await w.gateway.command("keys", "revoke", "no-such-key")
    assert status != 0
    assert "Traceback" not in err


async def test_keys_create_refuses_nonsense(w: World) -> None:
    status, out, err = await w.gateway.command("keys", "create", "--name", "n", "--scopes", "fly", "--json")
    assert status != 0
    assert "Traceback" not in out + err
    assert "fly" in out + err


async def test_customers_import_and_export(w: World, tmp_path: Path) -> None:
    one, two = fresh(), fresh()
    file = tmp_path / "people.ndjson"
    rows: list[Any] = [
        {"id": f"n{one[1:]}", "name": "One", "addresses": [{"channel": "sms", "value": one}]},
        {"id": "bad id"},
        {"id": f"n{two[1:]}", "addresses": [{"channel": "sms", "value": two}]},
    ]
    file.write_bytes(b"\n".join(map(msgspec.json.encode, rows)) + b"\n{broken\n")
    for _ in range(2):
        _, out, err = await w.gateway.command("customers", "import", str(file))
        assert "Traceback" not in out + err
    rejects = (tmp_path / "people.ndjson.rejects.ndjson").read_text().splitlines()
    assert len(rejects) == 2
    assert (await w.api("GET", f"/v1/customers/n{two[1:]}")).status == 200
    status, out, _ = await w.gateway.command("customers", "export", "-")
    assert status == 0
    exported = [msgspec.json.decode(line) for line in out.splitlines() if line.startswith("{")]
    assert f"n{one[1:]}" in {item["id"] for item in exported}


async def test_send_and_wait(w: World) -> None:
    person = await w.person("sms")
    asked = asyncio.ensure_future(
        w.gateway.command("send", person.id, "--category", "outage", "--text", "From the shell", "--wait", "--json")
    )
    text = await w.twilio.text(person.number, seconds=60)
    assert text.form["Body"].startswith("From the shell")
    await w.twilio.report(text, "delivered")
    status, out, err = await asked
    assert status == 0, out + err
    assert "reached" in out


async def test_send_to_nobody_says_so(w: World) -> None:
    status, out, err = await w.gateway.command("send", "nobody-zz", "--category", "outage", "--text", "x")
    assert status != 0
    assert "Traceback" not in out + err


async def test_templates_check(tmp_path: Path) -> None:
    folder = tmp_path / "templates" / "visit"
    folder.mkdir(parents=True)
    (folder / "en.toml").write_text('subject = "Visit"\ntext = "Hello {{ name }}"\n')
    (folder / "el.toml").write_text('text = "Γεια {{ name }}"\n')
    status, out, err = await run(tmp_path, variables(tmp_path), "templates", "check", "--json")
    assert "visit" in out, out + err
    assert status == 0, out + err
    (folder / "el.toml").write_text('text = "Γεια {{ name"\n')
    status, out, err = await run(tmp_path, variables(tmp_path), "templates", "check")
    assert status != 0
    assert "Traceback" not in out + err


async def test_dev_and_ctrl_c(tmp_path: Path) -> None:
    """One command: sample customers, a key and lines to copy; Ctrl-C ends everything it started."""
    gateway = Gateway(tmp_path, variables(tmp_path))
    async with aiohttp.ClientSession() as http:
        await gateway.start("dev")
        try:
            await gateway.ready(http)
            from tests.contract.waiting import eventually

            await eventually(lambda: "gw_" in gateway.log() and gateway.log().count("curl") >= 3, 60, gateway.log)
            said = gateway.log()
            key = next(
                word.strip("\"'`,")
                for word in said.replace("Bearer ", " ").split()
                if word.strip("\"'`,").startswith("gw_")
            )
            api = Api(http, gateway.base, key)
            body = {"customer": "ana", "category": "outage", "content": {"text": "x"}}
            answer = await api("POST", "/v1/messages", body, dry_run="true")
            assert answer.status == 200, answer
            assert gateway.variables["GATEWAY_PHONES_PORT"] in said
            assert gateway.variables["GATEWAY_CONSOLE_PORT"] in said
        finally:
            status = await gateway.stop(signal.SIGINT)
        assert status in {0, 130}
        with pytest.raises(aiohttp.ClientConnectionError):
            await http.get(gateway.base + "/healthz")


async def test_channels_pause_and_resume(w: World) -> None:
    person = await w.person("wechat")
    await w.api("POST", "/v1/channels/wechat/pause", {"reason": "Wrong template"})
    try:
        shown = {one["name"]: one for one in (await w.api("GET", "/v1/channels")).body["items"]}
        assert (shown["wechat"]["state"], shown["wechat"]["reason"]) == ("paused", "Wrong template")
        content = {"text": "x", "wechat": {"template_id": "t", "data": {"thing1": {"value": "x"}}}}
        message = await w.send(person, category="survey", content=content, reach={"step": 60, "within": 900})
        held = await w.when(message, lambda one: one["status"] == "held")
        assert held["held"]["code"] == "paused"
    finally:
        await w.api("POST", "/v1/channels/wechat/resume", {"reason": "Mended"})
    await w.wechat.got(person.openid)


async def test_metrics_and_console_stand_on_the_console_port_alone(w: World, nobody: Api) -> None:
    port = w.gateway.variables["GATEWAY_CONSOLE_PORT"]
    async with w.http.get(f"http://127.0.0.1:{port}/metrics") as answer:
        assert answer.status == 200
    assert (await nobody("GET", "/metrics")).status == 404
