"""Nothing is kept beyond its time: content, records, events, indexes, words of people, one-off recipients."""

from __future__ import annotations

import itertools
from pathlib import Path

from gateway.channels.base import Accepted, Callback, Reading, Refused, Unknown
from gateway.customer import Address
from gateway.delivery.housekeeping import DAY_MS
from gateway.delivery.request import NewMessage, Recipient
from gateway.message import Fault, Message, Receipt
from gateway.prompts import Prompt
from gateway.store.keys import partition
from gateway.store.morgue import Morgue
from gateway.store.upkeep import STEP
from tests.support.core import MAIL, OTHER_PHONE, PHONE, Core, Scripted, core, until, where
from tests.support.keeping import done, keeper
from tests.support.keyleaks import leaks
from tests.support.turns import before_command


async def test_an_index_forgets_ids_whose_record_is_gone(redis_url: str, tmp_path: Path) -> None:
    """In steps, over as many pages as it takes; a live record keeps its entry however old it is."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria", reference="r-1")
        at = where(sent.id)
        index = at.index("live", "all")
        old = [f"m{n:022}0" for n in range(3 * STEP)]
        await gw.client.zadd(index, dict.fromkeys(old, 0))
        young = f"{sent.id[:-1]}{'0' if sent.id[-1] != '0' else '1'}"
        await gw.client.zadd(index, {young: 0})
        await keeper(gw).walk()
        assert await gw.client.zrange(index, 0, -1) == sorted([sent.id.encode(), young.encode()])
        assert done(gw, "index") == 3 * STEP
        gw.gateway.clock.read(gw.gateway.clock.now() + 91 * DAY_MS)
        await keeper(gw).walk()
        assert await gw.client.zrange(index, 0, -1) == [sent.id.encode()], "it is live"
        for name, value in (("customer", "maria"), ("reference", "r-1")):
            assert await gw.client.zcard(at.index("live", name, value)) == 1


async def test_events_go_by_age(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        await gw.person("maria", sms=PHONE)
        sent = await gw.send("maria")
        events = where(sent.id).events
        await keeper(gw).walk()
        assert await gw.client.xlen(events) == 1
        gw.gateway.clock.read(gw.gateway.clock.now() + 8 * DAY_MS)
        await keeper(gw).walk()
        assert await gw.client.xlen(events) == 0
        assert done(gw, "events") == 1


async def test_words_of_people_live_as_long_as_content(redis_url: str, tmp_path: Path) -> None:
    async with core(redis_url, tmp_path, Scripted("sms"), RETENTION_CONTENT_DAYS="3") as gw:
        gw.work()
        await gw.person("maria", sms=PHONE)
        await gw.hears(PHONE, "hello there")
        [item] = await gw.items(PHONE)
        assert 2 * DAY_MS < await gw.client.pttl(item) <= 3 * DAY_MS


async def to_a_stranger(gw: Core) -> Message:
    """A message to somebody who is no customer."""
    them = Recipient(addresses=(Address("sms", PHONE),))
    new = NewMessage(recipient=them, category="outage", content={"text": "News."})
    return (await gw.gateway.intake.accept("live", new, gw.gateway.intake.origin()))[0]


async def test_a_one_off_recipient_is_not_kept_for_ever(redis_url: str, tmp_path: Path) -> None:
    """Nobody keeps house for them otherwise; what they withdrew goes on binding their address."""
    async with core(redis_url, tmp_path, Scripted("sms")) as gw:
        gw.work()
        sent = await to_a_stranger(gw)
        await gw.hears(PHONE, "STOP")
        await gw.gateway.messages.cancel(sent.id)
        await gw.ended(sent)
        await gw.stop()
        now = gw.gateway.clock.now()
        gw.gateway.clock.read(now + 89 * DAY_MS)
        await keeper(gw).walk()
        assert (await gw.customer(sent.customer)).addresses
        await time_has_passed(gw)
        await keeper(gw).walk()
        if await gw.gateway.customers.load(sent.customer) is not None:
            await keeper(gw).walk()  # the index of their messages came after them in the first walk
        assert await gw.gateway.customers.load(sent.customer) is None
        assert done(gw, "recipients") == 1
        assert (await to_a_stranger(gw)).verdict.state == "suppressed"


async def test_a_recipient_addressed_in_the_same_moment_stays(redis_url: str, tmp_path: Path) -> None:
    """At every moment of the erasure: the new message finds its recipient."""
    async with core(redis_url, tmp_path, Scripted("sms")) as one, core(redis_url, tmp_path, Scripted("sms")) as two:
        them = [Address("sms", PHONE)]
        for moment in itertools.count():
            await one.client.flushall()
            name = (await one.gateway.customers.resolve(them, None, None, None))[0].id
            now = one.gateway.clock.now()
            one.gateway.clock.read(now + 100 * DAY_MS)
            two.gateway.clock.read(now + 100 * DAY_MS)

            async def addressed() -> None:
                await two.gateway.customers.resolve(them, None, None, None)

            with before_command(one.gateway.scripts, moment, addressed) as acted:
                gone = await one.gateway.customers.lapse(name, now + 50 * DAY_MS)
            if not acted:
                assert gone
                break
            assert await one.gateway.customers.load(name) is not None, moment
            assert await one.gateway.customers.owners(PHONE) == [name]


async def a_journey(gw: Core, sms: Scripted) -> None:
    """A bit of everything that leaves something in the store."""
    await gw.person("maria", sms=PHONE, wechat="openid-maria", email=MAIL)
    await gw.person("nikos", sms=OTHER_PHONE)
    sms.readings[b"early"] = Reading(by_provider_id=(("77", Receipt(attempt="", at=1, status="delivered")),))
    sms.script.extend([Accepted(provider_id="p"), Refused(fault=Fault.BAD_ADDRESS), Unknown()])
    await gw.gateway.handle("sms", Callback(method="", path="", url="", headers={}, query={}, body=b"early", now=1))
    gw.work()
    sent = [
        await gw.send("maria", thread="t", prompt=Prompt(kind="acknowledge"), reference="r"),
        await gw.send("maria", thread="t", mode="test"),
        await gw.send("maria", "survey", prompt=Prompt(kind="yes_no")),
        await gw.send("nikos", "code"),
        await gw.send("nikos", send_at=gw.gateway.clock.now() + 3_600_000, thread="t"),
        *await gw.send_many(["maria", "nikos"], "service"),
    ]
    claim = await gw.gateway.idempotency.claim("live", "key", b"digest")
    assert claim is not None
    await gw.hears(PHONE, "1")
    await gw.hears("+306999999999", "who is this?")
    await gw.hears(PHONE, "STOP")
    for message in sent:
        await gw.gateway.messages.cancel(message.id)
        await gw.ended(message)
        await gw.age(message, 60)  # an attempt whose answer was lost is looked at once more
        await until(lambda message=message: _asleep(gw, message))
    buried = await gw.send("nikos")
    await gw.gateway.scripts.bury(where(buried.id), f"m:{buried.id}", "because")
    assert await Morgue(gw.gateway.scripts).discard() == 1
    # A worker may have had it in hand: what is left of that goes when its lease is over.
    await until(lambda: _idle(gw))
    await gw.stop()


async def _asleep(gw: Core, message: Message) -> bool:
    return await gw.wake(message) is None


async def _idle(gw: Core) -> bool:
    """Nothing stands on an agenda or in a line."""
    keys: list[bytes] = [key async for key in gw.client.scan_iter(count=1000)]
    return not any(b":agenda:" in key or b":line:" in key for key in keys)


async def time_has_passed(gw: Core) -> None:
    """Every lifetime is over."""
    async for key in gw.client.scan_iter(count=1000):
        if await gw.client.pttl(key) >= 0:
            await gw.client.delete(key)
    gw.gateway.clock.read(gw.gateway.clock.now() + 100 * DAY_MS)


async def test_nothing_is_left_but_people_and_what_binds(redis_url: str, tmp_path: Path) -> None:
    sms = Scripted("sms")
    channels = [sms, Scripted("wechat"), Scripted("email")]
    async with core(redis_url, tmp_path, *channels, test_channels=[Scripted("sms")]) as gw:
        await a_journey(gw, sms)
        assert await leaks(gw.client) == []
        assert await leaks(gw.client, ended=True) == [], "what has ended has a lifetime"
        assert await leaks(gw.client, ended=True, forgotten=True) != [], "indexes are still there"
        await time_has_passed(gw)
        await keeper(gw).walk()
        assert await leaks(gw.client, ended=True, forgotten=True) == []
        for number in range(16):
            assert await gw.client.xlen(partition(number).events) == 0
