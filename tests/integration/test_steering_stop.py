"""STOP and START by words: on the scope that is meant, at once, confirmed once and never against itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.channels.base import Inbound
from tests.integration.test_inbound import skipped
from tests.integration.test_steering_words import STRANGER, answered, replies, route
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Scripted, core


async def test_stop_of_one_kind_closes_it_everywhere_and_start_brings_it_back(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, Scripted("email")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL)
        told = await answered(gw, sms, PHONE, "STOP survey", "consent")
        assert "No more surveys" in told
        assert "START survey" in told
        assert await route(gw, "maria", "survey") == []
        assert await route(gw, "maria", "outage") == ["email", "sms"]
        await answered(gw, sms, PHONE, "START", "consent")
        assert await route(gw, "maria", "survey") == [], "START alone undoes STOP, not this"
        assert "surveys" in await answered(gw, sms, PHONE, "START survey", "consent")
        assert await route(gw, "maria", "survey") == ["email", "sms"]
        entry = (await gw.gateway.customers.ledger("maria"))[0]
        assert (entry.channel, entry.category, entry.way, entry.wording) == (
            "*",
            "survey",
            "sms_keyword",
            "STOP survey",
        )


async def test_start_survey_is_their_later_word_on_what_the_page_switched_off(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, categories={"survey": {"enabled": False}})
        assert await route(gw, "maria", "survey") == []
        await gw.hears(PHONE, "START survey")
        assert await route(gw, "maria", "survey") == ["sms"]


async def test_start_survey_gives_nothing_back_that_was_switched_off_after_it(redis_url: str, tmp_path: Path) -> None:
    """Workers were away for a minute, and the page was quicker."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE, categories={"survey": {"enabled": False}})
        before = gw.gateway.clock.now()
        await gw.gateway.people.choose("maria", "survey", on=False, way="page", wording="No surveys.")
        gw.work()
        assert await gw.hears(PHONE, "START survey", at=before) == "consent"
        assert await route(gw, "maria", "survey") == []
        assert not (await gw.customer("maria")).preferences.categories["survey"].enabled


async def test_nobody_switches_on_what_somebody_else_has_switched_off(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, categories={"survey": {"enabled": False}})
        await gw.person("nikos", sms=PHONE)
        sent = await gw.send("maria")
        await gw.when(sent, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        assert await gw.hears(PHONE, "START survey") == "consent"
        assert await route(gw, "maria", "survey") == [], "they share a phone, not their wishes"


async def test_stop_of_another_channel(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, Scripted("email"), Scripted("voice")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        assert "phone call" in await answered(gw, sms, PHONE, "stop calling me", "consent")
        assert await route(gw, "maria", "outage") == ["email", "sms"]
        assert "e-mail" in await answered(gw, sms, PHONE, "no more emails", "consent")
        assert await route(gw, "maria", "outage") == ["sms"]
        await answered(gw, sms, PHONE, "START", "consent")
        assert await route(gw, "maria", "outage") == ["email", "sms", "voice"]


async def test_nothing_is_sent_to_who_has_stopped(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.hears(PHONE, "STOP")
        assert await gw.hears(PHONE, "HELP") == "help"
        assert await gw.hears(PHONE, "PREF") == "preferences"
        for reply in await replies(gw):
            assert reply.verdict.state == "suppressed"
            assert skipped(reply)["sms"] == "opted_out"
        assert sms.handed == []
        assert "everything" in await answered(gw, sms, PHONE, "START", "consent")


async def test_yes_opts_in_only_where_there_is_something_to_undo(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert await gw.hears(PHONE, "yes") == "linked"
        await gw.hears(PHONE, "STOP")
        assert await gw.hears(PHONE, "yes") == "consent"
        assert await route(gw, "maria", "outage") == ["sms"]


async def test_stop_is_confirmed_with_the_answer_to_it_and_once(redis_url: str, tmp_path: Path) -> None:
    """At once: the withdrawal stands before its sender is answered, with no worker there."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        inbox, now = gw.gateway.inbox, gw.gateway.clock.now

        async def writes(words: str, number: str, sender: str = PHONE) -> str | None:
            item = Inbound(id=number, channel="sms", sender=sender, text=words, at=now())
            await inbox.note("live", item)
            return await inbox.at_once("live", item)

        told = await writes("STOP", "1")
        assert told is not None
        assert "no more messages from us by SMS" in told
        assert "START" in told
        assert await route(gw, "maria", "outage") == []
        assert await writes("STOP", "1") == told, "the provider repeats it because it has had no answer"
        assert await writes("stop", "2") is None, "said already"
        assert await writes("STOP survey", "3") is None, "texts are closed, but this is another thing"
        assert "any channel" in str(await writes("STOP ALL", "4"))
        assert await writes("hello", "5") is None
        assert "退订" not in str(await writes("退订", "6", OTHER_PHONE))
        assert "短信" in str(await writes("退订", "7", STRANGER)), "a stranger is told in their own language"
        assert len(await gw.gateway.customers.ledger("maria")) == 4, (
            "each is kept as evidence, a repeat by the provider is not"
        )
        gw.work()
        await gw.hears(PHONE, "START")
        assert await writes("STOP", "8") is not None, "after START it is news again"


async def test_a_repeat_of_stop_is_obeyed_at_once_too_and_undoes_no_start(redis_url: str, tmp_path: Path) -> None:
    """Whoever had noted it died before it was obeyed, or before the provider heard of it."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        inbox, now = gw.gateway.inbox, gw.gateway.clock.now
        first = Inbound(id="1", channel="sms", sender=PHONE, text="STOP", at=now())
        assert await inbox.note("live", first) == "ok"
        repeat = Inbound(id="1", channel="sms", sender=PHONE, text="STOP", at=now() + 1000)
        assert await inbox.note("live", repeat) == "seen"
        assert await inbox.at_once("live", repeat) is not None
        assert await route(gw, "maria", "outage") == []
        gw.work()
        await gw.hears(PHONE, "START", at=now() + 500)
        assert await route(gw, "maria", "outage") == ["sms"]
        await inbox.note("live", repeat)
        await inbox.at_once("live", repeat)
        assert await route(gw, "maria", "outage") == ["sms"]


async def test_two_stops_at_once_are_confirmed_once(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        items = [
            Inbound(id=str(n), channel="sms", sender=PHONE, text="STOP", at=gw.gateway.clock.now()) for n in range(5)
        ]
        told = await asyncio.gather(*(gw.gateway.inbox.at_once("live", item) for item in items))
        assert sum(one is not None for one in told) == 1


async def test_what_the_provider_has_answered_is_mirrored_in_silence(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, Scripted("voice")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        stop = Inbound(id="1", channel="sms", sender=PHONE, kind="opt_out", text="STOP", at=gw.gateway.clock.now())
        assert await gw.gateway.inbox.at_once("live", stop) is None
        assert await gw.hears(PHONE, "STOP", kind="opt_out") == "consent"
        assert await route(gw, "maria", "outage") == ["voice"]
        assert await gw.hears(PHONE, "START", kind="opt_in") == "consent"
        assert await route(gw, "maria", "outage") == ["sms", "voice"]
        assert await gw.hears(PHONE, "HELP", kind="help") == "help"
        assert await gw.hears(PHONE, "STOPALL", kind="opt_out") == "consent"
        assert await route(gw, "maria", "outage") == [], "the word says everything, whatever the provider makes of it"
        assert await replies(gw) == []
