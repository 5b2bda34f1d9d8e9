"""What became of a case's messages, and what that makes of the case. Pure, and safe to be told again."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from gateway.cases import machine
from gateway.cases.nouns import Case, Note, Thanks
from gateway.cases.words import phrase
from gateway.message import Message
from gateway.prompts import Answer, Prompt, remark

Part = Literal["notice", "offer", "question", "chosen", "reopened"]
"""Which of a case's messages: what it says to the customer."""

_WRITTEN: Final = ("sms", "wechat")
_IN_VAIN: Final = ("unreached", "suppressed", "expired", "cancelled", "superseded")


class About(msgspec.Struct, frozen=True):
    """What a message of a case is there for: the n-th of that part."""

    case: str
    part: Part
    n: int

    def __str__(self) -> str:
        return f"case:{self.case}:{self.part}:{self.n}"

    @classmethod
    def of(cls, about: str) -> About:
        """Read it. Raises msgspec.ValidationError or ValueError for what isn't one."""
        case, part, n = about.removeprefix("case:").rsplit(":", 2)
        return msgspec.convert({"case": case, "part": part, "n": int(n)}, cls)


def told(case: Case, about: About, message: Message, now: int) -> Case:
    """The case after news of one of its messages: answers, the words beside them, or that nobody was reached."""
    if message.answer is not None and message.prompt is not None:
        for n, answer in enumerate((message.answer, *message.later_answers)):
            case = _answered(case, about, message.prompt, answer, now)
            case = _worded(case, f"{message.id}:{n}", message.prompt, answer)
        return case
    offer = case.offered
    vain = message.done and message.verdict.state in _IN_VAIN
    if about.part == "offer" and offer is not None and offer.n == about.n and vain:
        return machine.ended(case, "unreached", now, "gateway", message.verdict.code or message.verdict.state)
    return case


def _answered(case: Case, about: About, prompt: Prompt, answer: Answer, now: int) -> Case:
    if about.part == "offer" and isinstance(answer.value, str):
        chosen = machine.chosen(case, about.n, answer.value, answer)
        if chosen is None:
            return _too_late(case, about, prompt, answer)
        return _thanked(chosen, "case-chosen", about.n, answer, {"chosen": phrase(_label(prompt, answer))})
    if about.part == "question":
        told = machine.solved(case, about.n, answer, now) or case
        if told.status == "reopened" != case.status:
            return _thanked(told, "case-reopened", about.n, answer, {"ask": not remark(prompt, answer)})
        return told
    return case


def _thanked(
    case: Case, template: Literal["case-chosen", "case-reopened"], n: int, answer: Answer, data: dict[str, Any]
) -> Case:
    """Who wrote gets a word back; a page and a call have given it by themselves."""
    if answer.channel not in _WRITTEN:
        return case
    word = Thanks(template=template, n=n, at=answer.at, channel=answer.channel, data=data)
    return msgspec.structs.replace(case, thanks=(*case.thanks, word))


def _label(prompt: Prompt, answer: Answer) -> str:
    return next((option.label for option in prompt.options if option.id == answer.value), str(answer.value))


def _too_late(case: Case, about: About, prompt: Prompt, answer: Answer) -> Case:
    """A choice that no longer counts is still the customer's word: somebody is to read it."""
    offer = case.offer
    if offer is not None and offer.n == about.n and offer.ended == "chosen":
        return case
    return _note(case, f"late:{about.n}:{answer.at}", _label(prompt, answer), answer)


def _worded(case: Case, note: str, prompt: Prompt, answer: Answer) -> Case:
    words = remark(prompt, answer)
    return _note(case, note, words, answer) if words else case


def _note(case: Case, note: str, text: str, answer: Answer) -> Case:
    words = Note(id=note, at=answer.at, of="customer", text=text, channel=answer.channel)
    return machine.noted(case, words) or case
