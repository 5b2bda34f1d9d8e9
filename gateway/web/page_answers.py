"""Answers on pages: what can be chosen, and what a chosen value means to the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.preferences.locales import chain
from gateway.prompts import Answer, Prompt, Value, key_map, read_key
from gateway.text import clean
from gateway.web.page_texts import AnswerTexts

LONGEST_TEXT: Final = 2000


def choices(prompt: Prompt, texts: AnswerTexts) -> list[tuple[str, str]]:
    """(value of the link and the form, what people read); none where there is nothing to choose.

    The values are the telephone's keys, as in every link of a message.
    """
    named = {"yes_no": [texts.yes, texts.no]}.get(prompt.kind)
    keys = [] if prompt.kind == "acknowledge" else key_map(prompt)
    return [(key, named[place] if named else label) for place, (key, label) in enumerate(keys)]


def value_of(prompt: Prompt, given: str) -> Value | None:
    """The answer a value stands for; None when it is none of those offered."""
    if prompt.kind == "text":
        return clean(given).strip()[:LONGEST_TEXT] or None
    return read_key(prompt, given)


def words_of(prompt: Prompt, given: str, texts: AnswerTexts) -> str:
    """What the person chose, as they read it; a text as they wrote it."""
    if prompt.kind == "text":
        return clean(given).strip()[:LONGEST_TEXT]
    return dict(choices(prompt, texts)).get(given, texts.confirm)


def label_of(prompt: Prompt, answer: Answer, texts: AnswerTexts) -> str:
    """An answer as people read it: its label, or the words of a text."""
    match prompt.kind:
        case "yes_no":
            return texts.yes if answer.value is True else texts.no
        case "acknowledge":
            return texts.confirm
        case "choice":
            return next((option.label for option in prompt.options if option.id == answer.value), str(answer.value))
        case "text":
            return answer.text
        case "scale":
            return str(answer.value)


def question_of(prompt: Prompt, language: str, texts: AnswerTexts) -> str:
    """The question as people read it: the sender's own, else what to do."""
    own = prompt.question
    if isinstance(own, Mapping):
        own = next((own[tag] for tag in chain(language, language) if tag in own), None) or next(
            iter(own.values()), None
        )
    if own:
        return own
    plain = {
        "acknowledge": texts.acknowledge,
        "yes_no": texts.yes_no,
        "choice": texts.choice,
        "text": texts.text,
        "scale": texts.scale.format(min=prompt.min, max=prompt.max),
    }
    return plain[prompt.kind]
