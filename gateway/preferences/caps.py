"""How often a person may be written to: per category, and over several of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

_UNITS: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))


class Cap(msgspec.Struct, frozen=True):
    """At most `limit` messages in any `window` seconds."""

    limit: Annotated[int, msgspec.Meta(ge=0)]
    window: Annotated[int, msgspec.Meta(ge=1)]

    def __str__(self) -> str:
        """For people: "2 in 7 days"."""
        size, unit = next(((size, unit) for size, unit in _UNITS if self.window % size == 0), (1, "second"))
        many = self.window // size
        return f"{self.limit} in {many} {unit}{'' if many == 1 else 's'}"


class SharedCap(Cap, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One count for several categories. `categories` None: all but those that must never wait for it."""

    categories: tuple[str, ...] | None = None


class Counted(msgspec.Struct, frozen=True):
    """A cap that a message counts against. `key`: under which its uses are kept; `name`: of a shared one, else None."""

    key: str
    cap: Cap
    name: str | None = None


def room_at(uses: Sequence[int], cap: Cap, now: int) -> int | None:
    """When one more message fits under the cap, in ms; None: now.

    `uses` are the times (ms) the cap was used, in any order. A use counts for exactly `window` seconds; one from the
    future, seen after a clock was set back, counts too. A limit below one never has room: look again in a window's time.
    """
    window = cap.window * 1000
    counted = sorted(use for use in uses if use > now - window)
    if len(counted) < cap.limit:
        return None
    return counted[len(counted) - cap.limit] + window if cap.limit > 0 else now + window
