"""Cases for tests: one by itself, and a core with a person who has some."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.cases import machine
from gateway.cases.nouns import Case, NewCase
from gateway.cases.service import Cases
from gateway.message import Message, Mode, Reach, Verdict
from gateway.prompts import Answer, Option, Prompt
from gateway.settings_types import CaseSettings
from gateway.store.things import Written
from tests.support.core import PHONE, Core, Scripted, core, until

DAY: Final = 86_400
OPTIONS: Final = (Option("credit", "20 euros off"), Option("visit", "A visit tomorrow"))
KINDS: Final = {
    "billing": CaseSettings(owner="billing-team", due_in=3600, escalate_to=("lead", "head"), escalate_after=600)
}


class World:
    """A core with one person and their cases."""

    def __init__(self, made: Core, sms: Scripted) -> None:
        self.core = made
        self.sms = sms
        self.cases: Cases = made.gateway.cases

    async def open(self, name: str = "k1", customer: str = "ana", mode: Mode = "live", **more: Any) -> Case:
        new = NewCase(customer=customer, subject="The bill", kind=more.pop("kind", "website"), **more)
        return await self.cases.create(mode, new, name)

    async def case(self, name: str = "k1", mode: Mode = "live") -> Case:
        found = await self.cases.get(mode, name)
        assert found is not None
        return found

    async def offer(self, name: str = "k1", token: str = "t1", closes_in: int = DAY) -> Message:
        case = await self.cases.offer("live", name, OPTIONS, closes_in, by="key", token=token)
        assert case.offer is not None
        assert case.offer.message is not None
        return await self.core.message(case.offer.message)

    async def resolve(self, name: str = "k1", token: str = "r1", after: int = 0) -> Case:
        return await self.cases.resolve("live", name, "A worn cable", "We replaced it", after, by="key", token=token)

    async def asked(self, name: str = "k1") -> Message:
        """The question whether it is solved, once it is out."""
        found = await self.when(lambda case: case.follow_up is not None and case.follow_up.message, name)
        assert found.follow_up is not None
        return await self.core.message(found.follow_up.message or "")

    async def when(self, holds: Callable[[Case], object], name: str = "k1") -> Case:
        seen: list[Case] = []

        async def fits() -> bool:
            seen[:] = [await self.case(name)]
            return bool(holds(seen[0]))

        await until(fits, seen=lambda: seen)
        return seen[0]

    async def pass_time(self, seconds: float, name: str = "k1") -> None:
        """What the case waits for comes nearer, and the agenda looks at it."""
        by = int(seconds * 1000)

        def sooner(found: Case | None) -> Written[Case]:
            assert found is not None
            offer, asked = found.offer, found.follow_up
            if offer is not None:
                offer = msgspec.structs.replace(offer, closes_at=offer.closes_at - by)
            if asked is not None:
                began = None if asked.asked_at is None else asked.asked_at - by
                asked = msgspec.structs.replace(asked, ask_at=asked.ask_at - by, asked_at=began)
            aged = msgspec.structs.replace(found, due_at=found.due_at - by, offer=offer, follow_up=asked)
            return Written(aged, wake=self.core.gateway.clock.now())

        await self.cases._shelf.change(self.cases.place("live", name), sooner)  # pyright: ignore[reportPrivateUsage] - time passes only here


@contextlib.asynccontextmanager
async def world(redis_url: str, folder: Path, *, work: bool = True, **script: Any) -> AsyncGenerator[World]:
    sms = Scripted("sms", **script)
    async with core(redis_url, folder, sms, DATA_DIR=str(folder)) as made:
        await made.person("ana", sms=PHONE)
        found = World(made, sms)
        found.cases.kinds = KINDS
        if work:
            made.work()
        yield found


def steps(case: Case) -> list[str]:
    return [step.what for step in case.history]


def complains(at: World, *, expected: bool) -> Callable[[], Any]:
    async def as_expected() -> bool:
        return (await at.core.customer("ana")).complaint_open == expected

    return as_expected


async def events(at: World) -> dict[str, int]:
    found: dict[str, int] = {}
    async for key in at.core.client.scan_iter(match="*:events"):
        for _, fields in await at.core.client.xrange(key):
            kind = fields[b"t"].decode()
            if kind.startswith("case."):
                found[kind] = found.get(kind, 0) + 1
    return found


class Killed(Exception):
    """The process died here."""


# By themselves

OWN: Final = CaseSettings(owner="team", due_in=3600, escalate_to=("lead", "head"), escalate_after=600)
NOW: Final = 1_795_000_000_000


def opened(**more: Any) -> Case:
    new = NewCase(customer="ana", subject="The bill", kind="billing", **more)
    return machine.opened(new, OWN, "k1", "live", NOW, "key", "token")


def answer(value: str | bool, *, text: str = "", late: bool = False, at: int = NOW) -> Answer:
    return Answer(value=value, text=text or str(value), channel="sms", at=at, late=late)


def message(prompt: Prompt, *answers: Answer, verdict: Verdict | None = None) -> Message:
    found = Message(
        id="m1",
        mode="live",
        customer="ana",
        category="service",
        lane="normal",
        reach=Reach(until="delivered", within=60, step=60),
        created_at=NOW,
        due_at=NOW,
        prompt=prompt,
        answer=answers[0] if answers else None,
        later_answers=list(answers[1:]),
    )
    if verdict is not None:
        found.verdict = found.closing = verdict
    return found


CHOICE: Final = Prompt(kind="choice", options=OPTIONS)
YES_NO: Final = Prompt(kind="yes_no")
