"""Which cases there are, by what is known of them."""

from __future__ import annotations

import msgspec

from gateway.cases.nouns import Case, Status
from gateway.cases.records import ALL, BY, OVERDUE
from gateway.message import Mode
from gateway.store.things import Shelf


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases to list; None: whatever it is."""

    owner: str | None = None
    status: Status | None = None
    customer: str | None = None
    kind: str | None = None
    overdue: bool | None = None


async def page(
    shelf: Shelf[Case], mode: Mode, wanted: Found, limit: int, cursor: str | None
) -> tuple[list[Case], str | None]:
    """A page of cases, the newest first, and the cursor of the next. Raises ValueError for a bad cursor.

    The shortest list that has them all is read, and what doesn't fit is passed over.
    """
    values = {name: value for name in BY if (value := getattr(wanted, name)) is not None}
    listed = next(((f"{ALL}.{name}", value) for name, value in values.items()), (ALL, ""))
    if wanted.overdue and wanted.customer is None:
        listed = OVERDUE, ""

    def fits(case: Case) -> bool:
        late = wanted.overdue is None or wanted.overdue == (case.under_way and case.overdue_at is not None)
        return late and all(getattr(case, name) == value for name, value in values.items())

    found: list[Case] = []
    while True:
        some, cursor = await shelf.page(mode, listed[0], limit - len(found), cursor, value=listed[1])
        found += filter(fits, some)
        if cursor is None or len(found) == limit:
            return found, cursor


async def everything(shelf: Shelf[Case], mode: Mode, name: str, value: str) -> list[Case]:
    """All cases of a list, the newest first."""
    found: list[Case] = []
    cursor: str | None = None
    while True:
        some, cursor = await shelf.page(mode, name, 200, cursor, value=value)
        found += some
        if cursor is None:
            return found
