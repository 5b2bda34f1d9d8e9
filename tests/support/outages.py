"""Outages on a core: people of an area, an outage for them, and how it stands."""

from __future__ import annotations

import os
from typing import Any, Final

from gateway.broadcasts.nouns import Audience
from gateway.channels.base import Accepted, Outbound, Refused
from gateway.delivery.drafts import Origin
from gateway.message import Fault, Message
from gateway.outages.board import Standing
from gateway.outages.counting import Counts
from gateway.outages.nouns import Outage, Said
from gateway.outages.recipients import Recipient, Wanted
from gateway.outages.service import NewOutage
from gateway.prompts import Prompt
from tests.support.core import Core, until
from tests.support.scripted import Scripted

AREA: Final = {"area": ["Kypseli"]}
NOTICE: Final = {"text": "The power is out."}
ACKNOWLEDGE: Final = Prompt(kind="acknowledge")


REFUSED: Final = Refused(fault=Fault.DECLINED)


def picky(*bad: str) -> Scripted:
    """A channel that refuses some people."""

    async def react(out: Outbound) -> Accepted | Refused:
        return REFUSED if out.to in bad else Accepted(provider_id=f"p-{out.message}-{out.attempt}")

    return Scripted("sms", usual=react)


def number(n: int) -> str:
    """A telephone number of somebody."""
    return f"+3069{n:08d}"


async def people(made: Core, count: int, *, medical: tuple[int, ...] = (), first: int = 0, **more: Any) -> list[str]:
    """Store customers of the area, `c0`, `c1` and so on; those of `medical` have medical priority."""
    names = [f"c{n}" for n in range(first, first + count)]
    for n, name in enumerate(names, first):
        attributes = {"area": "Kypseli", "address": f"Odos {n}", **({"medical_priority": True} if n in medical else {})}
        channels = more.get("channels", ("sms",))
        profile = {
            "locale": "en",
            "name": f"Person {n}",
            "addresses": [{"channel": channel, "value": number(n)} for channel in channels],
            "attributes": attributes,
        }
        await made.gateway.people.put(name, profile)
        await made.gateway.people.put_preferences(name, {"channels": list(channels)})
    return names


def origin(made: Core) -> Origin:
    """An origin of its own."""
    return Origin(os.urandom(16), made.gateway.clock.now())


def said(text: str = "The power is out.", *, prompt: Prompt | None = ACKNOWLEDGE, **reach: Any) -> Said:
    """What is to be sent."""
    return Said(content={"text": text}, prompt=prompt, reach=reach)


async def begin(made: Core, name: str = "o1", words: Said | None = None, **audience: Any) -> Outage:
    """Begin an outage, for the area unless another audience is given."""
    new = NewOutage(
        title="Power cut", audience=Audience(**(audience or {"where": AREA})), said=words or said(), id=name
    )
    return await made.gateway.outages.begin("live", new, origin(made))


async def update(made: Core, words: Said, name: str = "o1") -> Outage:
    """Send an update."""
    return await made.gateway.outages.update("live", name, lambda _: words, origin(made))


async def resolve(made: Core, words: Said | None = None, name: str = "o1") -> Outage:
    """Give the all-clear."""
    return await made.gateway.outages.resolve("live", name, words, origin(made))


async def standing(made: Core, name: str = "o1") -> Standing:
    """How an outage stands."""
    outages = made.gateway.outages
    return await outages.stands(await outages.load("live", name))


async def counted(made: Core, name: str = "o1", **wanted: int) -> Counts:
    """The counts once they are as wanted."""
    last: list[Counts] = []

    async def fits() -> bool:
        last[:] = [(await standing(made, name)).counts]
        return all(getattr(last[0], what) == value for what, value in wanted.items())

    await until(fits, seen=lambda: last)
    return last[0]


async def listed(made: Core, name: str = "o1", **wanted: Any) -> list[Recipient]:
    """The people of an outage."""
    outages = made.gateway.outages
    outage = await outages.load("live", name)
    return [one async for one, _ in outages.recipients.each(outage, Wanted(**wanted))]


async def message_to(made: Core, customer: str, name: str = "o1") -> Message:
    """The newest message of an outage to a person."""
    found = {outage.id: message for outage, message in await made.gateway.outages.open_for("live", customer)}
    return found[name]
