"""Two hundred sample customers, plainly sample data: names end in "(sample)", addresses lead nowhere.

Mail addresses are under example.org, US numbers in the 555-01xx range kept for fiction. Greece, Hong Kong, mainland
China and British mobiles have no such range that validators accept: their numbers are of a block of noughts, and the
look-alikes never dial.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from .behaviour import Behaviour, Carrier, Fate, Manner
from .items import Person
from .people_names import ENGLISH_GB, ENGLISH_US, GREEK, SIMPLIFIED, TRADITIONAL
from .world import World

AGREED_AT = "2026-01-15T10:00:00+00:00"


class Home(Struct, frozen=True):
    """What the people of one place share; ``number`` takes an offset from 10 to 89 in its last two digits."""

    names: tuple[str, ...]
    suffix: str
    locale: str
    time_zone: str
    area: str
    number: str
    orders: tuple[str, ...]


HOMES = (
    Home(
        GREEK,
        " (δείγμα)",
        "el",
        "Europe/Athens",
        "Kypseli",
        "+3069000001{:02}",
        ("sms voice", "email sms", "voice sms"),
    ),
    Home(
        SIMPLIFIED,
        "（示例）",
        "zh-Hans",
        "Asia/Shanghai",
        "Haidian",
        "+86130000001{:02}",
        ("wechat sms voice", "wechat email"),
    ),
    Home(
        TRADITIONAL,
        "（樣本）",
        "zh-Hant",
        "Asia/Hong_Kong",
        "Sham Shui Po",
        "+852510001{:02}",
        ("wechat sms", "sms wechat voice", "email voice"),
    ),
    Home(
        ENGLISH_GB,
        " (sample)",
        "en",
        "Europe/London",
        "Camden",
        "+447400000 1{:02}".replace(" ", ""),
        ("sms email", "voice sms"),
    ),
    Home(
        ENGLISH_US,
        " (sample)",
        "en",
        "America/New_York",
        "Brooklyn",
        "+121255501{:02}",
        ("sms voice", "email sms voice"),
    ),
)

# What goes wrong for whom: the person's running number modulo 20.
TROUBLES: dict[int, tuple[str, Fate]] = {
    2: ("sms", Fate.NO_RECEIPT),
    5: ("email", Fate.UNDELIVERED),
    7: ("wechat", Fate.REFUSED),
    9: ("voice", Fate.VOICEMAIL),
    12: ("voice", Fate.RINGS_OUT),
    14: ("sms", Fate.REFUSED),
    13: ("wechat", Fate.OPTED_OUT),
    18: ("sms", Fate.UNDELIVERED),
}
NOTES = {
    Fate.NO_RECEIPT: "gives no receipt",
    Fate.UNDELIVERED: "bounces",
    Fate.REFUSED: "is refused",
    Fate.OPTED_OUT: "is switched off",
    Fate.VOICEMAIL: "goes to voicemail",
    Fate.RINGS_OUT: "rings out",
}
CHANNEL_NAMES = {"sms": "SMS", "voice": "voice", "email": "e-mail", "wechat": "WeChat"}


class Sample(Struct, kw_only=True):
    """One sample customer: bodies for the gateway's API, and how the carriers treat the person."""

    id: str
    customer: dict[str, Any]
    preferences: dict[str, Any]
    consents: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    fates: dict[str, Fate] = field(default_factory=dict[str, Fate])
    manner: Manner = field(default_factory=Manner)
    note: str = ""

    def address(self, channel: str) -> str:
        """The person's first address of a channel, or an empty text."""
        return next((a["value"] for a in self.customer["addresses"] if a["channel"] == channel), "")


def samples() -> list[Sample]:
    """All sample customers, Ana first."""
    return [ana(), *(_sample(index) for index in range(199))]


def sample_customers() -> list[dict[str, Any]]:
    """The same as plain JSON data."""
    return [msgspec.to_builtins(sample) for sample in samples()]


