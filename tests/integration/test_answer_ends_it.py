"""An answer ends what is still under way: no step begins any more, what rings stops, the rest stays open for news alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Accepted
from gateway.message import Receipt
from gateway.prompts import Prompt
from tests.support.core import MAIL, PHONE, Core, Hang, Scripted, core, until

NPS = Prompt(kind="scale", min=0, max=10)
REACH: dict[str, Any] = {"until": "acknowledged", "step": 1, "within": 3600}
AT_ONCE = {**REACH, "mode": "all_at_once", "rounds": 2}


def taps(gw: Core, message: str) -> Any:
    """The person presses 9 on the page."""
    return gw.gateway.pages.answer(message, 9, "9")


async def test_in_turn_no_further_step_begins(redis_url: str, tmp_path: Path) -> None:
    sms, voice, email = Scripted("sms"), Scripted("voice", recalls=True, rings=180), Scripted("email")
    async with core(redis_url, tmp_path, sms, voice, email) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        sent = await gw.send("maria", prompt=NPS, reach=REACH)
        await gw.when(sent, lambda m: m.attempts and m.attempts[0].status == "accepted")
        await gw.age(sent, 2)
        found = await gw.when(sent, lambda m: [a.status for a in m.attempts] == ["accepted"] * 2)
        assert await gw.hears(PHONE, "9 - the staff were great") == "answer"
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.verdict.channel, ended.verdict.level) == ("reached", "sms", "acknowledged")
        await until(lambda: voice.recalled == [found.attempts[1].id])
        assert ended.answer is not None
        assert (ended.answer.value, ended.answer.text) == (9, "9 - the staff were great")
        await gw.age(sent, 10)
        await gw.nudge(sent)
        bell = await gw.send("maria", "service")
        await gw.when(bell, lambda m: m.attempts)
        assert email.handed == [], "the third step is never begun"
        late = Receipt(attempt=found.attempts[1].id, at=gw.gateway.clock.now(), status="failed")
        await gw.gateway.receipts.absorb(sent.id, [late])
        after = await gw.message(sent)
        assert (after.attempts[1].status, after.verdict) == ("failed", ended.verdict), (
            "news is kept and changes nothing"
        )


@pytest.mark.parametrize("by", ["sms", "page"])
async def test_all_at_once_what_has_not_begun_is_dropped(redis_url: str, tmp_path: Path, by: str) -> None:
    sms, voice, email = Scripted("sms"), Scripted("voice", recalls=True, rings=180), Scripted("email")
    async with core(redis_url, tmp_path, sms, voice, email) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        await gw.gateway.boards["live"].pause("email", "maintenance", None)
        sent = await gw.send("maria", prompt=NPS, reach=AT_ONCE)
        found = await gw.when(sent, lambda m: [a.status for a in m.attempts] == ["accepted"] * 2)
        assert await gw.line(sent, "email"), "its turn has not come"
        if by == "page":
            await taps(gw, sent.id)
        else:
            assert await gw.hears(PHONE, "9") == "answer"
        ended = await gw.ended(sent)
        assert ended.verdict.state == "reached"
        assert not await gw.line(sent, "email")
        await gw.gateway.boards["live"].pause("email", None, None)
        await gw.age(sent, 10)
        ring = next(a.id for a in found.attempts if a.channel == "voice")
        await until(lambda: voice.recalled == [ring])
        assert (len(sms.handed), len(voice.handed), email.handed) == (1, 1, []), "and no second round"


async def test_a_call_that_is_only_being_asked_for_is_ended_when_it_is_taken(redis_url: str, tmp_path: Path) -> None:
    hang = Hang()
    sms, voice = Scripted("sms"), Scripted("voice", hang, recalls=True, rings=180, timeout=20)
    async with core(redis_url, tmp_path, sms, voice) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE, voice=PHONE)
        sent = await gw.send("maria", prompt=NPS, reach=AT_ONCE)
        await hang.reached.wait()
        await gw.when(sent, lambda m: any(a.channel == "sms" and a.status == "accepted" for a in m.attempts))
        assert await gw.hears(PHONE, "10") == "answer"
        await gw.ended(sent)
        hang.answer(Accepted(provider_id="CA1"))
        await until(lambda: voice.recalled)


async def test_an_answer_before_the_first_attempt_ends_it_too(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    async with core(redis_url, tmp_path, sms) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", prompt=NPS, reach=REACH)
        await taps(gw, sent.id)
        gw.work()
        ended = await gw.ended(sent)
        assert (ended.verdict.state, ended.attempts, sms.handed) == ("reached", [], [])


async def test_words_are_kept_with_the_answer_that_counts(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", prompt=NPS)
        pages = gw.gateway.pages
        assert await pages.add_words(sent.id, "Too early") is None, "there is no answer to keep them with"
        await taps(gw, sent.id)
        for _ in range(2):
            await pages.add_words(sent.id, "The staff were great")
        found = await gw.message(sent)
        assert found.answer is not None
        assert (found.answer.value, found.answer.text) == (9, "The staff were great")
        await pages.add_words(sent.id, "And quick")
        found = await gw.message(sent)
        assert found.answer is not None
        assert found.answer.text == "The staff were great\nAnd quick"
        await taps(gw, sent.id)
        await pages.answer(sent.id, 3, "3")
        await pages.answer(sent.id, 3, "3")
        values = [one.value for one in (await gw.message(sent)).later_answers]
        assert values == [3], "a page that is merely loaded again answers no second time"


async def test_a_page_asks_for_the_newest_of_its_thread(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        older = await gw.send("maria", prompt=NPS, thread="t")
        newer = await gw.send("maria", prompt=NPS, thread="t")
        gw.work()
        await gw.when(older, lambda m: m.superseded_by)
        opened = await gw.gateway.pages.asked(older.id)
        assert (opened and opened.message.id) == newer.id
        clear = await gw.send("maria", thread="t", prompt=Prompt(kind="yes_no"))
        await gw.when(newer, lambda m: m.superseded_by == clear.id)
        opened = await gw.gateway.pages.asked(older.id)
        assert (opened and opened.message.id) == newer.id, "a 9 means nothing to the newest; the one before takes it"


async def test_of_two_open_questions_alike_each_gets_its_answer(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        older = await gw.send("maria", prompt=NPS)
        await gw.when(older, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        newer = await gw.send("maria", prompt=NPS)
        await gw.when(newer, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        for words in ("9", "3", "5"):
            assert await gw.hears(PHONE, words) == "answer"
        found = [await gw.message(one) for one in (newer, older)]
        assert [one.answer and one.answer.value for one in found] == [9, 3], "the newest first, then what still waits"
        assert [[late.value for late in one.later_answers] for one in found] == [[5], []]
