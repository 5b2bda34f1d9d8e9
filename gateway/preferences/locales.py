"""Which language a person is written to in (BCP 47)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeVar

from babel.core import Locale, get_global

T = TypeVar("T")

_TAG: Final = re.compile(r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|[0-9]{3}))?")
_LONGEST: Final = 35
_TRADITIONAL: Final = frozenset(("HK", "MO", "TW"))
_LAST: Final = "en"
_ENGLISH: Final = Locale("en")


def valid_locale(tag: str) -> str:
    """The tag in its canonical form: `zh_hk` becomes `zh-HK`, `el-cy` `el-CY`, the old `iw` `he`.

    A language, a script and a territory are understood. Raises ValueError, with what to write instead, for anything
    else and for names that don't exist.
    """
    found = _TAG.fullmatch(tag.strip().replace("_", "-")) if len(tag) <= _LONGEST else None
    if found is None:
        raise ValueError(f"must be a language tag such as en, el-CY or zh-Hans, not {tag[:_LONGEST]!r}")
    language, script, territory = found[1].lower(), (found[2] or "").title(), (found[3] or "").upper()
    language = get_global("language_aliases").get(language, language)
    territory = next(iter(get_global("territory_aliases").get(territory, ())), territory)
    if language not in _ENGLISH.languages:
        raise ValueError(f"{found[1]!r} is no language code: write a tag such as en, el-CY or zh-Hans")
    if script and script not in _ENGLISH.scripts:
        raise ValueError(f"{found[2]!r} is no script code: write a tag such as zh-Hans or zh-Hant")
    if territory and territory not in _ENGLISH.territories:
        raise ValueError(f"{found[3]!r} is no country code: write a tag such as en, el-CY or zh-HK")
    return "-".join(part for part in (language, script, territory) if part)


def chain(wanted: str | None, default: str) -> tuple[str, ...]:
    """The tags to look for, best first: the one wanted, its wider ones, the default with its wider ones, English.

    Chinese goes by script: Hong Kong, Macau and Taiwan read traditional, all others simplified. Tags that can't be
    read are passed over.
    """
    return tuple(dict.fromkeys([*_family(wanted), *_family(default), _LAST]))


def pick(table: Mapping[str, T], wanted: str | None, default: str) -> tuple[str, T] | None:
    """The entry that suits best, with its key as it stands in the table; None when none suits.

    An entry for a narrower tag serves its wider one: a text for `en-GB` is English for anybody.
    """
    exact = {_canonical(key): key for key in reversed(list(table))}
    wider = {family: key for key in reversed(list(table)) for family in _family(key)}
    for tag in chain(wanted, default):
        key = exact.get(tag) or wider.get(tag)
        if key is not None:
            return key, table[key]
    return None


def _family(tag: str | None) -> tuple[str, ...]:
    """The tag and its wider ones; nothing for None or a tag that can't be read."""
    return _wider(tag) if tag and len(tag) <= _LONGEST else ()


@lru_cache(maxsize=4096)
def _wider(tag: str) -> tuple[str, ...]:
    try:
        whole = valid_locale(tag)
    except ValueError:
        return ()
    parts = whole.split("-")
    language, script = parts[0], next((part for part in parts[1:] if len(part) == 4), None)
    if language in ("zh", "yue"):
        traditional = not _TRADITIONAL.isdisjoint(parts) or language == "yue"
        script = script or ("Hant" if traditional else "Hans")
        return tuple(dict.fromkeys((whole, f"zh-{script}", "zh")))
    narrower = (f"{language}-{script}",) if script else ()
    return tuple(dict.fromkeys((whole, *narrower, language)))


def _canonical(tag: str) -> str:
    return next(iter(_family(tag)), tag)
