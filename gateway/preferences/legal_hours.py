"""The hours in which the law lets a marketing call or text arrive, by place.

United States: 8:00 to 21:00 where the called person is (47 CFR 64.1200(c)(1)); Florida, Oklahoma, Washington and
Maryland end at 20:00; Texas begins at 9:00, on Sundays at noon (Business and Commerce Code 301.051). Elsewhere 9:00
to 20:00, which no country we know of finds too wide on a working day. Not legal advice: operators with a stricter
duty narrow it with their customers' quiet hours.
"""

from __future__ import annotations

from typing import Final

Day = tuple[tuple[int, int], ...]
Week = tuple[Day, Day, Day, Day, Day, Day, Day]


def _daily(first: int, last: int, sunday: int | None = None) -> Week:
    """Full hours of every day, as minutes; `sunday`: Sundays begin at another hour."""
    day, rest = ((first * 60, last * 60),), (((first if sunday is None else sunday) * 60, last * 60),)
    return (day, day, day, day, day, day, rest)


_ELSEWHERE: Final = _daily(9, 20)
_US: Final = _daily(8, 21)
_US_UNTIL_20: Final = _daily(8, 20)
_TEXAS: Final = _daily(9, 21, sunday=12)

_US_COUNTRIES: Final = frozenset(("US", "AS", "GU", "MP", "PR", "VI"))
_STATES: Final[tuple[tuple[str, Week], ...]] = (
    ("239 305 321 324 352 386 407 448 561 645 656 689 727 728 754 772 786 813 850 863 904 941 954", _US_UNTIL_20),  # FL
    ("405 539 572 580 918", _US_UNTIL_20),  # OK
    ("206 253 360 425 509 564", _US_UNTIL_20),  # WA
    ("227 240 301 410 443 667", _US_UNTIL_20),  # MD
    ("210 214 254 281 325 346 361 409 430 432 469 512 621 682 713 726 737 806 817 830 832 903 915 936", _TEXAS),
    ("940 945 956 972 979", _TEXAS),
)
_BY_AREA_CODE: Final = {code: week for codes, week in _STATES for code in codes.split()}


def legal_hours(country: str | None, number: str) -> Week:
    """The hours for a number in E.164, Monday to Sunday, in minutes after local midnight.

    A mobile keeps its area code when its owner moves away: the area code is the best that is known.
    """
    if country not in _US_COUNTRIES:
        return _ELSEWHERE
    return _BY_AREA_CODE.get(number.removeprefix("+1")[:3], _US)
