"""One kind word to who writes what isn't an answer: we have it, and somebody reads it.

Once a day and address, in the person's language, and only where a machine may speak: not to thanks, not to another machine,
not beside an answer that somebody of ours has written by hand.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.content.phrases import phrases, reply_instruction
from gateway.delivery.inbox import Listed
from gateway.locales import reading, table, wordlike
from gateway.prompts import Prompt
from gateway.selfservice.autoreply import CATEGORY, WITHIN_S, AutoReplies, Sender
from gateway.settings_types import Settings
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.listing import Filter, Listing
from gateway.store.scripts import Scripts

TEMPLATE: Final = "auto-heard"
DAY_MS: Final = 86_400_000
_LATEST: Final = 50
"""Of a day's messages of a customer, how many are looked through for an answer by hand."""
_MACHINES: Final = tuple(wordlike(words) for words in table("machines")["words"])


class Kindness:
    """Thanks people for their words. `thank` is a `delivery.inbound.Thanking`."""

    def __init__(
        self,
        replies: AutoReplies,
        customers: Customers,
        listing: Listing,
        scripts: Scripts,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._replies = replies
        self._customers = customers
        self._listing = listing
        self._scripts = scripts
        self._clock = clock
        self._default = settings.default_locale

    async def thank(self, customer: str, listed: Listed, waiting: Prompt | None) -> None:
        """Say it, and how to answer the question that is `waiting`; at most once a day to an address."""
        inbound = listed.item.inbound
        if self._clock.now() - inbound.at > WITHIN_S * 1000 or not wants_words(inbound.text):
            return
        if await self._answered_by_hand(customer) or not await self._first_today(inbound.sender, listed.id):
            return
        found = await self._customers.load(customer)
        language = (found[0].preferences.language or found[0].locale if found is not None else None) or self._default
        how = "" if waiting is None else reply_instruction(waiting, phrases(language, self._default))
        sender = Sender(channel=inbound.channel, address=inbound.sender, customer=customer)
        data: dict[str, Any] = {"how": how}
        await self._replies.send(
            "live", sender, TEMPLATE, data, because=f"heard\0{listed.id}", at=inbound.at, strangers=False
        )

    async def _answered_by_hand(self, customer: str) -> bool:
        """Whether one of ours writes with them: the conversation has a person in it."""
        lately = Filter(customer=customer, category=CATEGORY, since=self._clock.now() - DAY_MS)
        found, _ = await self._listing.page("live", lately, _LATEST, None)
        return any(message.metadata.get("automatic") is not True for message in found)

    async def _first_today(self, address: str, because: str) -> bool:
        place = keys.address_uses("heard", self._customers.address_key(address))
        return await self._scripts.use(place, 1, DAY_MS, because) is None


def wants_words(text: str) -> bool:
    """Whether a text asks for a word back: thanks and signs don't, and what a machine sends by itself never does."""
    said = wordlike(text)
    if not said or reading.acknowledges(text):
        return False
    return not any(words in said for words in _MACHINES)
