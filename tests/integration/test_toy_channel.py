"""A channel that somebody else writes: one file, registered by one line or by an entry point, and nothing else changes."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest
from redis.asyncio import Redis

from gateway.channels import registry
from gateway.channels.base import Deps
from gateway.cli.common import settings_for
from gateway.people.files import Reading, rows_of
from gateway.sandbox.behaviour import Fate
from gateway.settings import load, with_sandbox
from gateway.settings_types import BadSettings, ChannelSettings
from tests.data.toy_channel import pager as toy
from tests.support import twilio_carrier
from tests.support.plugins import forgotten, install
from tests.support.running import Running, running
from tests.support.twilio_carrier import Answer, Carrier

PLACE: Final = "tests.data.toy_channel.pager:Pager"
PHONE: Final = "+447400000601"
PAGER: Final = "070-1234"
KEY: Final = "pager-key"
BOTH: Final = {"channels": ["pager", "sms"]}
QUICK: Final = {"until": "delivered", "step": 60, "within": 300}


@pytest.fixture
def by_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.CHANNELS, "pager", PLACE)


@pytest.fixture
def by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `pip install example-pager` leaves behind."""
    install(tmp_path / "site", "example_pager", Path(str(toy.__file__)).read_bytes(), "pager = example_pager:Pager")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    importlib.invalidate_caches()
    with forgotten("example_pager"):
        yield


@pytest.fixture(params=["by_line", "by_entry_point"])
def registered(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(request.param)


@pytest.fixture
async def provider() -> AsyncIterator[Carrier]:
    async with twilio_carrier.carrier() as made:
        yield made


async def started(stack: AsyncExitStack, redis_url: str, folder: Path, provider: Carrier) -> Running:
    own = ChannelSettings(options={"url": provider.url, "key": KEY})
    gw = await stack.enter_async_context(running(redis_url, folder, channels={"pager": own}))
    await gw.customer("c-1", preferences=BOTH, pager=PAGER, sms=PHONE)
    return gw


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path, provider: Carrier, by_line: None) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        yield await started(stack, redis_url, tmp_path, provider)


def asked(provider: Carrier) -> dict[str, Any]:
    """The page that was posted last."""
    return msgspec.json.decode(provider.asked[-1].body)


async def calls_back(gw: Running, url: str, body: bytes, key: str = KEY) -> int:
    """The provider's callback, through the real door."""
    public = gw.service.settings.public_url + urlsplit(url).path
    digest = hmac.new(key.encode(), public.encode() + b"\n" + body, hashlib.sha256).hexdigest()
    async with gw.http.post(url, data=body, headers={"X-Pager-Signature": digest}) as answer:
        return answer.status


async def test_a_customer_is_reached_by_it(redis_url: str, tmp_path: Path, provider: Carrier, registered: None) -> None:
    async with AsyncExitStack() as stack:
        gw = await started(stack, redis_url, tmp_path, provider)
        listed = (await gw.api("GET", "/v1/channels")).body["items"]
        assert {one["name"]: one["state"] for one in listed} == dict.fromkeys(
            ("email", "pager", "sms", "voice", "wechat"), "up"
        )
        provider.script(Answer(202, {"page": "p-1"}))
        sent = await gw.send("c-1", reach=QUICK)
        assert [step["channel"] for step in sent["route"]] == ["pager", "sms"]
        begun = await gw.when(sent["id"], lambda found: found["attempts"] and found["attempts"][0]["provider_id"])
        assert begun["attempts"][0]["channel"] == "pager"
        page = asked(provider)
        assert (page["to"], page["text"]) == (PAGER, "The power is out.")
        assert page["report_to"] == f"{gw.url}/callbacks/pager/{sent['id']}/a1"

        assert await calls_back(gw, page["report_to"], b'{"page":"p-1","status":"delivered"}') == 200

        told = await gw.ended(sent["id"])
        assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "pager")
        assert (told["verdict"]["level"], told["verdict"]["proven"]) == ("delivered", True)
        assert gw.taken() == {}


@pytest.mark.parametrize(
    "answer, news",
    [
        (Answer(404, {"error": "no_such_pager"}), None),
        (Answer(202, {"page": "p-1"}), b'{"page":"p-1","status":"failed","error":"out_of_range"}'),
    ],
    ids=["refused", "failed-later"],
)
async def test_where_it_fails_the_next_channel_follows(
    gw: Running, provider: Carrier, answer: Answer, news: bytes | None
) -> None:
    gw.fate("sms", PHONE, Fate.DELIVERED)
    provider.script(answer)
    sent = await gw.send("c-1", reach=QUICK)
    if news is not None:
        await gw.when(sent["id"], lambda found: found["attempts"] and found["attempts"][0]["provider_id"])
        assert await calls_back(gw, asked(provider)["report_to"], news) == 200
    told = await gw.ended(sent["id"])
    assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "sms")
    assert [(one["channel"], one["status"]) for one in told["attempts"]] == [("pager", "failed"), ("sms", "delivered")]


async def test_a_reply_is_an_answer(gw: Running, provider: Carrier) -> None:
    provider.script(Answer(202, {"page": "p-1"}))
    sent = await gw.send("c-1", prompt={"kind": "acknowledge"}, reach={"step": 60, "within": 300})
    await gw.when(sent["id"], lambda found: found["attempts"] and found["attempts"][0]["provider_id"])
    body = msgspec.json.encode({"page": "p-1", "status": "delivered", "pager": PAGER, "reply": "1"})
    for _ in range(2):
        assert await calls_back(gw, asked(provider)["report_to"], body) == 200
    told = await gw.ended(sent["id"])
    assert (told["verdict"]["level"], told["answer"]["value"], told["answer"]["channel"]) == (
        "acknowledged",
        True,
        "pager",
    )


