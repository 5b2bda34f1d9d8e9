"""One question, put and understood on any channel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from gateway.locales import fold, reading, table, wordlike

PromptKind = Literal["acknowledge", "yes_no", "text", "scale", "choice"]
Value = str | int | bool
"""True acknowledges; True or False for yes_no; a number of the scale; the id of an option; a text."""

PAGE: Final = "page"
"""The channel of answers given on a page."""
SHORTEST: Final = 60
LONGEST: Final = 31_536_000
"""The bounds of `closes_in`, seconds: a minute, a year."""
_MOST_OPTIONS: Final = 9
_SCALE_TOP: Final = 99
_LABEL_LENGTH: Final = 200
_PLAIN_WORDS: Final = 3
"""An answer of more words says something beside it."""
_OPT_OUT: Final = frozenset(
    wordlike(word)
    for kind, name in (("stop", "words"), ("stop", "common"), ("stop", "alone"), ("stop_all", "words"))
    for word in table("keywords")[kind][name]
)


class Option(msgspec.Struct, frozen=True):
    """One possible answer of a choice."""

    id: str
    label: str


class Prompt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question that goes with a message. `closes_in` in seconds from the moment the message falls due."""

    kind: PromptKind
    question: str | dict[str, str] | None = None
    min: int | None = None
    max: int | None = None
    options: tuple[Option, ...] = ()
    closes_in: int = 604800


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a person answered. `value` is the machine's reading, `text` the person's own words, `at` in ms."""

    value: str | int | bool | None
    text: str
    channel: str
    at: int
    late: bool = False


def validate(prompt: Prompt) -> list[tuple[str, str]]:
    """What is wrong with a prompt: (JSON pointer within it, a sentence with the remedy) for every fault at once."""
    return [*_common_faults(prompt), *_scale_faults(prompt), *_option_faults(prompt)]


def read_answer(prompt: Prompt, text: str) -> Value | None:
    """The answer a person's text gives to the prompt, or None when it doesn't fit or isn't clear.

    Opt-out words are the caller's to look for first.
    """
    match prompt.kind:
        case "acknowledge":
            return True if reading.number(text) == 1 or reading.acknowledges(text) else None
        case "yes_no":
            numbered = {1: True, 2: False}.get(reading.number(text) or 0)
            return numbered if numbered is not None else reading.yes_or_no(text)
        case "scale":
            mark = reading.number(text, best=prompt.max, counted=True)
            return _on_scale(prompt, reading.stars(text) if mark is None else mark)
        case "choice":
            return _chosen(prompt, text)
        case "text":
            return text.strip() or None


def read_key(prompt: Prompt, digits: str) -> Value | None:
    """The answer that keys pressed on a telephone (or the keys of `key_map`) give, or None. A closing # is ignored."""
    pressed = digits.strip().removesuffix("#")
    if not (pressed.isascii() and pressed.isdigit()) or len(pressed) > digits_needed(prompt):
        return None
    key = int(pressed)
    match prompt.kind:
        case "acknowledge":
            return True if key == 1 else None
        case "yes_no":
            return {1: True, 2: False}.get(key)
        case "scale":
            return _on_scale(prompt, key)
        case "choice":
            return prompt.options[key - 1].id if 1 <= key <= len(prompt.options) else None
        case "text":
            return None


def remark(prompt: Prompt, answer: Answer) -> str:
    """What a person said beside their answer: "9 - the staff were great" gives "the staff were great"; empty: nothing.

    Their words are whole and as they wrote them. A text is an answer and no remark.
    """
    said = answer.text.strip()
    if prompt.kind == "text" or not said:
        return ""
    head, rest = reading.told_beside(said)
    if rest and _same(read_answer(prompt, head), answer.value):
        return rest
    short = len(wordlike(said).split()) <= _PLAIN_WORDS or reading.bare_number(said, prompt.max)
    plain = short and _same(read_answer(prompt, said), answer.value)
    return "" if plain or said in _labels(prompt) else said


def key_map(prompt: Prompt, locale: str = "en") -> list[tuple[str, str]]:
    """The keys a person may press or reply with, each with what it stands for in that language; none for a text."""
    match prompt.kind:
        case "acknowledge":
            return [("1", reading.label("acknowledge", locale))]
        case "yes_no":
            return [("1", reading.label("yes", locale)), ("2", reading.label("no", locale))]
        case "scale":
            return [(str(mark), str(mark)) for mark in range(prompt.min or 0, (prompt.max or 0) + 1)]
        case "choice":
            return [(str(place), option.label) for place, option in enumerate(prompt.options, 1)]
        case "text":
            return []


def digits_needed(prompt: Prompt) -> int:
    """How many keys an answer by telephone may take: 2 for scales beyond 9, 0 where keys can't answer, else 1."""
    if prompt.kind == "text":
        return 0
    return 2 if prompt.kind == "scale" and (prompt.max or 0) > _MOST_OPTIONS else 1