def ana() -> Sample:
    """The woman of the spoiled fridge: WeChat refuses, the SMS gets no receipt, she answers the call and presses 1."""
    phone = "+306900000190"
    return Sample(
        id="ana",
        customer={
            "name": "Ana (sample)",
            "locale": "en",
            "time_zone": "Europe/Athens",
            "addresses": [
                {"channel": "wechat", "value": "oSampleAna0190"},
                {"channel": "sms", "value": phone, "label": "mobile"},
                {"channel": "voice", "value": phone, "label": "mobile"},
                {"channel": "email", "value": "ana@example.org"},
            ],
            "attributes": {"area": "Kypseli", "sample": True},
        },
        preferences={
            "channels": ["sms", "email"],
            "categories": {"outage": {"channels": ["wechat", "sms", "voice"]}},
            "language": "en",
        },
        consents=[_agreed("marketing")],
        fates={"wechat": Fate.REFUSED, "sms": Fate.NO_RECEIPT},
        manner=Manner(keys="1", ring=4.0),
        note="WeChat is refused, SMS gives no receipt, she answers calls and presses 1",
    )


def _sample(index: int) -> Sample:
    number, home = index + 1, HOMES[index % len(HOMES)]
    place = index // len(HOMES)
    channels = home.orders[place % len(home.orders)].split()
    channel, fate = TROUBLES.get(number % 20, ("", Fate.DELIVERED))
    fates = {channel: fate} if channel in {*channels, "sms", "voice", "email"} else {}
    presses = number % 3 != 0
    phone = home.number.format(10 + place)
    attributes: dict[str, Any] = {"area": home.area, "sample": True}
    if number % 25 == 0:
        attributes["medical_priority"] = True
    notes = [f"{CHANNEL_NAMES[name]} {NOTES[what]}" for name, what in fates.items()]
    if "voice" in channels and "voice" not in fates:
        notes.append("answers calls and presses 1" if presses else "answers calls and presses nothing")
    return Sample(
        id=f"sample-{number:03}",
        customer={
            "name": home.names[place] + home.suffix,
            "locale": home.locale,
            "time_zone": home.time_zone,
            "addresses": [
                _address(name, number, phone) for name in dict.fromkeys([*channels, "sms", "voice", "email"])
            ],
            "attributes": attributes,
        },
        preferences={"channels": channels, "language": home.locale},
        consents=[_agreed("marketing")] if number % 3 == 0 else [],
        fates=fates,
        manner=Manner(keys="1" if presses else "", ring=2.0 + number % 5, reply="1" if presses else ""),
        note=", ".join(notes),
    )


def _address(channel: str, number: int, phone: str) -> dict[str, Any]:
    match channel:
        case "email":
            return {"channel": channel, "value": f"sample-{number:03}@example.org"}
        case "wechat":
            return {"channel": channel, "value": f"oSamplePerson{100 + number:04}"}
        case _:
            return {"channel": channel, "value": phone, "label": "mobile"}


def _agreed(category: str) -> dict[str, Any]:
    return {
        "channel": "*",
        "category": category,
        "state": "granted",
        "way": "sample data",
        "wording": "Yes, send me offers.",
        "at": AGREED_AT,
    }


def apply_samples(people: Sequence[Sample], world: World, behaviour: Behaviour) -> None:
    """Gives the people their devices and their fates."""
    for sample in people:
        person = Person(
            id=sample.id,
            name=sample.customer["name"],
            phone=sample.address("sms") or sample.address("voice"),
            email=sample.address("email"),
            openid=sample.address("wechat"),
            locale=sample.customer["locale"],
            time_zone=sample.customer["time_zone"],
            note=sample.note,
        )
        world.introduce(person)
        behaviour.manners[person.phone] = sample.manner
        for channel, fate in sample.fates.items():
            behaviour.carrier_fates[Carrier(channel), sample.address(channel)] = fate
