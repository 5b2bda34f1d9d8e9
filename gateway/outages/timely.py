"""Whether what a broadcast of an outage says still holds, so that more people may be told."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.broadcasts.nouns import Broadcast
from gateway.broadcasts.service import Broadcasts
from gateway.outages.nouns import Outage
from gateway.store.things import Shelf

OVER = "The outage has been resolved, and nobody more is told of it. If it is out again, begin a new outage."


class Timely:
    """Asked when somebody resumes a broadcast of an outage or tries some again. Methods raise StoreUnavailable."""

    def __init__(self, shelf: Shelf[Outage], broadcasts: Broadcasts) -> None:
        self._shelf = shelf
        self._broadcasts = broadcasts

    async def why_not(self, broadcast: Broadcast) -> str | None:
        """Why nobody more may be told by it, and what to do, in a sentence; None: they may."""
        outage = await self._shelf.load(self._shelf.place(broadcast.mode, broadcast.reference or ""))
        if outage is None:
            return OVER
        root = await self._root(broadcast)
        part = next((one for one in outage.parts if one.broadcast == root), None)
        if part is not None and part.kind == "all_clear":
            return None
        if outage.state != "active":
            return OVER
        newest = outage.newest.broadcast
        return None if root == newest else f"An update has taken its place. Try that one again: the broadcast {newest}."

    async def passed_over(self, broadcast: Broadcast, customers: Sequence[str]) -> Collection[str]:
        """Of those a retry is about to write to, all once it is out of date."""
        if broadcast.retry_of is None or await self.why_not(broadcast) is None:
            return ()
        return customers

    async def _root(self, broadcast: Broadcast) -> str:
        """The notice, update or all-clear that it repeats."""
        while broadcast.retry_of is not None:
            earlier = await self._broadcasts.load(broadcast.mode, broadcast.retry_of)
            if earlier is None:
                return broadcast.retry_of
            broadcast = earlier
        return broadcast.id
