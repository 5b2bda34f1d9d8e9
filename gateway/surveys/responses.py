"""Responses: what people answer, wherever they do."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from gateway.delivery.following import Question as Following
from gateway.message import Message
from gateway.prompts import Answer
from gateway.store.clock import Clock
from gateway.store.mine import Mine
from gateway.store.things import Place, Written
from gateway.surveys import steps
from gateway.surveys.nouns import Given, Invitation, Question, Response, prompt_of
from gateway.surveys.onward import Onward, left_of
from gateway.surveys.privacy import Privacy
from gateway.surveys.records import Records, tally_key
from gateway.surveys.tally import steps as counted


class Responses:
    """Takes in answers. `onward`: does what they set off. Methods raise StoreUnavailable."""

    def __init__(self, records: Records, privacy: Privacy, mine: Mine, clock: Clock, onward: Onward) -> None:
        self._records = records
        self._privacy = privacy
        self._mine = mine
        self._clock = clock
        self._onward = onward

    # What others tell us.

    async def told(self, message: Message) -> None:
        """A message of an invitation or of a response has news; the same news again changes nothing."""
        found = await self._served(message)
        if found is None or message.answer is None or message.erased:
            return
        invitation, question = found
        given = steps.given_of(question, message.answer, message)
        await self._take(invitation, message, {question.id: given})

    async def following(self, message: Message) -> Sequence[Following]:
        """What the page asks beside a message's own question: whatever has no answer yet."""
        found = await self._served(message)
        now = self._clock.now()
        if found is None or message.erased or now >= found[0].closes_at:
            return ()
        invitation, own = found
        response = await self._records.responses.load(self._place(invitation, message.customer))
        left = [one for one in steps.unanswered(response, invitation) if one.id != own.id]
        return [Following(id=one.id, prompt=prompt_of(one, left_of(invitation, now))) for one in left]

    async def answered(self, message: Message, given: Mapping[str, Answer]) -> None:
        """Answers from the page; each question's first counts."""
        found = await self._served(message)
        if found is None or message.erased:
            return
        questions = {question.id: question for question in found[0].form.questions}
        taken = {name: steps.given_of(questions[name], one) for name, one in given.items() if name in questions}
        await self._take(found[0], message, taken)

    # What comes of it.

    async def _take(self, invitation: Invitation, message: Message, given: Mapping[str, Given]) -> None:
        response = await self.take(invitation, message.customer, message.born, given)
        if response is None:
            return
        await self._onward(response, invitation, message.id)

    async def take(
        self, invitation: Invitation, customer: str, born: int, given: Mapping[str, Given]
    ) -> Response | None:
        """Write answers into the response of a customer; what it is then, None: there is no such customer any more."""
        place, now = self._place(invitation, customer), self._clock.now()
        known = await self._records.responses.load(place)
        if known is None and not await self._mine.add(customer, place):
            return None
        fresh = _fresh(invitation, customer, born, place, now)

        def told(found: Response | None) -> Written[Response] | None:
            current = fresh if found is None else found
            if current.born != born:
                return None  # of somebody who had that id before
            response = steps.taken(current, invitation, given, now)
            return None if response == found else self._written(found, response, invitation, place)

        response = await self._records.responses.change(place, told)
        if known is None and response is not None and await self._mine.gone(customer):
            await self._privacy.erase_response(place, customer, secrets.token_hex(8))
            return None
        return None if response is None or response.born != born else response

    def _written(
        self, before: Response | None, response: Response, invitation: Invitation, place: Place
    ) -> Written[Response]:
        more = counted(before, response, invitation.form.questions)
        return Written(
            response,
            lists=self._records.lists(response, words=steps.words_of(response)),
            events=("survey.answered",) if more else (),
            known_as=response.id,
            tally=more,
            tally_of=tally_key(place, response.mode, response.survey),
            keep=self._records.keep,
        )

    # Where things are.

    async def _served(self, message: Message) -> tuple[Invitation, Question] | None:
        """The invitation that a message serves, and its question; None: it asks none, or the survey is gone."""
        name, _, place = (message.about or "").partition(":")[2].partition("/")
        if message.prompt is None or not (place.isdecimal() or not place):
            return None
        invitation = await self._records.invitations.load(self._records.invitation(message.mode, name))
        if invitation is None or int(place or 0) >= len(invitation.form.questions):
            return None
        return invitation, invitation.form.questions[int(place or 0)]

    def _place(self, invitation: Invitation, customer: str) -> Place:
        return self._records.response(invitation.mode, invitation.id, customer)


def _fresh(invitation: Invitation, customer: str, born: int, place: Place, now: int) -> Response:
    return Response(
        id=place.ref,
        mode=invitation.mode,
        survey=invitation.survey,
        version=invitation.version,
        invitation=invitation.id,
        customer=customer,
        born=born,
        case=invitation.case,
        created_at=now,
    )
