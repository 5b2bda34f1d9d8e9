"""How often a person may be written to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec


class Cap(msgspec.Struct, frozen=True):
    """At most `limit` messages in any `window` seconds."""

    limit: Annotated[int, msgspec.Meta(ge=0)]
    window: Annotated[int, msgspec.Meta(ge=1)]


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
