"""What every channel must do, whoever its provider is; the toy channel of the documentation too."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from gateway.channels import registry
from gateway.channels.base import Accepted, Callback, Channel, Forged, Malformed, Reading, Refused, Reply, Unknown
from gateway.message import Attempt, Fault, Receipt
from gateway.news import absorb
from tests.support import twilio_carrier
from tests.support.carriers import DEEP, CallsBack, Driver
from tests.support.carriers_other import EmailDriver, PagerDriver, WeChatDriver
from tests.support.carriers_twilio import SmsDriver, VoiceDriver
from tests.support.hostile import HOSTILE, modest, read
from tests.support.running import until
from tests.support.twilio_carrier import NOW
from tests.support.wire import closed_port

CALLING: list[type[CallsBack]] = [SmsDriver, VoiceDriver, WeChatDriver, PagerDriver]
DRIVERS: list[type[Driver]] = [*CALLING, EmailDriver]
SITUATIONS = {
    *("taken", "error_in_success", "junk_in_success", "empty_success", "deep_success", "throttled", "trouble"),
    *("deep_refusal", "hangs", "refused", "opted_out", "unknown_code"),
}
NOT_SAID = {
    "voice": {"opted_out"},  # Twilio keeps opt-outs for messages alone
    "email": {"opted_out", "deep_success", "deep_refusal"},  # SMTP has no reply for the one, no JSON for the others
}
PATIENCE = 20.0
SHORT = 1.0
TRUSTED = 64 * 1024
CLIENTS = ("aiohttp.client", "aiosmtplib", "asyncio", "gateway", "twilio", "wechatpy")


@pytest.fixture
async def bench(request: pytest.FixtureRequest, redis_client: Redis, tmp_path: Path) -> AsyncIterator[Driver]:
    """A driver with its carrier running. Nothing scripted may be left over."""
    driver: Driver = request.param()
    async with AsyncExitStack() as stack:
        await driver.open(stack, redis_client, tmp_path)
        yield driver
        assert not driver.unused(), "scripted, but never asked for"
        driver.release()


@pytest.fixture(autouse=True)
def nothing_private_is_logged(bench: Driver, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does: neither secrets nor addresses nor words reach a log, on any level."""
    caplog.set_level("DEBUG")
    with capture_logs() as logs:
        yield
    told = [repr(logs), *(r.getMessage() for r in caplog.get_records("call") if r.name.startswith(CLIENTS))]
    for private in bench.private:
        assert not [line for line in told if private in line]


@pytest.fixture
async def channel(bench: Driver) -> AsyncIterator[Channel]:
    made = bench.channel(bench.wire.port, PATIENCE)
    yield made
    bench.release()
    await made.close()


every = pytest.mark.parametrize("bench", DRIVERS, indirect=True, ids=lambda driver: driver.name)
calling = pytest.mark.parametrize("bench", CALLING, indirect=True, ids=lambda driver: driver.name)
situations = pytest.mark.parametrize(
    "bench, situation",
    [pytest.param(driver, name, id=f"{driver.name}-{name}") for driver in DRIVERS for name in driver.cases],
    indirect=["bench"],
)


async def sent(bench: Driver, channel: Channel, number: int = 1) -> Accepted | Refused | Unknown:
    """One send: it ends in time, in one of three ways, and shows nothing private."""
    async with asyncio.timeout(2 * PATIENCE):
        result = await channel.send(bench.outbound(number))
    assert isinstance(result, Accepted | Refused | Unknown)
    told = "" if isinstance(result, Accepted) else repr(result)
    assert not [private for private in bench.private if private in told]
    return result


@every
def test_every_situation_is_covered(bench: Driver) -> None:
    assert set(bench.cases) | NOT_SAID.get(bench.name, set()) == SITUATIONS
    assert not set(bench.cases) & NOT_SAID.get(bench.name, set())


@pytest.mark.parametrize("bench", [EmailDriver], indirect=True)
def test_every_channel_is_covered(bench: Driver) -> None:
    assert {driver.name for driver in DRIVERS} == {*registry.CHANNELS, PagerDriver.name}


