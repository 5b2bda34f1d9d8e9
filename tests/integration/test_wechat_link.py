"""Codes to be scanned: for one person, once, for a while; and what a scan writes down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pytest

from gateway.channels.base import Inbound
from gateway.customer import Address
from gateway.sandbox.behaviour import State
from gateway.selfservice.wechat_link import NotLinkedError, TooManyCodes, WeChatLinks
from tests.support.keyleaks import leaks
from tests.support.running import Running, running

HERS: Final = "oWeChatMaria0331"
HIS: Final = "oWeChatNikos0332"


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    async with running(redis_url, tmp_path) as made:
        await made.customer("maria", email="maria@example.org")
        yield made


@pytest.fixture
def links(gw: Running) -> WeChatLinks:
    return gw.service.gateway.wechat_links


def scan(token: str, openid: str = HERS, at: int = 1_795_337_462_000) -> Inbound:
    return Inbound(id=f"{openid}:{token}", channel="wechat", sender=openid, kind="scan", text=token, at=at)


async def openids(gw: Running, customer: str = "maria") -> list[str]:
    found = await gw.service.gateway.customers.load(customer)
    assert found is not None
    return [one.value for one in found[0].addresses if one.channel == "wechat"]


async def test_the_same_scan_worked_off_again_changes_nothing(gw: Running, links: WeChatLinks) -> None:
    token = (await links.begin("maria")).token
    assert await links.waits(token)
    assert [await links.scanned(scan(token)) for _ in range(3)] == ["maria"] * 3
    assert not await links.waits(token)
    assert await openids(gw) == [HERS]
    assert len(await gw.service.gateway.customers.ledger("maria")) == 1
    assert len([one for one in gw.sandbox.world.chats(HERS) if one.kind == "text"]) <= 1


async def test_of_two_who_scan_at_once_one_is_joined(gw: Running, links: WeChatLinks) -> None:
    token = (await links.begin("maria")).token
    found = await asyncio.gather(*(links.scanned(scan(token, openid)) for openid in (HERS, HIS)))
    assert sorted(found, key=str) == ["maria", None] or sorted(found, key=str) == [None, "maria"]
    assert len(await openids(gw)) == 1


async def test_codes_of_others_join_nobody(gw: Running, links: WeChatLinks) -> None:
    token = (await links.begin("maria")).token
    for foreign in ("", "maria", token[:-1], token.upper(), "0" * 40):
        assert await links.scanned(scan(foreign)) is None
    assert await links.waits(token)
    assert await openids(gw) == []


async def test_a_code_of_somebody_who_is_gone_joins_nobody(gw: Running, links: WeChatLinks) -> None:
    token = (await links.begin("maria")).token
    await gw.service.gateway.customers.delete("maria")
    assert await links.scanned(scan(token)) is None


async def test_somebody_with_too_many_addresses_keeps_them(gw: Running, links: WeChatLinks) -> None:
    customers = gw.service.gateway.customers
    many = tuple(Address("email", f"maria{number}@example.org") for number in range(20))
    found = await customers.load("maria")
    assert found is not None
    found[0].addresses = many
    await customers.write(found[0], None)
    token = (await links.begin("maria")).token
    assert await links.scanned(scan(token)) is None
    assert await openids(gw) == []


async def test_what_was_stopped_in_general_stays_stopped(gw: Running, links: WeChatLinks) -> None:
    """Joining says: this WeChat is mine. It takes back what this openid has closed, and nothing that she said elsewhere."""
    people = gw.service.gateway.people
    await people.add_consent(
        "maria",
        {"channel": "wechat", "category": "marketing", "state": "withdrawn", "way": "page", "wording": "No offers"},
    )
    at = gw.service.gateway.clock.now()
    await links.scanned(scan((await links.begin("maria")).token, at=at + 1))
    ledger = await people.consents("maria")
    assert ledger is not None
    marketing = [one for one in ledger["effective"] if one["category"] == "marketing"]
    assert [one["state"] for one in marketing] == ["withdrawn"]


async def test_sign_ins_that_stand_for_nobody(links: WeChatLinks) -> None:
    for code in ("", "never-given", "x" * 300):
        with pytest.raises(NotLinkedError):
            await links.signed_in("maria", code, state=code)


async def test_an_hour_has_so_many_codes(links: WeChatLinks) -> None:
    for _ in range(20):
        await links.begin("maria")
    with pytest.raises(TooManyCodes):
        await links.begin("maria")


async def test_wechat_gives_no_code_while_its_api_refuses(gw: Running, links: WeChatLinks) -> None:
    gw.switch("wechat", State.REFUSES)
    with pytest.raises(NotLinkedError):
        await links.begin("maria")


async def test_everything_about_codes_goes_by_itself(gw: Running, links: WeChatLinks) -> None:
    await links.scanned(scan((await links.begin("maria")).token))
    await links.begin("maria")
    assert [key for key in await leaks(gw.service.gateway.client) if key.startswith("{l:") or "uses" in key] == []
