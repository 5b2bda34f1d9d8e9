"""What a case does to the world: messages to the customer, their record, their timeline.

Each is done first and marked after; ids follow from the case, so whoever dies in between does it again to no effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from gateway.cases import machine
from gateway.cases.clockwork import Task
from gateway.cases.news import About, Part, told
from gateway.cases.nouns import SILENCE_MS, Case, Step
from gateway.cases.words import phrase, sentence
from gateway.delivery.drafts import Origin
from gateway.delivery.intake import Intake
from gateway.delivery.request import NewMessage, Rejected
from gateway.message import Message
from gateway.people.fields import wire_time
from gateway.people.people import People
from gateway.prompts import Prompt
from gateway.store.clock import Clock
from gateway.store.entries import Entry
from gateway.store.messages import Messages
from gateway.store.mine import Mine
from gateway.store.things import Shelf
from gateway.store.timeline import Timeline

Mark = Callable[[Case], Case | None]
"""What a case becomes once something has been done for it; None: that is over already."""
_SHORT: Final = 160
"""Characters of what was done that fit into a question by text beside the rest."""


def _nothing(_case: Case) -> None:
    """It is over already."""


class Effects:
    """Does what cases owe."""

    def __init__(
        self,
        shelf: Shelf[Case],
        clock: Clock,
        mine: Mine,
        people: People,
        intake: Intake,
        messages: Messages,
        timeline: Timeline,
    ) -> None:
        self._shelf = shelf
        self._clock = clock
        self._mine = mine
        self._people = people
        self._intake = intake
        self._messages = messages
        self._timeline = timeline
        self._tasks: dict[Task, Callable[[Case], Awaitable[Mark]]] = {
            "flag": self._flag,
            "notice": self._notice,
            "offer": self._offer,
            "choice": self._choice,
            "ask": self._ask,
            "question": self._question,
            "silence": self._silence,
            "thank": self._thank,
            "drop": self._drop,
            "tell": self._tell,
        }

    async def do(self, task: Task, case: Case) -> Mark:
        """Do one thing, and say how to mark that it is done. Raises NoRoom, StoreUnavailable."""
        return await self._tasks[task](case)

    # The customer's record

    async def _flag(self, case: Case) -> Mark:
        """Say whether the customer has a complaint open. Looked at again after: of two at once one sees the other."""
        customer = case.customer or ""
        wanted = await self._complains(customer)
        while True:
            try:
                await self._people.complaint(customer, open=wanted)
            except KeyError:
                break  # being erased: the erasure closes the case
            if (now := await self._complains(customer)) == wanted:
                break
            wanted = now

        def mark(found: Case) -> Case | None:
            same = (found.under_way, found.complaint) == (case.under_way, case.complaint)
            return msgspec.structs.replace(found, flagged=True) if same else None

        return mark

    async def _complains(self, customer: str) -> bool:
        cases = await self._shelf.load_many(await self._mine.of(customer, self._shelf.kind))
        return any(
            case is not None and case.mode == "live" and case.customer == customer and case.under_way and case.complaint
            for case in cases
        )

    # Messages

    async def _notice(self, case: Case) -> Mark:
        due = wire_time(case.due_at // 1000 * 1000)
        sent = await self._say(
            case, "notice", 0, case.created_at, "case-opened", {"subject": phrase(case.subject), "due_by": due}
        )
        return lambda found: msgspec.structs.replace(found, notice=sent.id if isinstance(sent, Message) else None)

    async def _offer(self, case: Case) -> Mark:
        if (offer := case.offer) is None:
            return _nothing
        prompt = Prompt(kind="choice", options=offer.options, closes_in=(offer.closes_at - offer.made_at) // 1000)
        data = {"subject": phrase(case.subject)}
        if offer.happened is not None:
            data["happened"] = sentence(offer.happened)
        sent = await self._say(case, "offer", offer.n, offer.made_at, "case-offer", data, prompt)

        def mark(found: Case) -> Case | None:
            out = found.offered
            if out is None or out.n != offer.n:
                gone = sent.id if isinstance(sent, Message) and found.customer is not None else None
                return None if gone is None else msgspec.structs.replace(found, drop=(*found.drop, gone))
            if isinstance(sent, Message):
                return msgspec.structs.replace(found, offer=msgspec.structs.replace(out, message=sent.id))
            return machine.ended(found, "unreached", self._clock.now(), "gateway", "refused")

        return mark

    async def _question(self, case: Case) -> Mark:
        if (asked := case.follow_up) is None or asked.asked_at is None:
            return _nothing
        prompt = Prompt(kind="yes_no", closes_in=SILENCE_MS // 1000)
        data = {"subject": phrase(case.subject)}
        if case.action is not None and len(case.action) <= _SHORT:
            data["action"] = sentence(case.action)
        sent = await self._say(
            case, "question", asked.round, asked.asked_at, "case-follow-up", data, prompt, category="follow_up"
        )
        put = {"message": sent.id} if isinstance(sent, Message) else {"failed": "refused"}

        def mark(found: Case) -> Case | None:
            if found.follow_up is None or found.follow_up.round != asked.round:
                return None
            return msgspec.structs.replace(found, follow_up=msgspec.structs.replace(found.follow_up, **put))

        return mark

    async def _say(
        self,
        case: Case,
        part: Part,
        n: int,
        at: int,
        template: str,
        data: dict[str, Any],
        prompt: Prompt | None = None,
        category: str = "service",
        channel: str | None = None,
    ) -> Message | Rejected:
        new = NewMessage(
            customer=case.customer,
            category=category,
            template=template,
            data=data,
            prompt=prompt,
            reach={} if channel is None else {"channels": (channel,)},
            about=str(About(case.id, part, n)),
        )
        seed = hashlib.blake2b(f"{case.mode}:{case.created_at}:{new.about}".encode(), digest_size=32).digest()
        try:
            return (await self._intake.accept(case.mode, new, Origin(seed, at)))[0]
        except Rejected as refused:
            return refused

    async def _thank(self, case: Case) -> Mark:
        word = case.thanks[0]
        part: Part = "chosen" if word.template == "case-chosen" else "reopened"
        await self._say(case, part, word.n, word.at, word.template, word.data, category="reply", channel=word.channel)
        return lambda found: msgspec.structs.replace(found, thanks=tuple(one for one in found.thanks if one != word))

    async def _drop(self, case: Case) -> Mark:
        for message in case.drop:
            await self._messages.cancel(message)
        done = set(case.drop)
        return lambda found: msgspec.structs.replace(found, drop=tuple(m for m in found.drop if m not in done))

    # What time brings

    async def _ask(self, _case: Case) -> Mark:
        """First the time, on which the question's id depends; then the question."""
        now = self._clock.now()

        def mark(found: Case) -> Case | None:
            asked = found.follow_up
            if found.status != "resolved" or asked is None or asked.asked_at is not None:
                return None
            put = msgspec.structs.replace(asked, asked_at=now)
            return machine.stepped(found, now, "gateway", "asked", {"round": asked.round}, follow_up=put)

        return mark

    async def _choice(self, case: Case) -> Mark:
        """The offer's time is up: an answer that nobody has told of yet still counts."""
        if (offer := case.offer) is None:
            return _nothing
        answered = await self._answered(offer.message)

        def mark(found: Case) -> Case | None:
            out = found.offered
            if out is None or out.n != offer.n:
                return None
            now = self._clock.now()
            case = found if answered is None else told(found, About(found.id, "offer", offer.n), answered, now)
            return case if case.offered is None else machine.ended(case, "lapsed", now, "gateway")

        return mark

    async def _silence(self, case: Case) -> Mark:
        """Nobody answered: it is solved, unless an answer is there that nobody has told of yet, or words that are none."""
        if (asked := case.follow_up) is None:
            return _nothing
        answered = await self._answered(asked.message)

        def mark(found: Case) -> Case | None:
            if found.status != "resolved" or found.follow_up is None or found.follow_up.round != asked.round:
                return None
            now = self._clock.now()
            case = found if answered is None else told(found, About(found.id, "question", asked.round), answered, now)
            if case.status != "resolved":
                return case
            spoke = any(note.of == "customer" and note.at >= (asked.asked_at or 0) for note in case.notes)
            return machine.reopened(case, now, "gateway") if spoke else machine.closed(case, now, "gateway")

        return mark

    async def _answered(self, message: str | None) -> Message | None:
        found = None if message is None else await self._messages.load(message)
        return None if found is None or found.message.answer is None else found.message

    # The timeline

    async def _tell(self, case: Case) -> Mark:
        for step in case.history:
            entry = line_of(case, step) if step.n > case.told else None
            if entry is not None and case.customer is not None:
                once = f"case:{case.mode}:{case.id}:{case.created_at}:{step.n}"
                await self._timeline.add(case.customer, entry, once)
        return lambda found: msgspec.structs.replace(found, told=max(found.told, case.steps))


def line_of(case: Case, step: Step) -> Entry | None:
    """A step as a line of the customer's timeline; None for their own words, which stand there as they came."""
    facts = {"what": step.what, "by": step.by, **step.facts}
    match step.what:
        case "noted":
            note = next((note for note in case.notes if note.id == step.facts.get("note")), None)
            if note is None or note.of == "customer":
                return None
            facts = {"case": case.id, "by": note.by, "text": note.text}
            return Entry(kind="note", of=case.id, at=step.at, mode=case.mode, facts=facts)
        case "opened":
            facts["text"] = case.subject
        case "resolved" if case.action is not None:
            facts["text"] = case.action
        case _:
            pass
    return Entry(kind="case", of=case.id, at=step.at, mode=case.mode, facts=facts)
