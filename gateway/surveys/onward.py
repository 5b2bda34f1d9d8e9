"""What an answer sets off: a case, the next question, thanks; and what needs no longer be asked.

Each has been written into the response before it is done, with the time it is dated by, so that doing it once more makes
no second case and no second message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from gateway.cases.machine import NotNow
from gateway.cases.nouns import NewCase, Note
from gateway.cases.service import Cases
from gateway.content.filters import Reader
from gateway.delivery.drafts import Origin
from gateway.delivery.intake import Intake, NewMessage, NoRoom, Rejected
from gateway.message import Mode
from gateway.prompts import SHORTEST, Prompt
from gateway.store.entries import Entry
from gateway.store.ids import new_id
from gateway.store.messages import Messages
from gateway.store.pipe import StoreUnavailable
from gateway.store.timeline import Timeline
from gateway.surveys import steps, words
from gateway.surveys.nouns import PAGE, RESPONSE, Invitation, Put, Response, prompt_of

REPLY: Final = "reply"
CASE_KIND: Final = "survey"
THANKS: Final = "survey-thanks"

Carries = Callable[[Mode, str, Prompt | None], bool]
"""Whether a channel can put a question; None: whether it takes a mere word of thanks without ringing anybody."""
Reminding = Callable[[Invitation, str], Awaitable[str | None]]
"""The message that reminds a customer of an invitation; None: nobody is reminded of it."""
Reading = Callable[[str], Awaitable[Reader]]
"""A customer's language and time zone."""

log = structlog.get_logger()


class Onward:
    """Does it. Methods raise StoreUnavailable."""

    def __init__(
        self,
        cases: Cases,
        intake: Intake,
        messages: Messages,
        timeline: Timeline,
        carries: Carries,
        reminding: Reminding,
        reading: Reading,
    ) -> None:
        self._cases = cases
        self._intake = intake
        self._messages = messages
        self._timeline = timeline
        self._carries = carries
        self._reminding = reminding
        self._reading = reading

    async def __call__(self, response: Response, invitation: Invitation, message: str) -> None:
        """Everything a response asks for as it stands; `message`: the one whose answer brought it there."""
        if response.customer is None:
            return
        await self._open_case(response, invitation)
        await self._hush(response, invitation, message)
        await self._ask(response, invitation)
        await self._thank(response, invitation)
        await self._note_down(response)

    async def _open_case(self, response: Response, invitation: Invitation) -> None:
        """An answer that asks for somebody to look into it."""
        if response.alerted is None or response.customer is None:
            return
        form = invitation.form
        alert = next(one for one in form.alerts if one.question == response.alerted)
        question = next(one for one in form.questions if one.id == response.alerted)
        given = response.answers[response.alerted]
        asked = f"{_plain(question.text)} {steps.out_of(question, given.value)}"
        new = NewCase(
            customer=response.customer,
            kind=CASE_KIND,
            subject=words.subject(invitation, given.at, await self._reading(response.customer)),
            description="\n".join(part for part in (asked, given.words) if part),
            owner=alert.owner,
            due_in=alert.due_in,
            source=f"{RESPONSE}:{response.id}",
        )
        try:
            case = await self._cases.create(response.mode, new, response.alert_case)
            for name, more in response.answers.items():
                # What they say afterwards belongs to it, too: who sees to it should not have to look for the reason.
                if more.words and more.words not in case.description:
                    note = Note(id=f"survey:{name}", at=more.at, of="customer", text=more.words, channel=more.channel)
                    await self._cases.note(response.mode, case.id, note)
        except (Rejected, NotNow):
            log.info("survey_case_customer_gone", response=response.id)

    async def _hush(self, response: Response, invitation: Invitation, message: str) -> None:
        """What still asks for what has been answered elsewhere goes out no more."""
        if response.customer is None:
            return
        asking = [_id(response, name, put) for name, put in response.asked.items() if name in response.answers]
        if invitation.form.questions[0].id in response.answers:
            reminding = await self._reminding(invitation, response.customer)
            asking += [] if reminding is None else [reminding]
        for one in asking:
            if one != message:
                await self._messages.cancel(one)

    async def _ask(self, response: Response, invitation: Invitation) -> None:
        """Put the next question, where the last one was answered; where it can't be put there, as the person wishes."""
        due = steps.waiting(response, invitation)
        if due is None or response.customer is None:
            return
        question, put = due
        prompt = prompt_of(question, left_of(invitation, put.at))
        here = self._carries(response.mode, put.channel, prompt)
        place = [one.id for one in invitation.form.questions].index(question.id)
        new = NewMessage(
            category=REPLY,
            customer=response.customer,
            content=words.before(question.text),
            prompt=prompt,
            reach={"channels": [put.channel]} if here else {},
            about=f"{invitation.about}/{place}",
        )
        await self._send(response, new, question.id, put)

    async def _thank(self, response: Response, invitation: Invitation) -> None:
        """Thanks after the last answer, but for those who have just heard them."""
        put = response.thanked
        if put is None or response.customer is None or not self._carries(response.mode, put.channel, None):
            return
        data: dict[str, Any] = {"case": response.alert_case is not None}
        if "about" in invitation.data:
            data["about"] = invitation.data["about"]
        new = NewMessage(
            category=REPLY,
            customer=response.customer,
            template=THANKS,
            data=data,
            reach={"channels": [put.channel]},
            about=f"{invitation.about}/thanks",
        )
        await self._send(response, new, "", put)

    async def _send(self, response: Response, new: NewMessage, step: str, put: Put) -> None:
        try:
            await self._intake.accept(response.mode, new, _origin(response, step, put))
        except Rejected as refused:
            log.info("survey_message_refused", response=response.id, step=step, why=[p for p, _ in refused.problems])
        except NoRoom as full:
            raise StoreUnavailable("there is no room for the next question") from full

    async def _note_down(self, response: Response) -> None:
        """What was answered on a page leaves no message behind that the timeline could tell of."""
        if response.customer is None:
            return
        for name, given in response.answers.items():
            if given.channel == PAGE:
                facts = {"survey": response.survey, "question": name, "channel": given.channel}
                value = {} if given.value is None else {"value": given.value}
                entry = Entry(kind="survey", of=response.id, at=given.at, mode=response.mode, facts=facts | value)
                await self._timeline.add(response.customer, entry, f"{response.id}/{name}")


def left_of(invitation: Invitation, at: int) -> int:
    """For how long a question that is put at a time (ms) stays open, seconds: until the closing, if a prompt may be so short."""
    return max(SHORTEST, (invitation.closes_at - at) // 1000)


def _origin(response: Response, step: str, put: Put) -> Origin:
    seed = hashlib.blake2b(f"{response.id}\0{step}".encode(), digest_size=16).digest()
    return Origin(seed, put.at)


def _id(response: Response, step: str, put: Put) -> str:
    origin = _origin(response, step, put)
    return new_id(response.mode, response.customer or "", origin.at, origin.seed, origin.n)


def _plain(text: str | Mapping[str, str]) -> str:
    """A text for those who work here: in English, else as it comes first."""
    if isinstance(text, str):
        return text
    return text.get("en") or next(iter(text.values()), "")
