"""What providers say when they are asked to delete their copies."""

from __future__ import annotations

from pathlib import Path

from gateway.channels.base import CannotErase, Erased, erase_copy
from gateway.message import Attempt
from gateway.sandbox.behaviour import State
from tests.support.running import Running, running, until
from tests.support.scripted import Scripted

PHONE = "+306912345002"


async def asked(world: Running, channel: str, number: str | None) -> Erased | CannotErase:
    """What the provider of a channel answers."""
    attempt = Attempt(id="a1", channel=channel, address="", provider_id=number)
    return await erase_copy(world.service.gateway.channels["live"].get(channel), attempt)


async def test_providers_delete_what_they_can_and_say_what_they_cannot(redis_url: str, tmp_path: Path) -> None:
    async with running(redis_url, tmp_path) as world:
        await world.customer("ana", sms=PHONE, voice=PHONE)
        for channel in ("sms", "voice"):
            await world.send("ana", "service", reach={"channels": [channel]})
        messages, calls = world.sandbox.twilio.sms.messages, world.sandbox.twilio.calls.calls
        await until(lambda: len(messages) == len(calls) == 1)
        await until(lambda: next(iter(messages.values())).status == "delivered")
        await until(lambda: next(iter(calls.values())).status in ("completed", "no-answer", "busy", "failed"))
        for channel, kept in (("sms", messages), ("voice", calls)):
            number, one = next(iter(kept.items()))
            ended, one.status = one.status, "queued"
            told = await asked(world, channel, number)
            assert isinstance(told, CannotErase), channel
            assert (told.code, told.later) == ("20009", True), channel
            one.status = ended
            world.switch(channel, State.REFUSES)
            told = await asked(world, channel, number)
            assert isinstance(told, CannotErase), channel
            assert told.later, channel
            world.switch(channel, State.UP)
            assert await asked(world, channel, number) == Erased(), channel
            assert not kept, channel
            assert await asked(world, channel, number) == Erased(), "there is none any more"
            told = await asked(world, channel, None)
            assert isinstance(told, CannotErase), channel
            assert (told.code, told.later) == ("no_id", False), channel
        for channel, code in (("email", "no_way"), ("wechat", "no_way"), ("gone", "no_channel")):
            told = await asked(world, channel, "x")
            assert isinstance(told, CannotErase), channel
            assert (told.code, told.later) == (code, False), channel


async def test_a_plug_in_need_not_know_of_it() -> None:
    told = await erase_copy(Scripted("pager"), Attempt(id="a1", channel="pager", address=""))
    assert isinstance(told, CannotErase)
    assert (told.code, told.later) == ("no_way", False)
