"""An answer on a page counts for the attempt that brought the link."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from gateway import standing
from gateway.channels.base import Accepted, Outbound, Refused
from gateway.message import Fault
from gateway.prompts import Prompt
from tests.support.core import MAIL, PHONE, Core, Scripted, core
from tests.support.web_gateway import public

CONFIRM = Prompt(kind="acknowledge")
REACH: dict[str, Any] = {"until": "acknowledged", "mode": "all_at_once", "within": 3600}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class World:
    """A person with every channel, and their browser."""

    def __init__(self, gw: Core, session: aiohttp.ClientSession, *channels: Scripted) -> None:
        self.gw, self.session = gw, session
        self.sms, self.voice, self.email = channels

    async def presses(self, path: str) -> None:
        async with self.session.post(path, data=urlencode({"v": "1"}), headers=FORM) as response:
            assert response.status == 200, await response.text()


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncGenerator[World]:
    channels = Scripted("sms"), Scripted("voice", recalls=True, rings=180), Scripted("email")
    async with core(redis_url, tmp_path, *channels, PUBLIC_URL="https://gateway.example.com") as gw:
        await gw.person("maria", sms=PHONE, voice=PHONE, email=MAIL)
        async with public(gw.gateway) as session:
            gw.work()
            yield World(gw, session, *channels)


def link(out: Outbound, page: str) -> str:
    found = re.search(rf"https://gateway\.example\.com(/{page}/[^\s?\"]+)", out.words.text)
    assert found is not None, out.words.text
    return found[1]


async def test_a_button_of_a_mail_counts_for_the_mail(world: World) -> None:
    sent = await world.gw.send("maria", prompt=CONFIRM, reach=REACH, broadcast="b-1")
    found = await world.gw.when(sent, lambda m: [a.status for a in m.attempts] == ["accepted"] * 3)
    mail = next(a for a in found.attempts if a.channel == "email")
    await world.presses(link(world.email.handed[0], "a"))
    ended = await world.gw.ended(sent)
    assert (ended.verdict.state, ended.verdict.channel, ended.verdict.attempt) == ("reached", "email", mail.id)
    attempt = ended.attempt(mail.id)
    assert attempt is not None
    assert (attempt.status, attempt.engagement) == ("delivered", "acknowledged")
    assert [a.engagement for a in ended.attempts if a.id != mail.id] == ["none", "none"]
    assert ended.answer is not None
    assert ended.answer.channel == "page"
    told = {f"told:{channel}" for channel in ("sms", "voice", "email")}
    assert standing.by_channel(ended) == {*told, "reached:email", "acknowledged:email"}
    board = await world.gw.gateway.standings.by_channel("live", "b-1")
    assert (board["email"].reached, board["email"].acknowledged, "page" in board) == (1, 1, False)


async def test_a_link_behind_a_text_counts_for_the_text(world: World) -> None:
    files = [{"name": "plan.txt", "type": "text/plain", "data": "cGxhbg=="}]
    content = {"text": "The plan.", "attachments": files}
    sent = await world.gw.send("maria", prompt=CONFIRM, reach=REACH, content=content)
    await world.gw.when(sent, lambda m: [a.status for a in m.attempts] == ["accepted"] * 3)
    async with world.session.get(link(world.sms.handed[0], "m")) as response:
        shown = re.search(r"https://gateway\.example\.com(/a/[^\s?\"]+)", await response.text())
    assert shown is not None
    await world.presses(shown[1])
    ended = await world.gw.ended(sent)
    assert ended.verdict.channel == "sms", (ended.attempts, shown[1])


async def test_a_link_that_names_no_channel_counts_for_the_newest_that_carries_one(world: World) -> None:
    sent = await world.gw.send("maria", prompt=CONFIRM, reach=REACH)
    await world.gw.when(sent, lambda m: [a.status for a in m.attempts] == ["accepted"] * 3)
    await world.gw.gateway.pages.answer(sent.id, True, "Confirm")
    assert (await world.gw.ended(sent)).verdict.channel == "email"


async def test_a_call_carries_no_link(world: World) -> None:
    for channel in (world.sms, world.email):
        channel.usual = Refused(fault=Fault.BAD_ADDRESS)
    world.voice.usual = Accepted(provider_id="CA1")
    sent = await world.gw.send("maria", prompt=CONFIRM, reach=REACH, broadcast="b-2")
    await world.gw.when(sent, lambda m: sorted(a.status for a in m.attempts) == ["accepted", "failed", "failed"])
    await world.gw.gateway.pages.answer(sent.id, True, "Confirm")
    ended = await world.gw.ended(sent)
    assert (ended.verdict.state, ended.verdict.channel) == ("reached", None)
    assert "acknowledged:page" in standing.by_channel(ended)