# Sending


@situations
async def test_send(bench: Driver, situation: str) -> None:
    case = bench.cases[situation]
    waits = case.ends is Unknown and situation in ("hangs", "error_in_success")
    channel = bench.channel(bench.wire.port, SHORT if waits else PATIENCE)
    bench.script(case.told)
    result = await sent(bench, channel)
    assert case.fits(result), result
    assert bench.wire.asked(bench.opening) == 1, "one send is one request"
    if isinstance(result, Accepted):
        assert result.provider_id
    if isinstance(result, Unknown):
        assert bench.had() == 1, "the carrier may have taken it: it did read it"
    bench.release()
    await channel.close()


@every
@pytest.mark.parametrize("where", ["before", "head", "body"])
async def test_the_line_is_cut_within_the_answer(bench: Driver, channel: Channel, where: str) -> None:
    bench.script(*bench.taken(2))
    bench.wire.cut(bench.end or bench.opening, *({"before": (b"", 0), "head": bench.head, "body": bench.body}[where]))
    assert isinstance(await sent(bench, channel), Unknown)
    assert (bench.had(), bench.wire.asked(bench.opening)) == (1, 1), "what may have been taken is never repeated"
    assert isinstance(await sent(bench, channel, 2), Accepted), "the next one goes out on a new line"


@every
async def test_a_refused_connection_was_no_hand_over(bench: Driver) -> None:
    with closed_port() as port:
        channel = bench.channel(port, PATIENCE)
        result = await sent(bench, channel)
        await channel.close()
    assert isinstance(result, Refused)
    assert (result.fault, bench.had()) == (Fault.UNAVAILABLE, 0)


@every
async def test_fifty_at_once_keep_to_themselves(bench: Driver, channel: Channel) -> None:
    bench.script(*bench.taken(50))
    results = await asyncio.gather(*(sent(bench, channel, number) for number in range(50)))
    assert len({result.provider_id for result in results if isinstance(result, Accepted)}) == 50
    assert (bench.had(), bench.wire.asked(bench.opening)) == (50, 50)


