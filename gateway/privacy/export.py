"""Everything that is held on a person, for themselves and for whoever answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from gateway.delivery.inbox import InboundItems, Listed, Wanted
from gateway.delivery.thread import Post, Threads
from gateway.delivery.words import unpack
from gateway.message import Message, Mode
from gateway.people.people import People
from gateway.privacy.certificate import Kept
from gateway.settings_types import Settings
from gateway.store.erasing import MODES
from gateway.store.listing import Filter, Listing
from gateway.store.messages import Messages

_PAGE: Final = 200
T = TypeVar("T")


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is held on a person: profile, preferences and ledger as they are shown; their messages in all modes, newest
    first, and what each says (None past its retention); what came in from them; their timeline; what services keep of
    them, by kind; how long each is kept.
    """

    profile: dict[str, Any]
    preferences: dict[str, Any]
    consents: dict[str, Any]
    messages: list[Message]
    contents: dict[str, Any]
    inbound: list[Listed]
    timeline: list[Post]
    things: dict[str, list[dict[str, Any]]]
    kept: list[Kept]


class Holdings:
    """Collects what is held. Raises StoreUnavailable."""

    def __init__(
        self,
        people: People,
        messages: Messages,
        listing: Listing,
        items: InboundItems,
        threads: Threads,
        settings: Settings,
        things: Callable[[str], Awaitable[dict[str, list[dict[str, Any]]]]],
    ) -> None:
        self._things = things
        keep_records, keep_content = settings.retention_message_days, settings.retention_content_days
        self._people = people
        self._messages = messages
        self._listing = listing
        self._items = items
        self._threads = threads
        self._kept = [
            Kept("customer, preferences, consents", "To write to you as you wish.", "until you are forgotten"),
            Kept("messages", "To answer whether and how you were reached.", f"{keep_records} days after each ended"),
            Kept(
                "contents", "What a message says, for its links and repeats.", f"{keep_content} days after each ended"
            ),
            Kept("inbound", "What you wrote, for whoever answers you.", f"{keep_content} days"),
            Kept("timeline", "What happened, for whoever answers you.", f"{settings.retention_timeline_days} days"),
        ]

    async def of(self, customer: str) -> Held | None:
        """Everything held on a customer; None when there is nobody of that id."""
        profile = await self._people.view(customer)
        wishes = await self._people.preferences(customer)
        ledger = await self._people.consents(customer)
        if profile is None or wishes is None or ledger is None:
            return None
        ours, theirs = Filter(customer=customer), Wanted(customer=customer)
        messages = await _every(lambda mode, cursor: self._listing.page(mode, ours, _PAGE, cursor))
        return Held(
            profile=profile.view,
            preferences=wishes.view,
            consents=ledger,
            messages=messages,
            contents={message.id: await self._content(message) for message in messages},
            inbound=await _every(lambda mode, cursor: self._items.page(mode, theirs, _PAGE, cursor)),
            timeline=await self._timeline(customer),
            things=await self._things(customer),
            kept=self._kept,
        )

    async def _timeline(self, customer: str) -> list[Post]:
        found, cursor = await self._threads.page(customer, None, _PAGE, None)
        while cursor is not None:
            some, cursor = await self._threads.page(customer, None, _PAGE, cursor)
            found += some
        return found

    async def _content(self, message: Message) -> Any:
        raw = await self._messages.body(message)
        return None if raw is None else msgspec.to_builtins(unpack(raw))


async def _every(page: Callable[[Mode, str | None], Awaitable[tuple[list[T], str | None]]]) -> list[T]:
    """What all pages of all modes hold, in their order. `page` takes the cursor of the page before (None: none)."""
    found: list[T] = []
    for mode in MODES:
        some, cursor = await page(mode, None)
        found += some
        while cursor is not None:
            some, cursor = await page(mode, cursor)
            found += some
    return found
