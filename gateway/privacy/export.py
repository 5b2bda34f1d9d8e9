"""Everything that is held on a person, for themselves and for whoever answers them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.delivery.inbox import InboundItems, Listed, Wanted
from gateway.delivery.words import unpack
from gateway.message import Message
from gateway.people.people import People
from gateway.privacy.certificate import Kept
from gateway.settings_types import Settings
from gateway.store.erasing import MODES
from gateway.store.listing import Filter, Listing
from gateway.store.messages import Messages

_PAGE: Final = 200


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is held on a person: profile, preferences and ledger as they are shown; their messages in all modes, newest
    first, and what each says (None past its retention); what came in from them; how long each is kept.
    """

    profile: dict[str, Any]
    preferences: dict[str, Any]
    consents: dict[str, Any]
    messages: list[Message]
    contents: dict[str, Any]
    inbound: list[Listed]
    kept: list[Kept]


class Holdings:
    """Collects what is held. Raises StoreUnavailable."""

    def __init__(
        self,
        people: People,
        messages: Messages,
        listing: Listing,
        items: InboundItems,
        settings: Settings,
    ) -> None:
        keep_records, keep_content = settings.retention_message_days, settings.retention_content_days
        self._people = people
        self._messages = messages
        self._listing = listing
        self._items = items
        self._kept = [
            Kept("customer, preferences, consents", "To write to you as you wish.", "until you are forgotten"),
            Kept("messages", "To answer whether and how you were reached.", f"{keep_records} days after each ended"),
            Kept(
                "contents", "What a message says, for its links and repeats.", f"{keep_content} days after each ended"
            ),
            Kept("inbound", "What you wrote, for whoever answers you.", f"{keep_content} days"),
        ]

    async def of(self, customer: str) -> Held | None:
        """Everything held on a customer; None when there is nobody of that id."""
        profile = await self._people.view(customer)
        wishes = await self._people.preferences(customer)
        ledger = await self._people.consents(customer)
        if profile is None or wishes is None or ledger is None:
            return None
        messages = await self._every_message(customer)
        return Held(
            profile=profile.view,
            preferences=wishes.view,
            consents=ledger,
            messages=messages,
            contents={message.id: await self._content(message) for message in messages},
            inbound=await self._every_item(customer),
            kept=self._kept,
        )

    async def _every_message(self, customer: str) -> list[Message]:
        found: list[Message] = []
        for mode in MODES:
            page, cursor = await self._listing.page(mode, Filter(customer=customer), _PAGE, None)
            found += page
            while cursor is not None:
                page, cursor = await self._listing.page(mode, Filter(customer=customer), _PAGE, cursor)
                found += page
        return found

    async def _content(self, message: Message) -> Any:
        raw = await self._messages.body(message)
        return None if raw is None else msgspec.to_builtins(unpack(raw))

    async def _every_item(self, customer: str) -> list[Listed]:
        found: list[Listed] = []
        for mode in MODES:
            page, cursor = await self._items.page(mode, Wanted(customer=customer), _PAGE, None)
            found += page
            while cursor is not None:
                page, cursor = await self._items.page(mode, Wanted(customer=customer), _PAGE, cursor)
                found += page
        return found