def opt_out_key(prompt: Prompt | None) -> str | None:
    """The telephone key that ends such messages for good: 9, unless the question needs it; None: there is none."""
    if prompt is None or prompt.kind in ("acknowledge", "yes_no"):
        return "9"
    return "9" if prompt.kind == "choice" and len(prompt.options) < _MOST_OPTIONS else None


def _same(one: Value | None, other: Value | None) -> bool:
    return type(one) is type(other) and one == other


def _labels(prompt: Prompt) -> set[str]:
    return {option.label for option in prompt.options}


def _on_scale(prompt: Prompt, mark: int | None) -> int | None:
    fits = mark is not None and prompt.min is not None and prompt.max is not None and prompt.min <= mark <= prompt.max
    return mark if fits else None


def _chosen(prompt: Prompt, text: str) -> str | None:
    """By number first, since that is what people were told to reply with; then by label, id, and a label's beginning."""
    named = _named(prompt, text)
    place = reading.number(text, ordinals=True, counted=True)
    if place is not None and 1 <= place <= len(prompt.options):
        option = prompt.options[place - 1]
        beside = _named(prompt, reading.parted(text)[1])
        return option.id if beside in (None, option.id) else None
    if named is not None:
        return named
    first, _, rest = reading.bare(text)[0].partition(" ")
    place = reading.number(first)
    if place is not None and 1 <= place <= len(prompt.options):
        option = prompt.options[place - 1]
        return option.id if rest and _named(prompt, rest) == option.id else None
    return None


def _named(prompt: Prompt, text: str) -> str | None:
    """The option whose label or id a text says, polite words aside, or whose label alone begins as it does."""
    head, rest = reading.bare(text)
    labels = [(wordlike(option.label) or fold(option.label), option.id) for option in prompt.options]
    names = (*labels, *((wordlike(option.id), option.id) for option in prompt.options))
    for said in (wordlike(text) or fold(text), "" if reading.unsure(rest) else head):
        found = next((option_id for name, option_id in names if said and said == name), None)
        begun = [option_id for name, option_id in labels if len(said) > 1 and name.startswith(f"{said} ")]
        if found is not None or len(begun) == 1:
            return found or begun[0]
    return None


def _common_faults(prompt: Prompt) -> Iterator[tuple[str, str]]:
    if not SHORTEST <= prompt.closes_in <= LONGEST:
        yield "/closes_in", f"must be from {SHORTEST} to {LONGEST} seconds"
    if isinstance(prompt.question, str) and not prompt.question.strip():
        yield "/question", "must not be empty: leave it out where the message itself is the question"
    if isinstance(prompt.question, dict):
        if not prompt.question:
            yield "/question", "must have a text in at least one language"
        for locale, words in prompt.question.items():
            if not words.strip():
                yield f"/question/{_escaped(locale)}", "must not be empty"


def _scale_faults(prompt: Prompt) -> Iterator[tuple[str, str]]:
    for name, bound in (("min", prompt.min), ("max", prompt.max)):
        if prompt.kind != "scale":
            if bound is not None:
                yield f"/{name}", f"belongs to a scale, not to {prompt.kind}"
        elif bound is None:
            yield f"/{name}", "is needed for a scale"
        elif not 0 <= bound <= _SCALE_TOP:
            yield f"/{name}", f"must be from 0 to {_SCALE_TOP}"
    if prompt.kind == "scale" and prompt.min is not None and prompt.max is not None and prompt.min >= prompt.max:
        yield "/max", "must be greater than min"


def _option_faults(prompt: Prompt) -> Iterator[tuple[str, str]]:
    if prompt.kind != "choice":
        if prompt.options:
            yield "/options", f"belongs to a choice, not to {prompt.kind}"
        return
    if not 2 <= len(prompt.options) <= _MOST_OPTIONS:
        yield "/options", f"must have 2 to {_MOST_OPTIONS} options"
    ids: set[str] = set()
    labels: set[str] = set()
    for place, option in enumerate(prompt.options):
        for name, text, seen in (("id", option.id, ids), ("label", option.label, labels)):
            fault = _text_fault(text, fold(text) if name == "label" else text, seen)
            if fault is not None:
                yield f"/options/{place}/{name}", fault


def _text_fault(text: str, compared: str, seen: set[str]) -> str | None:
    """What is wrong with an option's id or label; `seen` gathers those before it."""
    repeated = compared in seen
    seen.add(compared)
    if not text.strip() or len(text) > _LABEL_LENGTH or not text.isprintable():
        return f"must be 1 to {_LABEL_LENGTH} printable characters on one line"
    if repeated:
        return "must differ from those of the other options"
    if wordlike(text) in _OPT_OUT:
        return f"{text!r} is an opt-out word, which would never count as an answer: choose another"
    return None


def _escaped(name: str) -> str:
    """A name as part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
