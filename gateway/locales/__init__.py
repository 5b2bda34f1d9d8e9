"""Words in four languages (en, zh-Hans, zh-Hant, el), as data, and how a person's words are made comparable with them."""

from __future__ import annotations

import tomllib
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).parent
_LONGEST: Final = 4000


@lru_cache(maxsize=64)
def table(name: str) -> dict[str, Any]:
    """The data file `<name>.toml` of this folder. Read once; modules read theirs when they are imported."""
    with (_FOLDER / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def fold(text: str) -> str:
    """The text without what people vary unknowingly: width, case, accents, invisible marks, runs of blanks.

    Line ends become blanks too. Only the first 4,000 characters count.
    """
    plain = unicodedata.normalize("NFKC", text[:_LONGEST]).casefold()
    bare = "".join(
        char
        for char in unicodedata.normalize("NFKD", plain)
        if unicodedata.category(char) not in ("Mn", "Me", "Cf", "Cs")
    )
    return " ".join(unicodedata.normalize("NFC", bare).split())


def wordlike(text: str) -> str:
    """Folded, and with letters and digits alone: signs and emoji become blanks, apostrophes vanish ("don't": "dont")."""
    kept = (char if char.isalnum() else "" if char in "'’ʼ" else " " for char in fold(text))
    return " ".join("".join(kept).split())


def is_han(text: str) -> bool:
    """True when the text has Chinese characters, so that words aren't set apart by blanks."""
    return any("\u3400" <= char <= "\u9fff" or char == "〇" for char in text)
