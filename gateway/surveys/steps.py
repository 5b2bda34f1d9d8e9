"""What becomes of a response when answers come in. Pure: the same answers again change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.message import Message
from gateway.prompts import Answer, remark
from gateway.surveys.nouns import PAGE, SCALES, Alert, Given, Invitation, Put, Question, Response

REMARK_LENGTH: Final = 2000


def given_of(question: Question, answer: Answer, message: Message | None = None) -> Given:
    """An answer as it is kept. `message`: the one it was given to, whose later answers may hold words beside it."""
    if question.kind == "text":
        return Given(value=None, channel=answer.channel, at=answer.at, words=answer.text.strip(), late=answer.late)
    words = "" if message is None or message.prompt is None else _beside(message, answer)
    value = answer.value
    return Given(value=value, channel=answer.channel, at=answer.at, words=words, late=answer.late)


def _beside(message: Message, answer: Answer) -> str:
    """What a person said beside their answer: in it, or in the words they added to it."""
    prompt = message.prompt
    if prompt is None:
        return ""
    every = [answer, *(one for one in message.later_answers if one.value == answer.value)]
    said = dict.fromkeys(words for one in every if (words := remark(prompt, one)))
    return "\n".join(said)[:REMARK_LENGTH]


def taken(response: Response, invitation: Invitation, given: Mapping[str, Given], now: int) -> Response:
    """The response with more answers: each question's first counts, words may come later."""
    given = {name: _timed(one, invitation) for name, one in given.items()}
    answers = dict(response.answers)
    for question in invitation.form.questions:
        new, old = given.get(question.id), answers.get(question.id)
        if new is None:
            continue
        if old is None:
            answers[question.id] = new
        elif new.words and msgspec.structs.replace(new, words=old.words) == old:
            answers[question.id] = new  # the same answer, with more words
    if answers == response.answers:
        return response
    response = msgspec.structs.replace(response, answers=answers)
    return _onward(_alerted(response, invitation), invitation, given, now)


def _timed(given: Given, invitation: Invitation) -> Given:
    """An answer, late once the invitation has closed, however long its own question stays open."""
    return msgspec.structs.replace(given, late=given.late or given.at > invitation.closes_at)


def _alerted(response: Response, invitation: Invitation) -> Response:
    """One case per response: the first question that asks for one opens it."""
    if response.alerted is not None:
        return response
    for alert in invitation.form.alerts:
        if low(alert, response.answers.get(alert.question)):
            case = f"survey-{response.id.rpartition(':')[2]}"
            return msgspec.structs.replace(response, alerted=alert.question, alert_case=case)
    return response


def low(alert: Alert, given: Given | None) -> bool:
    """Whether an answer is one that an alert asks for."""
    return given is not None and isinstance(given.value, int) and given.value <= alert.at_most


def _onward(response: Response, invitation: Invitation, given: Mapping[str, Given], now: int) -> Response:
    """What is to be sent next: a question, thanks, or nothing where the page goes on by itself."""
    left = unanswered(response, invitation)
    if not left:
        response = msgspec.structs.replace(response, completed_at=response.completed_at or now)
    newest = max(given.values(), key=lambda one: one.at)
    if newest.channel == PAGE:
        return response
    put = Put(now, newest.channel)
    if not left:
        return response if response.thanked is not None else msgspec.structs.replace(response, thanked=put)
    if newest.late or now >= invitation.closes_at or left[0].id in response.asked:
        return response
    return msgspec.structs.replace(response, asked={**response.asked, left[0].id: put})


def unanswered(response: Response | None, invitation: Invitation) -> list[Question]:
    """The questions without an answer, in their order."""
    known = {} if response is None else response.answers
    return [question for question in invitation.form.questions if question.id not in known]


def waiting(response: Response, invitation: Invitation) -> tuple[Question, Put] | None:
    """The next question, if it has been put by a message of its own and is not answered."""
    left = unanswered(response, invitation)
    if not left or left[0].id not in response.asked:
        return None
    return left[0], response.asked[left[0].id]


def words_of(response: Response) -> bool:
    """Whether there are any words to be read."""
    return any(given.words for given in response.answers.values())


def out_of(question: Question, value: object) -> str:
    """An answer as people say it: "3 of 10"."""
    scale = SCALES.get(question.kind)
    return f"{value}" if scale is None else f"{value} of {scale[1]}"


def forgotten(response: Response) -> Response:
    """The response without the person and their words: what is left is nobody's score."""
    answers = {name: msgspec.structs.replace(given, words="") for name, given in response.answers.items()}
    return msgspec.structs.replace(response, customer=None, born=0, answers=answers, case=None, alert_case=None)