async def test_its_door_keeps_strangers_out(gw: Running) -> None:
    url = f"{gw.url}/callbacks/pager/00m-1/a1"
    news = b'{"page":"p-1","status":"delivered"}'
    assert await calls_back(gw, url, news, key="another") == 403
    assert await calls_back(gw, url, b"[" * 100_000) == 400
    assert await calls_back(gw, f"{gw.url}/callbacks/pager", news) == 400
    assert await calls_back(gw, url, news) == 200, "genuine news of a message that is gone"


async def test_it_is_named_wherever_channels_are(gw: Running, provider: Carrier) -> None:
    consent = {"channel": "pager", "category": "survey", "state": "withdrawn", "way": "letter", "wording": "No more."}
    assert (await gw.api("POST", "/v1/customers/c-1/consents", consent)).status in (200, 201)
    choice = {"categories": {"outage": {"channels": ["pager"]}}, **BOTH}
    assert (await gw.api("PUT", "/v1/customers/c-1/preferences", choice)).status == 200
    profile = {"addresses": [{"channel": "pager", "value": "1"}, {"channel": "sms", "value": PHONE}]}
    assert (await gw.api("PUT", "/v1/customers/c-2", profile)).status == 201
    assert (await gw.api("POST", "/v1/channels/pager/pause", {"reason": "drill"})).body["state"] == "paused"
    assert (await gw.api("POST", "/v1/channels/pager/resume", {"reason": "over"})).body["state"] == "up"
    provider.script(Answer(202, {"page": "p-1"}))
    recipient = {"addresses": [{"channel": "pager", "value": "2"}]}
    sent = await gw.send(None, "outage", recipient=recipient, reach={"until": "accepted", "channels": ["pager"]})
    assert (await gw.ended(sent["id"]))["verdict"]["channel"] == "pager"


# Without the channel's settings


async def test_without_its_settings_it_is_missing_and_passed_over(
    redis_url: str, tmp_path: Path, by_line: None
) -> None:
    async with running(redis_url, tmp_path) as gw:
        await gw.customer("c-1", preferences=BOTH, pager=PAGER, sms=PHONE)
        listed = {one["name"]: one for one in (await gw.api("GET", "/v1/channels")).body["items"]}
        assert (listed["pager"]["state"], listed["pager"]["reason"]) == ("missing", "set [channels.pager]")
        sent = await gw.send("c-1", reach={**QUICK, "channels": ["pager", "sms"]})
        assert [(one["channel"], one["why"]["code"]) for one in sent["skipped"]] == [("pager", "no_channel")]
        assert (await gw.ended(sent["id"]))["verdict"]["channel"] == "sms"


TABLES: Final = """
[channels.pager]
url = "https://api.paging.example"
key = "never-to-be-seen"
concurrency = 4

[channels.pager.sandbox]
url = "http://127.0.0.1:9"
key = "look-alike"
"""


def test_settings_take_its_table(tmp_path: Path, registered: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway.toml").write_text(TABLES)
    monkeypatch.chdir(tmp_path)
    own = settings_for("check").channels["pager"]
    assert (own.concurrency, own.options["url"]) == (4, "https://api.paging.example")
    assert "never-to-be-seen" not in repr(own)


def test_settings_say_what_is_wrong(tmp_path: Path, by_line: None) -> None:
    (tmp_path / "gateway.toml").write_text('[channels.pagr]\nurl = "x"\n\n[channels.pager]\nsandbox = 1\n')
    with pytest.raises(BadSettings) as bad:
        load({}, tmp_path, command="dev", plugins=registry.names())
    assert any("channels.pagr" in line and "pager" in line for line in bad.value.problems)
    assert any("channels.pager.sandbox" in line for line in bad.value.problems)


async def test_in_the_sandbox_it_can_not_send_for_real(tmp_path: Path, by_line: None) -> None:
    bases = {"twilio_base": "http://127.0.0.1:9", "wechat_base": "http://127.0.0.1:9", "smtp_url": "smtp://127.0.0.1:9"}
    (tmp_path / "gateway.toml").write_text(TABLES)
    loaded = load({}, tmp_path, command="dev", plugins=registry.names())
    assert with_sandbox(loaded, **bases).channels["pager"].options["key"] == "look-alike"
    (tmp_path / "gateway.toml").write_text(TABLES.partition("[channels.pager.sandbox]")[0])
    bare = load({}, tmp_path, command="dev", plugins=registry.names())
    async with aiohttp.ClientSession() as session:
        deps = Deps(session, Redis(), lambda: 0)
        assert "pager" in registry.build(bare, deps)
        assert "pager" not in registry.build(with_sandbox(bare, **bases), deps)
        with pytest.raises(BadSettings, match=r"channels\.pager: .*key"):
            registry.build(
                msgspec.structs.replace(bare, channels={"pager": ChannelSettings(options={"url": "x"})}), deps
            )


def test_files_of_customers_have_its_column(tmp_path: Path, by_line: None) -> None:
    (tmp_path / "people.csv").write_text(f"id,sms,pager\nc-1,{PHONE},{PAGER}\n")
    with (tmp_path / "people.csv").open("rb") as file:
        [(_, row, _raw)] = rows_of(file, Reading(kind="csv"), registry.names())
    assert isinstance(row, dict)
    assert {one["channel"]: one["value"] for one in cast("Any", row)["addresses"]} == {"sms": PHONE, "pager": PAGER}
