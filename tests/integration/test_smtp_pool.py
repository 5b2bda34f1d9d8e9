"""How connections to a relay are shared, probed, renewed and dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import cast

import pytest

from gateway.channels.base import Accepted
from tests.support.email_bench import Bench, outbound, parsed
from tests.support.smtp_relay import DROP, HANG


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(stack)


async def test_twenty_at_once_share_the_allowed_connections(bench: Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, concurrency=4)
    sends = [channel.send(outbound(to=f"p{n}@example.org", token=f"t{n}")) for n in range(20)]
    results = await asyncio.gather(*sends)
    assert [cast("Accepted", result).provider_id for result in results] == [f"<t{n}@acme.example>" for n in range(20)]
    got = {mail.recipient: parsed(mail.data)["message-id"] for mail in relay.mails}
    assert got == {f"p{n}@example.org": f"<t{n}@acme.example>" for n in range(20)}
    assert relay.connections <= 4
    assert 1 < relay.busiest <= 4


async def test_cancelled_before_the_text_leaves_no_line_out_of_step(bench: Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, concurrency=1)
    assert isinstance(await channel.send(outbound()), Accepted)
    relay.script["rcpt"].append(HANG)
    doomed = asyncio.create_task(channel.send(outbound()))
    async with asyncio.timeout(5):
        await relay.hanging.wait()
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    result = await channel.send(outbound(token="after"))
    assert result == Accepted(provider_id="<after@acme.example>", status="sent")
    assert relay.connections == 2


async def test_cancelled_after_the_final_dot_still_ends_the_dialogue(bench: Bench) -> None:
    relay = await bench.relay()
    relay.script["data"].append(HANG)
    channel = bench.channel(relay.port, concurrency=1, timeout=5.0)
    doomed = asyncio.create_task(channel.send(outbound()))
    await relay.until_taken(1)
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    waiting = asyncio.create_task(channel.send(outbound(token="after")))
    relay.release.set()
    assert await waiting == Accepted(provider_id="<after@acme.example>", status="sent")


async def test_connections_are_probed_and_renewed(bench: Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, concurrency=1)
    await channel.send(outbound())
    bench.clock.now += 29_000
    await channel.send(outbound())
    assert (relay.connections, relay.probes) == (1, 0)
    bench.clock.now += 31_000
    await channel.send(outbound())
    assert (relay.connections, relay.probes) == (1, 1)
    bench.clock.now += 241_000
    await channel.send(outbound())
    assert relay.connections == 2
    for _ in range(100):
        await channel.send(outbound())
    assert relay.connections == 3


async def test_connection_closed_by_the_relay_costs_no_mail(bench: Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, concurrency=2)
    await asyncio.gather(channel.send(outbound()), channel.send(outbound()))
    relay.hang_up()
    assert isinstance(await channel.send(outbound()), Accepted)
    relay.script["mail"].append(DROP)
    assert isinstance(await channel.send(outbound()), Accepted), "an old connection died under MAIL"


async def test_refused_envelope_is_cleared_before_the_next(bench: Bench) -> None:
    relay = await bench.relay()
    channel = bench.channel(relay.port, concurrency=1)
    relay.script["rcpt"].append("550 5.1.1 unknown")
    await channel.send(outbound())
    await channel.send(outbound())
    assert (relay.connections, relay.resets, len(relay.mails)) == (1, 1, 1)
