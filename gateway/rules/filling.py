"""What a rule puts into a message from its event and its customer.

A text may hold `{{ event.order_id }}` and `{{ customer.name }}` in the language of templates; `{"event": "order_id"}` hands
on the value as it is, so that a template can write it in the reader's language. Everything else stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from gateway.content.filters import Reader
from gateway.content.language import DataError, Kind, TemplateError, compile_text
from gateway.customer import Customer
from gateway.prompts import Prompt
from gateway.rules.conditions import MISSING, Facts, find, path_problem

Problem = tuple[str, str]
ROOTS: Final = ("event", "customer")
_REFERENCE: Final = frozenset((*ROOTS, "default"))
_TAG: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
Text = str | dict[str, str]
Told = Callable[[str, Kind, str, str | None], str]
"""Makes something of a text: what it is for, its place, its locale (None: the reader's)."""
_KINDS: Final[dict[str, Kind]] = {"subject": "line", "text": "text", "html": "html", "speech": "speech"}


class Unfilled(Exception):
    """The event or the customer lacks what the rule puts into its message. `pointer` into the rule's `then`."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}")
        self.pointer = pointer
        self.detail = detail


class Filler:
    """Fills texts for one event and one customer. `locale` and `time_zone` where the customer says nothing."""

    def __init__(self, facts: Facts, customer: Customer, locale: str, time_zone: str) -> None:
        self._facts = facts
        self._names = {"event": facts.event, "customer": facts.customer or {}}
        self._locale = customer.preferences.language or customer.locale or locale
        self._zone = customer.time_zone or time_zone

    def data(self, value: Any, at: str = "/data") -> Any:
        """A value of a rule's `data`, filled. Raises Unfilled."""
        if isinstance(value, str):
            return self.text(value, "text", at)
        if isinstance(value, list):
            return [self.data(one, f"{at}/{n}") for n, one in enumerate(cast("list[Any]", value))]
        if not isinstance(value, dict):
            return value
        tree = cast("dict[str, Any]", value)
        path = reference(tree)
        if path is None:
            return {name: self.data(one, pointer(at, name)) for name, one in tree.items()}
        found = find(path, self._facts)
        if found is MISSING and "default" not in tree:
            raise Unfilled(at, f"There is no {path}.")
        return tree["default"] if found is MISSING else found

    def line(self, text: str | None, at: str) -> str | None:
        """A text of one line, filled. Raises Unfilled."""
        return None if text is None else self.text(text, "line", at)

    def text(self, text: str, kind: Kind, at: str, locale: str | None = None) -> str:
        """A text, filled; one without tags stays as it is. Raises Unfilled."""
        if not _TAG.search(text):
            return text
        try:
            return compile_text(text, kind).render(self._names, Reader(locale or self._locale, self._zone))
        except DataError as lacking:
            name = lacking.pointer.removeprefix("/data/").replace("/", ".")
            raise Unfilled(at, f"{name}: {lacking.detail}") from None

    def prompt(self, prompt: Prompt) -> Prompt:
        """A prompt with its question filled. Raises Unfilled."""
        return msgspec.structs.replace(prompt, question=asked(prompt.question, self.text))

    def content(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Literal content, filled. Raises Unfilled."""
        return mapped(tree, self.text)


def mapped(tree: Mapping[str, Any], told: Told) -> dict[str, Any]:
    """Content with every text that people read put through `told` (text, what it is for, its place, its locale)."""
    made = dict(tree)
    for name, kind in _KINDS.items():
        value: Any = made.get(name)
        if isinstance(value, str):
            made[name] = told(value, kind, f"/content/{name}", None)
        elif isinstance(value, dict):
            made[name] = _by_locale(cast("dict[str, Any]", value), kind, f"/content/{name}", told)
    wechat = made.get("wechat")
    if isinstance(wechat, dict):
        made["wechat"] = _wechat(cast("dict[str, Any]", wechat), told)
    return made


def asked(question: Text | None, told: Told) -> Text | None:
    """The question of a prompt, in one language or in several, put through `told`."""
    if isinstance(question, dict):
        return _by_locale(question, "line", "/prompt/question", told)
    return None if question is None else told(question, "line", "/prompt/question", None)


def _by_locale(texts: Mapping[str, Any], kind: Kind, at: str, told: Told) -> dict[str, str]:
    return {locale: told(text, kind, pointer(at, locale), locale) for locale, text in texts.items()}


def _wechat(tree: Mapping[str, Any], told: Told) -> dict[str, Any]:
    made, at = dict(tree), "/content/wechat"
    if isinstance(made.get("url"), str):
        made["url"] = told(made["url"], "line", f"{at}/url", None)
    fields: dict[str, Any] = {}
    for name, given in cast("dict[str, Any]", made.get("data") or {}).items():
        here = pointer(f"{at}/data", name)
        value = cast("dict[str, Any]", given)["value"] if isinstance(given, dict) else given
        if isinstance(value, dict):
            fields[name] = {"value": _by_locale(cast("dict[str, Any]", value), "line", here, told)}
        else:
            fields[name] = {"value": told(value, "line", here, None)}
    if fields:
        made["data"] = fields
    return made


def reference(tree: Mapping[str, Any]) -> str | None:
    """The path that `{"event": "order_id"}` names, with its root; None: it is an ordinary object."""
    roots = [name for name in ROOTS if name in tree]
    if len(roots) != 1 or not tree.keys() <= _REFERENCE or not isinstance(tree[roots[0]], str):
        return None
    return f"{roots[0]}.{tree[roots[0]]}"


def filled_by_event(value: Any) -> bool:
    """Whether a value of `data` depends on the event or the customer."""
    if isinstance(value, str):
        return _TAG.search(value) is not None
    if isinstance(value, list):
        return any(map(filled_by_event, cast("list[Any]", value)))
    if not isinstance(value, dict):
        return False
    tree = cast("dict[str, Any]", value)
    return reference(tree) is not None or any(map(filled_by_event, tree.values()))


def without_open(found: Iterable[Problem], data: Mapping[str, Any]) -> list[Problem]:
    """Of what was found wrong with a rule's `data` as it stands, what doesn't depend on the event."""
    open_ = [pointer("/data", name) for name, value in data.items() if filled_by_event(value)]
    return [(at, detail) for at, detail in found if not any(at == one or at.startswith(f"{one}/") for one in open_)]


def data_problems(value: Any, at: str) -> Iterator[Problem]:
    """What is wrong with a rule's `data`, or with a part of it."""
    if isinstance(value, str):
        yield from text_problems(value, "text", at)
    elif isinstance(value, list):
        for n, one in enumerate(cast("list[Any]", value)):
            yield from data_problems(one, f"{at}/{n}")
    elif isinstance(value, dict):
        tree = cast("dict[str, Any]", value)
        path = reference(tree)
        if path is None:
            for name, one in tree.items():
                yield from data_problems(one, pointer(at, name))
        else:
            fault = path_problem(path)
            if fault is not None:
                yield pointer(at, path.partition(".")[0]), f"{path} {fault}"


def text_problems(text: str, kind: Kind, at: str) -> Iterator[Problem]:
    """What is wrong with one text."""
    try:
        unknown = compile_text(text, kind).needs - set(ROOTS)
    except TemplateError as wrong:
        yield at, str(wrong)
        return
    for name in sorted(unknown):
        yield at, f"{name} is not known here: there are event and customer, as in {{{{ event.order_id }}}}."


def content_problems(tree: Mapping[str, Any], at: str) -> list[Problem]:
    """What is wrong with the tags in literal content; what isn't text is somebody else's to judge."""
    found: list[Problem] = []

    def look(text: str, kind: Kind, place: str, _locale: str | None) -> str:
        found.extend(text_problems(text, kind, at + place))
        return text

    mapped(tree, look)
    return found


def prompt_problems(prompt: Prompt | None) -> list[Problem]:
    """What is wrong with the tags in a prompt's question."""
    found: list[Problem] = []

    def look(text: str, kind: Kind, place: str, _locale: str | None) -> str:
        found.extend(text_problems(text, kind, place))
        return text

    asked(None if prompt is None else prompt.question, look)
    return found


def sample(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Content as it may look once it is filled, to be checked like any other."""
    return mapped(tree, lambda text, _kind, _at, _locale: _TAG.sub("1", text))


def pointer(at: str, name: str) -> str:
    """A JSON pointer (RFC 6901) one step further."""
    return f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
