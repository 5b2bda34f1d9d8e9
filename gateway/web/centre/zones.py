"""Time zones as people choose them: by continent, under the name of a city, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, cast
from zoneinfo import available_timezones

from babel.core import get_global
from babel.dates import get_timezone_location

from gateway.content.filters import babel_locale

_CONTINENTS: Final = {
    "Africa": "002",
    "America": "019",
    "Antarctica": "AQ",
    "Asia": "142",
    "Australia": "009",
    "Europe": "150",
    "Pacific": "009",
    "Atlantic": "001",
    "Indian": "001",
}
"""First part of a zone's name -> the area it stands under (UN M49, as CLDR names them)."""

Choices = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@lru_cache(maxsize=8)
def choices(language: str) -> Choices:
    """Areas with their zones, (zone, city); names that only stand for another zone are left out."""
    aliases = get_global("zone_aliases")
    areas = cast("Mapping[str, str]", babel_locale(language).territories)
    found: dict[str, list[tuple[str, str]]] = {}
    for zone in available_timezones():
        area = _CONTINENTS.get(zone.partition("/")[0])
        if area is not None and zone not in aliases:
            name = areas.get(area, area)
            found.setdefault(name[:1].upper() + name[1:], []).append((zone, city(zone, language)))
    return tuple((name, tuple(sorted(found[name], key=lambda one: one[1]))) for name in sorted(found))


@lru_cache(maxsize=4096)
def city(zone: str, language: str) -> str:
    """What people call a time zone."""
    return str(get_timezone_location(zone, locale=babel_locale(language), return_city=True) or zone)


def listed(zone: str, language: str) -> bool:
    """Whether a zone is among the choices."""
    return any(zone == one for _, places in choices(language) for one, _ in places)
