"""What channels and kinds of messages are called in a sentence to people, in their language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec

from gateway.locales import is_han, table
from gateway.preferences.locales import pick

_TRADITIONAL: Final = frozenset(
    "訂閱幫設簡電語無關閉們這個號碼發給訊話擾時間啟復調優廣銷請謝點別麼嗎進來對還應錢體為聯絡連問題"
)
"""Some characters that simplified texts don't have; of those alike in both, none."""


class Names(msgspec.Struct, frozen=True):
    """The names in one language. `between` stands between the channels of an order, `everything` for all messages."""

    channels: Mapping[str, str]
    plural: Mapping[str, str]
    categories: Mapping[str, str]
    words: Mapping[str, str]
    between: str
    everything: str

    def channel(self, name: str) -> str:
        """A channel; one of a plug-in goes by its own name."""
        return self.channels.get(name, name)

    def category(self, name: str) -> str:
        """A kind of message; one of the settings goes by its own name."""
        return self.categories.get(name, name.replace("_", " "))

    def word(self, name: str) -> str:
        """A keyword as it is written in that language."""
        return self.words.get(name, name.replace("_", " "))

    def listed(self, channels: Iterable[str]) -> str:
        """Several channels, in no order."""
        return ", ".join(self.channel(name) for name in channels)

    def many(self, channels: Iterable[str]) -> str:
        """What comes by several channels: "no more phone calls"."""
        return ", ".join(self.plural.get(name, self.channel(name)) for name in channels)


def names_in(language: str | None, default: str) -> Names:
    """The names in the language that suits best."""
    found = table("names")

    def of(part: str) -> Any:
        chosen = pick(cast("Mapping[str, Any]", found[part]), language, default)
        return chosen[1] if chosen is not None else found[part]["en"]

    return Names(of("channels"), of("plural"), of("categories"), of("words"), of("between"), of("all"))


def script_of(text: str, default: str) -> str:
    """The language of a text as far as its letters tell it: Greek, Chinese by its characters, else the default."""
    if is_han(text):
        return "zh-Hant" if any(char in _TRADITIONAL for char in text) else "zh-Hans"
    greek = any("\u0370" <= char <= "\u03ff" or "\u1f00" <= char <= "\u1fff" for char in text)
    return "el" if greek else default
