"""Caps over several categories, counted where attempts begin: once for each message, never passed, never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.app import rules_of
from gateway.channels.base import Refused
from gateway.message import Fault, Message
from gateway.settings import load
from gateway.settings_types import BadSettings
from tests.support.core import Core, core, until
from tests.support.scripted import Scripted

NUMBER: Final = "+306912345601"
REACH: Final[dict[str, Any]] = {"until": "delivered", "unproven": "go_on", "step": 3600, "within": 86400}


@pytest.fixture
def sms() -> Scripted:
    return Scripted("sms")


@pytest.fixture
def email() -> Scripted:
    return Scripted("email")


@pytest.fixture
async def made(redis_url: str, tmp_path: Path, sms: Scripted, email: Scripted) -> AsyncGenerator[Core]:
    caps = {"few": {"limit": 2, "window": 7 * 86400}, "brief": {"limit": 1, "window": 2, "categories": ["follow_up"]}}
    async with core(redis_url, tmp_path, sms, email, caps=caps) as running:
        await running.person("ana", sms=NUMBER, email="ana@example.org")
        yield running


async def settled(made: Core, message: Message) -> Message:
    return await made.when(message, lambda found: found.done or found.attempts)


async def test_many_at_once_never_pass_it_and_who_is_left_out_hears_which_cap_it_was(made: Core, sms: Scripted) -> None:
    made.work()
    made.work()
    sent = await made.send_many(["ana"] * 8, "service")
    found = await asyncio.gather(*(settled(made, message) for message in sent))
    assert len(sms.handed) == 2
    left = [message.verdict for message in found if message.done]
    assert {(verdict.state, verdict.code) for verdict in left} == {("suppressed", "cap")}
    assert len(left) == 6
    assert "the cap few allows: 2 in 7 days" in (left[0].text or "")


async def test_it_counts_over_categories_and_a_fall_back_counts_once(
    made: Core, sms: Scripted, email: Scripted
) -> None:
    sms.usual = Refused(fault=Fault.NO_ANSWER)
    made.work()
    for category in ("service", "survey"):
        message = await made.send("ana", category, reach=REACH)
        await made.when(message, lambda found: len(found.attempts) == 2)
    assert (len(sms.handed), len(email.handed)) == (2, 2)
    over = await made.ended(await made.send("ana", "service"))
    assert (over.verdict.state, over.verdict.code) == ("suppressed", "cap")
    for category in ("outage", "code", "reply"):
        await made.when(await made.send("ana", category), lambda found: found.attempts)


async def test_a_message_that_has_begun_goes_on_although_others_have_used_the_cap_since(
    made: Core, email: Scripted
) -> None:
    made.work()
    first = await made.send("ana", "follow_up", reach=REACH)
    await made.when(first, lambda found: found.attempts)
    second = await made.when(await made.send("ana", "follow_up", reach=REACH), lambda found: found.held)
    assert second.held is not None
    assert second.held.code == "cap"
    await made.when(second, lambda found: found.attempts)
    await made.age(first, 3600)
    await made.when(first, lambda found: len(found.attempts) == 2)
    await until(lambda: email.to() == [first.id])


def test_what_the_settings_say_is_what_routing_obeys(tmp_path: Path) -> None:
    lines = '[caps.weekly]\nlimit = 3\nwindow = 604800\ncategories = ["survey", "marketing"]\n'
    (tmp_path / "gateway.toml").write_text(lines)
    rules = rules_of(load({}, tmp_path, command="dev"))
    assert [one.name for one in rules.caps_of("survey")] == [None, "weekly"]
    assert [one.name for one in rules.caps_of("service")] == []


def test_a_cap_that_cannot_be_meant_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("[caps.weekly]\nlimit = 3\n")
    with pytest.raises(BadSettings, match=r"\[caps\.weekly\].*window"):
        rules_of(load({}, tmp_path, command="dev"))
