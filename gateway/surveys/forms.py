"""What a form may be, and its texts with an invitation's data in them. Pure.

Texts of questions and labels may hold `{{ name }}` and whatever else templates may; they are filled in once, when people
are invited, from the invitation's data, so every person of an invitation reads the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway import settings_values
from gateway.content.expressions import TemplateError
from gateway.content.language import Compiled, DataError, Reader, compile_text
from gateway.prompts import Option, validate
from gateway.surveys.nouns import SCALES, Alert, Form, Question, Words, prompt_of

Problem = tuple[str, str]
MOST_QUESTIONS: Final = 20
MOST_ALERTS: Final = 20
LONGEST_TEXT: Final = 600
"""Characters of a question: more is no question, and fits no SMS."""


def problems(form: Form) -> list[Problem]:
    """Everything that is wrong with a form, as (JSON pointer, sentence)."""
    found: list[Problem] = []
    seen: set[str] = set()
    for n, question in enumerate(form.questions):
        at = f"/questions/{n}"
        if question.id in seen:
            found.append((f"{at}/id", f"stands twice: {question.id}. Answers are counted by it."))
        seen.add(question.id)
        found += _question(question, at)
    if form.title is not None:
        found += _words(form.title, "/title")
    kinds = {question.id: question.kind for question in form.questions}
    for n, alert in enumerate(form.alerts):
        found += _alert(alert, kinds, f"/alerts/{n}")
    return found


def _question(question: Question, at: str) -> Iterator[Problem]:
    yield from _words(question.text, f"{at}/text")
    if question.kind == "choice":
        for pointer, detail in validate(prompt_of(question, 604_800)):
            if pointer.startswith("/options"):
                yield f"{at}{pointer}", detail
        for n, option in enumerate(question.options):
            yield from _words(option.label, f"{at}/options/{n}/label")
    elif question.options:
        yield f"{at}/options", "go with a question of kind choice alone."


def _words(words: Words, at: str) -> Iterator[Problem]:
    if isinstance(words, str):
        yield from _text(words, at)
        return
    if not words:
        yield at, "must have a text in at least one language."
    for locale, text in words.items():
        place = f"{at}/{locale.replace('~', '~0').replace('/', '~1')}"
        try:
            if settings_values.locale(locale) != locale:
                yield place, f"must be written {settings_values.locale(locale)}."
        except ValueError as wrong:
            yield place, f"{wrong}."
        yield from _text(text, place)


def _text(text: str, at: str) -> Iterator[Problem]:
    if not text.strip():
        yield at, "must not be empty."
    elif len(text) > LONGEST_TEXT:
        yield at, f"must have at most {LONGEST_TEXT} characters, not {len(text)}."
    else:
        try:
            compile_text(text, "line")
        except TemplateError as error:
            yield at, str(error)


def _alert(alert: Alert, kinds: Mapping[str, str], at: str) -> Iterator[Problem]:
    kind = kinds.get(alert.question)
    if kind is None:
        yield f"{at}/question", f"There is no question {alert.question!r} in this survey."
    elif kind not in SCALES:
        yield f"{at}/question", f"An alert needs a question of kind {', '.join(SCALES)}; this one is {kind}."
    else:
        low, high = SCALES[kind]
        if not low <= alert.at_most < high:
            yield f"{at}/at_most", f"must be from {low} to {high - 1}: with {high} every answer would open a case."


def filled(form: Form, data: Mapping[str, Any], locale: str, zone: str) -> tuple[Form, list[Problem]]:
    """The form with the data in its texts, and what is wrong with the data. `locale`: of texts in one language alone."""
    found: list[Problem] = []

    def text(words: str, language: str) -> str:
        compiled = compile_text(words, "line")
        if missing := _missing(compiled, data):
            found.extend(missing)
            return words
        try:
            return compiled.render(data, Reader(language, zone))
        except DataError as bad:
            found.append((bad.pointer, bad.detail))
            return words

    def words(given: Words) -> Words:
        if isinstance(given, str):
            return text(given, locale)
        return {language: text(one, language) for language, one in given.items()}

    made = _with(form, words, lambda label: text(label, locale))
    if form.title is not None:
        made = msgspec.structs.replace(made, title=words(form.title))
    return made, list(dict.fromkeys(found))


def _missing(compiled: Compiled, data: Mapping[str, Any]) -> list[Problem]:
    return [(f"/data/{name}", "is used in the survey's texts: give it.") for name in sorted(compiled.needs - set(data))]


def _with(form: Form, words: Callable[[Words], Words], label: Callable[[str], str]) -> Form:
    questions = tuple(
        msgspec.structs.replace(
            question,
            text=words(question.text),
            options=tuple(Option(option.id, label(option.label)) for option in question.options),
        )
        for question in form.questions
    )
    return msgspec.structs.replace(form, questions=questions)