@every
async def test_a_cancelled_send_leaves_the_channel_usable(bench: Driver, channel: Channel) -> None:
    bench.script(bench.cases["hangs"].told)
    task = asyncio.create_task(channel.send(bench.outbound()))
    await until(lambda: bench.had() == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    bench.script(*bench.taken(1))
    assert isinstance(await sent(bench, channel, 2), Accepted)
    assert bench.had() == 2


@every
async def test_closing_twice_is_closing_once(bench: Driver, channel: Channel) -> None:
    bench.script(*bench.taken(1))
    assert isinstance(await sent(bench, channel), Accepted)
    await channel.close()
    await channel.close()
    untouched = bench.channel(bench.wire.port, PATIENCE)
    await untouched.close()
    await untouched.close()


@pytest.mark.parametrize("bench", [WeChatDriver], indirect=True)
@pytest.mark.parametrize(
    "told", ["", "[]", "<html>", DEEP, (503, "away")], ids=["empty", "list", "html", "deep", "503"]
)
async def test_a_way_in_that_answers_nonsense_was_no_hand_over(
    bench: WeChatDriver, channel: Channel, told: Any
) -> None:
    bench.carrier.token_script.append(told)
    result = await sent(bench, channel)
    assert isinstance(result, Refused)
    assert (result.fault, bench.had()) == (Fault.UNAVAILABLE, 0)


@every
async def test_asking_and_recalling_never_raise(bench: Driver) -> None:
    out = bench.outbound()
    with closed_port() as port:
        channel = bench.channel(port, PATIENCE)
        attempt = Attempt(id="a1", channel=bench.name, address=out.to, times={"started": NOW}, provider_id="x")
        assert isinstance(await channel.find(out, attempt), Unknown), "not asked is not absent"
        await channel.recall(attempt)
        await channel.close()
    assert isinstance(channel.name, str)
    assert "accepted" in channel.traits.proves


# Callbacks


@every
@pytest.mark.parametrize("body", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_bodies_without_a_signature_are_refused(bench: Driver, channel: Channel, body: bytes) -> None:
    for path in getattr(bench, "paths", ("", "inbound")):
        call = Callback(
            method="POST", path=path, url=f"https://gw.example/{path}", headers={}, query={}, body=body, now=NOW
        )
        assert read(channel, call) is None
        assert read(channel, msgspec.structs.replace(call, method="GET")) is None


@calling
@pytest.mark.parametrize("body", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_bodies_with_a_signature_say_nothing(bench: CallsBack, channel: Channel, body: bytes) -> None:
    for path in bench.paths:
        reading = read(channel, bench.signed(body[:TRUSTED], path))
        assert reading is None or (modest(reading) and not reading.inbound)


@calling
def test_repeated_parameters_are_read_one_way(bench: CallsBack, channel: Channel) -> None:
    body = b"MessageStatus=delivered&MessageStatus=failed&CallSid=CA1&CallSid=CA2&MessageSid=SM1&page=1&page=2"
    said = [read(channel, bench.signed(body, bench.paths[0])) for _ in range(2)]
    first, second = ((one.receipts, one.by_provider_id) if one else None for one in said)
    assert first == second


@calling
def test_hostile_surroundings(bench: CallsBack, channel: Channel) -> None:
    genuine = bench.news()[0]
    changes: list[dict[str, Any]] = [
        *({"path": path} for path in ("..", "status/../..", "x" * 10_000, "\x00", "\udcff", "status//", "msg-1/a1/a1")),
        *({"url": url} for url in ("", "https://[broken", "\udcff", "x" * 100_000, genuine.url + "?a=\udcff")),
        *({"headers": dict.fromkeys(genuine.headers, value)} for value in ("", "\udcff", "\x00", "x" * 100_000)),
        *({"query": dict.fromkeys(genuine.query, value)} for value in ("", "\udcff", "\x00", "9" * 10_000)),
        {"query": {**genuine.query, "echostr": "\udcff", "msg_signature": "\udcff"}, "method": "GET"},
        {"method": "BREW"},
    ]
    for change in changes:
        reading = read(channel, msgspec.structs.replace(genuine, **change))
        assert reading is None or "path" not in change
    for path in ("..", "x" * 10_000, "\x00", "\udcff", "msg-1/a1/a1/a1/a1"):
        assert read(channel, bench.signed(genuine.body, path, "other")) is None


@calling
def test_forged(bench: CallsBack, channel: Channel) -> None:
    for call in bench.forged():
        with pytest.raises(Forged):
            channel.read(call)
    assert channel.read(bench.news()[0])


@calling
def test_words_that_are_new_prove_nothing(bench: CallsBack, channel: Channel) -> None:
    for call in bench.odd():
        reading = channel.read(call)
        assert modest(reading), reading
        assert isinstance(reading.respond(None), Reply)


@calling
def test_news_in_any_order_and_repeated_ends_the_same(bench: CallsBack, channel: Channel) -> None:
    calls = [msgspec.structs.replace(call, now=NOW + late) for late, call in enumerate(bench.news())]
    ends: set[bytes] = set()
    for order in itertools.permutations(calls):
        message = twilio_carrier.message(bench.name)
        for call in (*order, order[0], *order):
            for receipt in _receipts(channel.read(call)):
                absorb(message, receipt)
        assert message.attempts[0].status == "delivered"
        ends.add(msgspec.json.encode(message.attempts, order="deterministic"))
    assert len(ends) == 1


@pytest.mark.parametrize("bench", [EmailDriver], indirect=True)
def test_who_is_never_called_back_takes_no_callback(bench: Driver, channel: Channel) -> None:
    with pytest.raises(Malformed):
        channel.read(Callback(method="POST", path="", url="", headers={}, query={}, body=b"", now=NOW))


def _receipts(reading: Reading) -> list[Receipt]:
    return [
        *(receipt for _, receipt in reading.receipts),
        *(msgspec.structs.replace(receipt, attempt="a1") for _, receipt in reading.by_provider_id),
    ]
