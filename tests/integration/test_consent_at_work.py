"""No message without consent, ever: a whole core on a real Redis, while people change their minds.

Every hand-over to a channel is judged by the contract's own words (`consent_words`), from the ledger as it stood when
the attempt began: the record says when that was, by the same clock that numbers the lines of the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import pytest

from gateway.channels.base import Accepted, Outbound, Refused
from gateway.customer import Address, ConsentEntry
from gateway.delivery.intake import NewMessage
from gateway.delivery.request import Recipient
from gateway.message import Fault, Message
from gateway.people.people import Invalid
from gateway.preferences.consent import LIFTED
from gateway.store.keys import of_customer
from tests.support.consent_words import forbidden
from tests.support.core import Core, core, until
from tests.support.scripted import Outcome, Scripted

CHANNELS: Final = ("sms", "voice", "email")
CATEGORIES: Final = ("marketing", "survey", "outage")
SHARED: Final = "+306912345699"
FREE: Final[dict[str, dict[str, Any]]] = {
    "marketing": {"cap": None, "legal_window": False, "step": 3600, "until": "delivered", "unproven": "settle"},
    "survey": {"cap": None},
}


class Judge:
    """Channels that ask at every hand-over whether it was allowed."""

    def __init__(self) -> None:
        self.channels = [Scripted(name, usual=self._handed) for name in CHANNELS]
        self.made: Core | None = None
        self.judged = 0
        self.wrong: list[str] = []
        self._answers = itertools.cycle((True, False, True))

    async def _handed(self, out: Outbound) -> Outcome:
        assert self.made is not None
        message = await self.made.message(out.message)
        attempt = message.attempt(out.attempt)
        assert attempt is not None
        told = await self._forbidden(message, attempt.channel, attempt.address)
        self.judged += 1
        if told is not None:
            self.wrong.append(f"{message.id} {message.category} by {attempt.channel}: {told}")
        return Accepted(provider_id=message.id) if next(self._answers) else Refused(fault=Fault.NO_ANSWER)

    async def _forbidden(self, message: Message, channel: str, address: str) -> str | None:
        assert self.made is not None
        at, name = of_customer(message.customer), message.customer
        begun = int(await self.made.client.hget(at.customer(name), f"w:{channel}"))
        lines = await self.made.client.xrange(at.ledger(name))
        entries = [
            (int(key.split(b"-")[0]), msgspec.msgpack.decode(body[b"e"], type=ConsentEntry)) for key, body in lines
        ]
        known = [entry for written, entry in entries if written < begun]
        # What was written in the very millisecond in which it began may have come before or after.
        unsure = [entry for written, entry in entries if written == begun]
        key, opt_in = self.made.gateway.customers.address_key(address), message.category == "marketing"
        told = [
            forbidden([*known, *unsure[:count]], channel, message.category, key, opt_in=opt_in)
            for count in range(len(unsure) + 1)
        ]
        return None if None in told else told[0]


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
async def made(redis_url: str, tmp_path: Path, judge: Judge) -> AsyncGenerator[Core]:
    async with core(redis_url, tmp_path, *judge.channels, categories=FREE) as running:
        judge.made = running
        yield running


async def changes_mind(made: Core, name: str, number: str, dice: random.Random) -> None:
    """One thing somebody says or does about consent; what is refused changes nothing."""
    people, now = made.gateway.people, made.gateway.clock.now()
    channel, category = dice.choice([*CHANNELS, "*"]), dice.choice([*CATEGORIES, "*"])
    entry: dict[str, Any] = {"channel": channel, "category": category, "way": "form", "wording": "words"}
    match dice.randrange(7):
        case 0:
            await people.add_consent(name, {**entry, "state": "withdrawn"})
        case 1:
            await people.add_consent(name, {**entry, "state": "granted"}, by_person=True)
        case 2:
            with contextlib.suppress(Invalid):  # it would lift a withdrawal, and has no proof
                await people.add_consent(name, {**entry, "state": "granted"})
        case 3:
            wishes = {one: {"enabled": dice.random() < 0.7} for one in CATEGORIES}
            await people.put_preferences(name, {"channels": list(CHANNELS), "categories": wishes})
        case 4:
            stop = ConsentEntry("sms", "*", "withdrawn", "sms_keyword", "STOP", now)
            await made.gateway.customers.withdraw("sms", number, [stop])
        case 5:
            start = ConsentEntry("sms", "*", "granted", f"{LIFTED}sms_keyword", "START", now)
            await made.gateway.customers.withdraw("sms", number, [start])
        case _:
            await people.choose(name, dice.choice(CATEGORIES), on=dice.random() < 0.7, way="page", wording="words")


async def person(made: Core, name: str, number: str) -> None:
    await made.person(name, sms=number, voice=number, email=f"{name}@example.org")
    everything = {"channel": "*", "category": "marketing", "state": "granted", "way": "form", "wording": "yes"}
    await made.gateway.people.add_consent(name, everything)


async def writes_to(made: Core, name: str, dice: random.Random, times: int) -> None:
    """Messages to one person, one at a time, each until nothing more of it begins."""
    for _ in range(times):
        reach = {"step": 3600, "mode": dice.choice(["in_turn", "all_at_once"]), "until": "delivered"}
        message = await made.send(name, dice.choice(CATEGORIES), reach=reach)
        await made.when(message, lambda found: found.done or found.status == "waiting")
        if not (await made.message(message)).done:
            await made.gateway.messages.cancel(message.id)
            await made.ended(message)


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_handed_over_that_the_ledger_forbids(made: Core, judge: Judge, seed: int) -> None:
    dice = random.Random(seed)
    names = {"ana": SHARED, "bo": SHARED, "chen": "+306912345611", "dora": "+306912345612"}
    for name, number in names.items():
        await person(made, name, number)
    made.work()
    writing = [asyncio.create_task(writes_to(made, name, random.Random(seed + n), 12)) for n, name in enumerate(names)]
    while not all(task.done() for task in writing):
        name = dice.choice(list(names))
        await changes_mind(made, name, names[name], dice)
    await asyncio.gather(*writing)
    assert judge.wrong == []
    assert judge.judged > 10


async def test_one_off_recipients_are_bound_by_what_their_address_withdrew(made: Core, judge: Judge) -> None:
    await person(made, "ana", SHARED)
    made.work()
    told: tuple[tuple[Literal["withdrawn", "granted"], int], ...] = (("withdrawn", 0), ("granted", 1))
    for said, handed in told:
        entry = ConsentEntry("sms", "*", said, "sms_keyword", said, made.gateway.clock.now())
        await made.gateway.customers.withdraw("sms", SHARED, [entry])
        them = Recipient(addresses=(Address("sms", SHARED), Address("sms", "+306912345688")))
        new = NewMessage(customer=None, recipient=them, category="outage", content={"text": "News."})
        message, _ = await made.gateway.intake.accept("live", new, made.gateway.intake.origin())
        await made.when(message, lambda found: found.attempts)
        assert [a.address for a in (await made.message(message)).attempts].count(SHARED) == handed
    assert judge.wrong == []


async def test_fifty_writers_at_once_lose_no_line(made: Core) -> None:
    await made.person("ana", sms=SHARED)

    def line(number: int) -> dict[str, Any]:
        state = "granted" if number % 2 else "withdrawn"
        return {
            "channel": "sms",
            "category": "survey",
            "state": state,
            "way": f"w{number}",
            "wording": f"line {number}",
        }

    people = made.gateway.people
    await asyncio.gather(*(people.add_consent("ana", line(number), by_person=True) for number in range(50)))
    ledger = await made.gateway.customers.ledger("ana")
    assert sorted(entry.way for entry in ledger) == sorted(f"w{number}" for number in range(50))
    pages: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        page = await people.consents("ana", 7, cursor)
        assert page is not None
        pages += [item["way"] for item in page["items"]]
        await people.add_consent("ana", {**line(0), "way": f"later {len(pages)}"})
        cursor = page["next"]
        if cursor is None:
            break
    assert pages == [entry.way for entry in reversed(ledger)], "newest first, unmoved by what is added"


async def test_a_one_click_binds_the_person_and_the_mailbox_whoever_has_it(made: Core) -> None:
    await made.person("ana", email="both@example.org")
    await made.person("bo", email="both@example.org")
    made.work()
    message = await made.when(await made.send("ana", "survey"), lambda found: found.attempts)
    assert await made.gateway.pages.unsubscribe(message.id, "one click") is not None
    for name in ("ana", "bo"):
        refused = await made.ended(await made.send(name, "survey"))
        assert (refused.verdict.state, refused.verdict.code) == ("suppressed", "opted_out")
        assert (await made.send(name, "outage")).verdict.state == "pending"
    await made.gateway.people.choose("ana", "survey", on=True, way="page", wording="Yes, ask me.")
    assert (await made.send("ana", "survey")).verdict.state == "pending"


def ways(entries: Sequence[ConsentEntry]) -> list[tuple[str, str, str]]:
    return [(entry.channel, entry.category, entry.state) for entry in entries]


async def test_on_again_is_a_grant_only_when_the_person_does_it(made: Core) -> None:
    await made.person("ana", sms=SHARED)
    people = made.gateway.people

    async def put(on: bool, **more: Any) -> None:
        await people.put_preferences("ana", {"categories": {"survey": {"enabled": on}}}, **more)

    await put(on=False)
    await put(on=True)
    refused = await made.ended(await made.send("ana", "survey"))
    assert refused.verdict.state == "suppressed"
    assert [one.why.code for one in refused.skipped if one.channel == "sms"] == ["opted_out"]
    await put(on=False)
    await put(on=True, way="page", wording="Ask me again.", version="2026-11", by_person=True)
    ledger = await made.gateway.customers.ledger("ana")
    off, on = ("*", "survey", "withdrawn"), ("*", "survey", "granted")
    assert ways(ledger) == [off, off, on]
    assert (ledger[-1].way, ledger[-1].wording, ledger[-1].version) == ("page", "Ask me again.", "2026-11")
    assert (await made.send("ana", "survey")).verdict.state == "pending"


async def test_a_grant_switches_its_category_on_again(made: Core) -> None:
    await made.person("ana", sms=SHARED)
    people = made.gateway.people
    await people.put_preferences("ana", {"categories": {"survey": {"enabled": False}}})
    entry = {
        "channel": "*",
        "category": "survey",
        "state": "granted",
        "way": "phone",
        "wording": "yes",
        "proof": "call 7",
    }
    await people.add_consent("ana", entry)
    assert (await made.customer("ana")).preferences.categories["survey"].enabled
    assert (await made.send("ana", "survey")).verdict.state == "pending"


async def test_a_survey_held_for_a_complaint_goes_out_as_soon_as_it_is_settled(made: Core, judge: Judge) -> None:
    await made.person("ana", sms=SHARED)
    await made.gateway.people.complaint("ana", open=True)
    made.work()
    held = await made.when(await made.send("ana", "survey"), lambda found: found.held)
    assert (held.status, held.held and held.held.code, held.attempts) == ("held", "complaint_open", [])
    await made.gateway.people.complaint("ana", open=False)
    await until(lambda: judge.channels[0].to() == [held.id])


async def test_what_quiet_hours_held_goes_out_when_the_person_takes_them_away(made: Core, judge: Judge) -> None:
    await made.person("ana", sms=SHARED)
    people, whole_day = made.gateway.people, {"quiet_hours": {"start": "00:01", "end": "00:00"}}
    await people.put_preferences("ana", whole_day)
    made.work()
    held = await made.when(await made.send("ana", "service"), lambda found: found.held)
    assert held.held is not None
    assert held.held.code == "quiet_hours"
    await people.put_preferences("ana", {"quiet_hours": None})
    await until(lambda: judge.channels[0].to() == [held.id])


async def test_a_route_through_the_night_says_why_it_may(made: Core) -> None:
    await made.person("ana", sms=SHARED)
    await made.gateway.people.put_preferences("ana", {"quiet_hours": {"start": "00:01", "end": "00:00"}})
    new = NewMessage(customer="ana", category="outage", content={"text": "News."})
    _, route = await made.gateway.intake.preview("live", new)
    assert "quiet hours, which critical outage messages pass" in route[0].why.text
    lower = NewMessage(customer="ana", category="outage", content={"text": "News."}, priority="normal")
    message, _ = await made.gateway.intake.preview("live", lower)
    assert message.held is not None
    assert message.held.code == "quiet_hours"
