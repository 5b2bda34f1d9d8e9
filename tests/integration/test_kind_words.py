"""What people write that is no answer: somebody hears of it, and they are told so, once and kindly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Inbound
from gateway.delivery.inbox import Listed
from gateway.message import LANES
from gateway.prompts import Prompt
from gateway.selfservice.kindness import TEMPLATE, wants_words
from gateway.store.listing import Filter
from tests.support.core import MAIL, PHONE, Core, Scripted, core, until

NPS = Prompt(kind="scale", min=0, max=10)
LEAK = "There is water under the meter"


async def told(gw: Core, customer: str = "maria") -> list[str]:
    """The kind words that a customer has been given, as they were sent."""
    found, _ = await gw.gateway.listing.page("live", Filter(customer=customer, category="reply"), 50, None)
    mine = [one for one in found if one.template == TEMPLATE]
    for one in mine:
        await gw.ended(one)
    channel: Any = gw.gateway.channels["live"]["sms"]
    return [out.words.text for out in channel.handed if out.message in {one.id for one in mine}]


async def test_somebody_hears_it_and_thanks_are_said_once(redis_url: str, tmp_path: Path) -> None:
    heard: list[tuple[str, Listed]] = []

    async def owner(customer: str, listed: Listed) -> None:
        heard.append((customer, listed))

    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.gateway.heard.append(owner)
        gw.work()
        await gw.person("maria", sms=PHONE)
        assert await gw.hears(PHONE, LEAK) == "linked"
        await until(lambda: told(gw))
        assert [(customer, listed.item.inbound.text) for customer, listed in heard] == [("maria", LEAK)]
        found = await gw.gateway.inbound.find("live", heard[0][1].id)
        assert (found and found.item.customer) == "maria", "the id leads to the item"
        assert await gw.hears(PHONE, "and it is rising") == "linked"
        assert len(heard) == 2
        [words] = await told(gw)
        assert "one of us will read it" in words
        assert "question" not in words


async def test_whoever_left_a_question_open_is_told_how_to_answer(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.gateway.people.put_preferences("maria", {"channels": ["sms"], "language": "el"})
        asked = await gw.send("maria", prompt=NPS)
        await gw.when(asked, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        assert await gw.hears(PHONE, "banana") == "linked"
        [words] = await until(lambda: told(gw))
        assert "από το 0 έως το 10" in words
        assert await gw.hears(PHONE, "9") == "answer", "the question stays open"


async def test_answers_keywords_and_strangers_get_none(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        asked = await gw.send("maria", prompt=NPS)
        await gw.when(asked, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        assert await gw.hears(PHONE, "9 - well done") == "answer"
        assert await gw.hears("+306912345699", LEAK) == "unlinked"
        assert await gw.hears(PHONE, LEAK, mode="test") == "linked"
        assert await gw.hears(PHONE, "STOP") == "consent"
        assert await gw.hears(PHONE, "don't stop") == "doubtful"
        assert await gw.hears(PHONE, "HELP") == "help"
        await until(lambda: gw.gateway.listing.page("live", Filter(customer="maria", category="reply"), 50, None))
        assert await told(gw) == []


async def test_no_machine_speaks_beside_a_person(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.ended(await gw.send("maria", "reply", content={"text": "A colleague is on the way."}))
        assert await gw.hears(PHONE, LEAK) == "linked"
        assert await told(gw) == []


async def test_what_was_written_long_ago_is_not_thanked_for(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), Scripted("email")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, email=MAIL)
        assert await gw.hears(PHONE, LEAK, at=gw.gateway.clock.now() - 7_200_000) == "linked"
        assert await told(gw) == []


async def test_an_owner_who_fails_hears_it_again(redis_url: str, tmp_path: Path) -> None:
    times: list[str] = []

    async def owner(customer: str, _listed: Listed) -> None:
        times.append(customer)
        if len(times) == 1:
            raise RuntimeError("once")

    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.gateway.heard.append(owner)
        gw.work()
        await gw.person("maria", sms=PHONE)
        item = Inbound(id="SM1", channel="sms", sender=PHONE, text=LEAK, at=gw.gateway.clock.now())
        await gw.gateway.inbox.note("live", item)
        await until(lambda: times)
        [key] = await gw.items(PHONE)
        place, _, number = key.partition(":i:")

        async def again() -> bool:
            for lane in LANES:  # it would be a while till then
                await gw.client.zadd(f"{place}:agenda:{lane}", {f"i:{number}": 1}, xx=True)
            return len(times) == 2

        await until(again)
        assert await gw.worked(key) == "linked"
        assert len(await until(lambda: told(gw))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Thanks!", "ok", "👍", "收到，谢谢", "Σας ευχαριστώ", "🙂", "", "I'm driving. Sent automatically", "AUTO-REPLY: back on Monday", "Out of office until 4 May",
        "自动回复：您好，我正在开会", "Αυτόματη απάντηση: λείπω",
    ],
)  # fmt: skip
def test_thanks_and_machines_want_no_words(text: str) -> None:
    assert not wants_words(text)


@pytest.mark.parametrize("text", [LEAK, "When?", "没有水", "Δεν έχω νερό", "no thanks to you"])
def test_people_do(text: str) -> None:
    assert wants_words(text)
