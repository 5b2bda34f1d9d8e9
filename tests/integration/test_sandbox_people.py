from __future__ import annotations

import json

import phonenumbers
import pytest

from gateway.sandbox.app import Sandbox, SandboxConfig
from gateway.sandbox.behaviour import Behaviour, Carrier, Delays, Fate, Manner
from gateway.sandbox.clock import Clock, Tasks
from gateway.sandbox.items import Person, Text
from gateway.sandbox.people import sample_customers, samples
from gateway.sandbox.segments import segments
from gateway.sandbox.world import World
from tests.integration.test_sandbox_kit import FROM, sandbox
from tests.integration.test_sandbox_sms import call, client_of

PHONE = "+447400000123"


def text(body: str) -> Text:
    return Text(id=body, at=0, mine=False, other=FROM, body=body)


def test_the_sample_customers_are_plainly_samples_and_valid() -> None:
    people = samples()
    assert len(people) == 200
    assert len({person.id for person in people}) == 200
    numbers = [person.address("sms") for person in people]
    assert len(set(numbers)) == 200
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(number)) for number in numbers)
    assert {person.customer["locale"] for person in people} == {"en", "el", "zh-Hans", "zh-Hant"}
    for person in people:
        assert any(word in person.customer["name"] for word in ("sample", "δείγμα", "示例", "樣本"))
        assert not person.address("email") or person.address("email").endswith("@example.org")
        offered = {address["channel"] for address in person.customer["addresses"]}
        assert offered.issuperset(person.preferences["channels"])
    found = {fate for person in people for fate in person.fates.values()}
    assert found == {
        Fate.NO_RECEIPT, Fate.UNDELIVERED, Fate.REFUSED, Fate.VOICEMAIL, Fate.RINGS_OUT, Fate.OPTED_OUT
    }  # fmt: skip
    assert json.loads(json.dumps(sample_customers()))[0]["fates"] == {"wechat": "refused", "sms": "no_receipt"}


def test_ana_is_reached_by_the_call_alone() -> None:
    box = Sandbox(SandboxConfig(people=samples()))
    ana = samples()[0]
    assert ana.preferences["categories"]["outage"]["channels"] == ["wechat", "sms", "voice"]
    behaviour = box.behaviour
    assert behaviour.fate(Carrier.WECHAT, ana.address("wechat")) is Fate.REFUSED
    assert behaviour.fate(Carrier.SMS, ana.address("sms")) is Fate.NO_RECEIPT
    assert behaviour.fate(Carrier.VOICE, ana.address("voice")) is Fate.DELIVERED
    assert behaviour.manner(ana.address("voice")).keys == "1"


def test_sample_numbers_have_no_fate_by_accident() -> None:
    behaviour = Behaviour()
    for person in samples():
        for address in person.customer["addresses"]:
            assert behaviour.fate(Carrier(address["channel"]), address["value"]) is Fate.DELIVERED


def test_strangers_and_old_items_go_first_and_friends_stay() -> None:
    world = World(Clock(now=lambda: 7), history=3, devices=2)
    friend = world.introduce(Person(id="friend", name="Friend (sample)", phone=PHONE, email="F@example.org"))
    for index in range(5):
        world.add(world.device("phone", f"+44740000020{index}"), text("hello"))
        world.add(friend, text(str(index)))
    assert [item.body for item in world.texts(PHONE)] == ["2", "3", "4"]
    assert list(world.devices) == ["phone:+447400000204", "friend"]
    assert world.texts("+447400000200") == []
    assert world.device("email", "f@EXAMPLE.org") is friend


async def test_until_waits_for_a_change_and_gives_up() -> None:
    world = World(Clock())
    with pytest.raises(TimeoutError):
        await world.until(lambda: False, timeout=0.01)
    tasks = Tasks()

    async def arrive() -> None:
        world.add(world.device("phone", PHONE), text("x"))

    tasks.start(arrive())
    await world.until(lambda: len(world.texts(PHONE)) == 1)
    await tasks.stop()


async def test_lively_people_reply_once_to_a_text_that_asks() -> None:
    async with sandbox(lively=True, delays=Delays()) as (box, hook):
        box.behaviour.manners[PHONE] = Manner(reply="1")
        client = client_of(box)
        await call(lambda: client.messages.create(to=PHONE, from_=FROM, body="Back at 18:00. Reply 1 to confirm."))
        await call(lambda: client.messages.create(to=PHONE, from_=FROM, body="Thank you."))
        await box.idle()
        assert [heard.form["Body"] for heard in hook.on("/callbacks/sms/inbound")] == ["1"]


async def test_credentials_can_be_tried() -> None:
    async with sandbox() as (box, _):
        account = await call(lambda: client_of(box).api.accounts(client_of(box).account_sid or "").fetch())
        assert account.status == "active"


@pytest.mark.parametrize(
    "body,count",
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("ώ" * 70, 1),
        ("ώ" * 71, 2),
        ("😀" * 67, 3),
    ],
)
def test_segments(body: str, count: int) -> None:
    assert segments(body) == count


async def test_a_start_that_fails_leaves_no_port_open() -> None:
    async with sandbox() as (box, _):
        taken = int(box.wechat_base.rpartition(":")[2])
        other = Sandbox(SandboxConfig(wechat_port=taken))
        with pytest.raises(OSError, match="address"):
            await other.start()
        await other.stop()
