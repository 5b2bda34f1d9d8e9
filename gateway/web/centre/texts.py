"""The words of the preference centre, in every language of the public pages."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec

HERE: Final = Path(__file__).resolve().parent / "locales"


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a category is called, and what it is for."""

    title: str
    what: str


class Group:
    """Some texts by name; a name that isn't there is a bug and raises AttributeError."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def __getattr__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(name) from None

    def get(self, name: str) -> str | None:
        """A text whose name comes from outside; None where there is none."""
        return self._texts.get(name)

    def names(self) -> frozenset[str]:
        """Every name."""
        return frozenset(self._texts)


_GROUPS: Final = (
    *(
        "page",
        "home",
        "order",
        "channels",
        "inline",
        "kind",
        "quiet",
        "language",
        "address",
        "code",
        "lapsed",
        "stop",
        "data",
    ),
    *("ways", "verdicts", "forget", "done"),
)


class Texts:
    """All words of one language. `version` names this very state of them, for the ledger."""

    def __init__(self, language: str) -> None:
        raw = (HERE / f"{language}.toml").read_bytes()
        tree = msgspec.toml.decode(raw, type=dict[str, Any])
        self.language = language
        self.version = f"centre {language} {hashlib.blake2b(raw, digest_size=6).hexdigest()}"
        self.kinds: dict[str, Kind] = msgspec.convert(tree.pop("kinds"), dict[str, Kind])
        groups = {name: Group(msgspec.convert(tree.pop(name), dict[str, str])) for name in _GROUPS}
        if tree:
            raise ValueError(f"{language}.toml has unknown tables: {', '.join(tree)}")
        self.groups = groups
        self.page, self.home, self.order = groups["page"], groups["home"], groups["order"]
        self.channels, self.inline = groups["channels"], groups["inline"]
        self.kind, self.quiet = groups["kind"], groups["quiet"]
        self.wishes, self.address, self.code = groups["language"], groups["address"], groups["code"]
        self.lapsed, self.stop, self.data = groups["lapsed"], groups["stop"], groups["data"]
        self.ways, self.verdicts = groups["ways"], groups["verdicts"]
        self.forget, self.done = groups["forget"], groups["done"]

    def channel(self, name: str) -> str:
        """What a channel is called; a plug-in's by its own name."""
        return self.channels.get(name) or name.replace("_", " ").capitalize()

    def by(self, name: str) -> str:
        """A channel as it stands after "by"."""
        return self.inline.get(name) or self.channel(name)

    def kind_of(self, category: str) -> Kind:
        """What a category is called; one of the operator's own by its name."""
        known = self.kinds.get(category)
        name = category.replace("_", " ").replace("-", " ").capitalize()
        return known or Kind(name, self.kind.other.format(name=name))

    def listed(self, channels: tuple[str, ...] | list[str]) -> str:
        """Channels as a row of names."""
        return " → ".join(self.channel(name) for name in channels)

    def said(self, channels: tuple[str, ...] | list[str]) -> str:
        """Channels within a sentence."""
        return self.page.comma.join(self.by(name) for name in channels)


@functools.cache
def texts_in(language: str) -> Texts:
    """The words of one of `page_texts.languages()`."""
    return Texts(language)
