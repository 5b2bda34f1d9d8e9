"""What people steer by words: obeyed, confirmed once, and never against what they have closed."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.channels.base import Inbound
from gateway.delivery.inbox import Wanted
from gateway.links import preference_subject
from gateway.message import Message
from gateway.prompts import Option, Prompt
from gateway.store.keys import of_customer
from gateway.store.listing import Filter
from tests.integration.test_inbound import allowed
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Scripted, core, until
from tests.support.turns import before_command

STRANGER = "+306912345677"


def said(channel: Scripted) -> list[str]:
    return [out.words.text for out in channel.handed]


async def answered(gw: Core, channel: Scripted, sender: str, words: str, outcome: str, **more: Any) -> str:
    """What the person was told by that channel after they wrote."""
    before = len(channel.handed)
    assert await gw.hears(sender, words, **more) == outcome
    await until(lambda: len(channel.handed) > before, seen=lambda: said(channel))
    [told] = channel.handed[before:]
    assert (told.to, told.category) == (sender, "reply")
    return told.words.text


async def replies(gw: Core) -> list[Message]:
    return (await gw.gateway.listing.page("live", Filter(category="reply"), 50, None))[0]


async def route(gw: Core, customer: str, category: str) -> list[str]:
    return sorted(await allowed(gw, customer, category))


@pytest.mark.parametrize(
    "locale, words, holds",
    [
        ("en", "HELP", "STOP"),
        ("en", "info", "PREF"),
        ("el", "Βοήθεια", "ΣΤΟΠ"),
        ("zh-Hans", "帮助", "退订"),
        ("zh-Hant", "幫助", "退訂"),
    ],
)
async def test_help_says_who_we_are_and_what_can_be_written(
    redis_url: str, tmp_path: Path, locale: str, words: str, holds: str
) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms, PUBLIC_URL="https://we.example.org") as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.gateway.people.patch("maria", {"locale": locale})
        told = await answered(gw, sms, PHONE, words, "help")
        assert "we.example.org" in told
        assert holds in told
        assert "https://we.example.org/p/" in told
        stranger = await answered(gw, sms, STRANGER, words, "help")
        assert holds in stranger, "in the language they wrote in"
        assert "/p/" not in stranger, "and no page of anybody's"


async def test_pref_gives_the_link_to_the_page(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        told = await answered(gw, sms, PHONE, "PREF", "preferences")
        mode, whose, _ = preference_subject(gw.gateway.links.read("preferences", told.rpartition("/p/")[2]))
        assert (mode, whose) == ("live", "maria")
        unknown = await answered(gw, sms, STRANGER, "PREF", "preferences")
        assert "/p/" not in unknown
        assert "link in one of our messages" in unknown


@pytest.mark.parametrize(
    "words, locale, holds",
    [("Ελληνικά", "el", "ελληνικά"), ("中文", "zh-Hans", "简体"), ("LANG zh-Hant", "zh-Hant", "繁體"), ("lang en", "en", "English")],
)  # fmt: skip
async def test_a_language_is_set_and_confirmed_in_it(
    redis_url: str, tmp_path: Path, words: str, locale: str, holds: str
) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert holds in await answered(gw, sms, PHONE, words, "language")
        assert (await gw.customer("maria")).preferences.language == locale
        assert (await gw.customer("maria")).preferences.channels == ("sms",), "and nothing else has changed"


async def test_an_order_of_channels(redis_url: str, tmp_path: Path) -> None:
    sms, voice, mail = Scripted("sms"), Scripted("voice"), Scripted("email")
    async with core(redis_url, tmp_path, sms, voice, mail) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        told = await answered(gw, sms, PHONE, "ORDER voice then sms, wechat", "preferences")
        assert (await gw.customer("maria")).preferences.channels == ("voice", "sms", "wechat")
        assert "phone call, then SMS, then WeChat" in told
        assert "No address yet: WeChat" in told
        told = await answered(gw, sms, PHONE, "PREF outage sms voice", "preferences")
        assert "outage notices by SMS, then phone call" in told
        wishes = (await gw.customer("maria")).preferences
        assert wishes.categories["outage"].channels == ("sms", "voice")
        assert wishes.channels == ("voice", "sms", "wechat")


async def test_an_order_that_reaches_nobody_is_refused(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert "no address of yours for WeChat" in await answered(gw, sms, PHONE, "PREF wechat", "preferences")
        assert "PREF sms voice" in await answered(gw, sms, PHONE, "PREF pigeon", "unclear")
        assert (await gw.customer("maria")).preferences.channels == ("sms",)


async def test_quiet_hours(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert "22:00 to 07:00" in await answered(gw, sms, PHONE, "QUIET 22-7", "preferences")
        hours: Any = (await gw.customer("maria")).preferences.quiet_hours
        assert (hours.start, hours.end) == ("22:00", "07:00")
        assert "any time" in await answered(gw, sms, PHONE, "quiet off", "preferences")
        assert (await gw.customer("maria")).preferences.quiet_hours is None
        assert "QUIET 22-7" in await answered(gw, sms, PHONE, "QUIET 99-7", "unclear")


async def test_a_machine_that_answers_is_answered_once(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await answered(gw, sms, PHONE, "help", "help")
        for _ in range(3):
            assert await gw.hears(PHONE, "help") == "help"
        assert len(await replies(gw)) == 1
        for n in range(20):
            await gw.hears(PHONE, f"QUIET {n}-22")
        assert len(await replies(gw)) == 12, "whatever they write, so many a day"


async def test_an_item_worked_off_twice_is_answered_once(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await answered(gw, sms, PHONE, "PREF", "preferences")
        [(key, (_, item))] = (await gw.items(PHONE)).items()
        await gw.client.hdel(key, "d")
        await gw.client.persist(key)
        lane = f"{key.partition(':')[0]}:agenda:critical"
        await gw.client.zadd(lane, {key.partition(":")[2]: 1})
        assert await gw.worked(key) == item["outcome"]
        assert len(await replies(gw)) == 1


async def test_words_go_to_whoever_was_last_written_to(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.person("nikos", sms=PHONE)
        assert "Δεν ξέρουμε ποιου" in await answered(gw, sms, PHONE, "LANG el", "language")
        assert (await gw.customer("maria")).preferences.language is None
        assert (await gw.customer("nikos")).preferences.language is None
        sent = await gw.send("nikos")
        await gw.when(sent, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        await gw.hears(PHONE, "中文")
        assert (await gw.customer("maria")).preferences.language is None
        assert (await gw.customer("nikos")).preferences.language == "zh-Hans"


@pytest.mark.parametrize("words", ["why don't you stop the power cuts", "don't stop", "stop by my house"])
async def test_what_is_doubtful_waits_for_a_person(redis_url: str, tmp_path: Path, words: str) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert await gw.hears(PHONE, words) == "doubtful"
        assert await gw.gateway.customers.ledger("maria") == []
        assert sms.handed == []


async def test_a_team_or_test_key_changes_nothing(redis_url: str, tmp_path: Path) -> None:
    sms, test = Scripted("sms"), Scripted("sms")
    async with core(redis_url, tmp_path, sms, test_channels=[test]) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        for words in ("HELP", "LANG el", "PREF", "QUIET 22-7", "STOP survey"):
            assert await gw.hears(PHONE, words, mode="test") == "linked"
        assert (await gw.customer("maria")).preferences.language is None
        assert sms.handed == test.handed == []


async def test_help_is_an_answer_where_it_is_one_of_those_to_choose(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        prompt = Prompt(kind="choice", options=(Option("h", "Help"), Option("n", "Nothing")))
        sent = await gw.send("maria", prompt=prompt)
        await gw.when(sent, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        assert await gw.hears(PHONE, "help") == "answer"
        assert await gw.hears(PHONE, "English") == "language", "no question is open any more"


@pytest.mark.parametrize("words", ["QUIET 22-7", "STOP survey"])
async def test_two_workers_on_one_wish_do_it_and_say_it_once(redis_url: str, tmp_path: Path, words: str) -> None:
    """A lease that ran out: the second worker is done before each single command of the first."""
    async with core(redis_url, tmp_path, Scripted("sms")) as one, core(redis_url, tmp_path, Scripted("sms")) as two:
        for moment in itertools.count():
            await one.client.flushall()
            await one.person("maria", sms=PHONE)
            item = Inbound(id="1", channel="sms", sender=PHONE, text=words, at=one.gateway.clock.now())
            assert await one.gateway.inbox.note("live", item) == "ok"
            at = of_customer(one.gateway.customers.address_key(PHONE))
            [taken] = (await one.gateway.scripts.take(at.number, 10_000, {"critical": 9}, {})).items
            again = functools.partial(two.gateway.inbox.work, at, taken)
            with before_command(one.gateway.scripts, moment, again) as done:
                await one.gateway.inbox.work(at, taken)
            if not done:
                break
            [reply] = await replies(one)
            assert reply.metadata == {"automatic": True}
            assert len(await one.gateway.customers.ledger("maria")) == (words == "STOP survey"), moment
            [listed] = (await one.gateway.inbound.page("live", Wanted(), 9, None))[0]
            assert listed.item.outcome in ("preferences", "consent")


async def test_an_answer_goes_to_the_very_address_it_came_from(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        numbers = [{"channel": "sms", "value": number} for number in (OTHER_PHONE, PHONE)]
        await gw.gateway.people.put("maria", {"addresses": numbers})
        for number in (PHONE, OTHER_PHONE):
            await answered(gw, sms, number, "QUIET 22-7", "preferences")
        assert {reply.customer for reply in await replies(gw)} == {"maria"}


async def test_a_link_goes_to_nobody_but_the_owner_of_the_address(redis_url: str, tmp_path: Path) -> None:
    """Somebody has said whose texts these are; that opens no page to whoever holds the phone."""
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        gw.work()
        await gw.person("maria", email=MAIL)
        await gw.hears(STRANGER, "hello")
        [listed] = (await gw.gateway.inbound.page("live", Wanted(), 9, None))[0]
        await gw.gateway.inbound.link("live", listed.id, "maria")
        assert "/p/" not in await answered(gw, sms, STRANGER, "PREF", "preferences")
        assert "/p/" not in await answered(gw, sms, STRANGER, "HELP", "help")
        await gw.hears(STRANGER, "LANG el")
        assert (await gw.customer("maria")).preferences.language == "el"


async def test_forty_wishes_of_one_person_in_a_second_all_come_true(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        now = gw.gateway.clock.now()
        for n in range(40):
            item = Inbound(id=f"q{n}", channel="sms", sender=PHONE, text=f"QUIET 21:{n:02}-7", at=now)
            assert await gw.gateway.inbox.note("live", item) == "ok"
        with structlog.testing.capture_logs() as entries:
            gw.work()
            found = [await gw.worked(item) for item in await gw.items(PHONE)]
        assert found == ["preferences"] * 40
        assert [entry for entry in entries if entry["log_level"] in ("warning", "error")] == []
