"""What people do for themselves by words: HELP, PREF, a language, an order of channels, quiet hours; and the answers to STOP.

Withdrawals have been written by the time these are called. What somebody asks for is done first and said then; done
again for the same item it changes nothing and says nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from email.utils import parseaddr
from typing import Any, Final

from gateway.channels.base import Channel, Inbound
from gateway.content.content import Body, Template
from gateway.content.links import Links as NoLinks
from gateway.content.render import render
from gateway.content.words import Rendered
from gateway.customer import Customer
from gateway.delivery.inbound import opened_at
from gateway.delivery.inbox import Item
from gateway.links import PREFERENCES, Links, preference_payload
from gateway.people.people import Invalid, People
from gateway.preferences.consent import ANY, in_force
from gateway.preferences.keywords import Keyword
from gateway.selfservice.autoreply import AutoReplies, Sender
from gateway.selfservice.names import Names, names_in, script_of
from gateway.settings_types import Settings
from gateway.store.customers import ONE_OFF, Customers
from gateway.store.templates import Templates

LINK_LIVES_S: Final = 7 * 86_400
STOPPED: Final = "stopped"


class Commands:
    """Carries out what a keyword asks for. `channels`: those that live messages go by."""

    def __init__(
        self,
        people: People,
        customers: Customers,
        replies: AutoReplies,
        templates: Templates,
        links: Links,
        settings: Settings,
        channels: Mapping[str, Channel],
    ) -> None:
        self._people = people
        self._customers = customers
        self._replies = replies
        self._templates = templates
        self._links = links
        self._default = settings.default_locale
        self._sender_name = _sender_name(settings)
        self._channels = channels

    async def steer(self, item: Item, word: Keyword) -> str | None:
        """Do what a keyword asks for; the outcome. `delivery.inbound.Steering`."""
        match word.kind:
            case "stop":
                await self._stopped(item, word)
            case "start":
                await self._started(item, word)
            case "help":
                await self._tell(item, "auto-help", {"name": self._sender_name, "link": await self._link(item)})
                return "help"
            case "preferences":
                await self._preferences(item)
                return "preferences"
            case "language":
                await self._language(item, word.value or self._default)
                return "language"
            case "order":
                await self._order(item, word)
                return "preferences"
            case "quiet":
                await self._quiet(item, word)
                return "preferences"
            case "unclear":
                await self._tell(item, "auto-unclear", {"about": word.value or "order"})
                return "unclear"
            case _:
                return None
        return "consent"

    async def farewell(self, inbound: Inbound, word: Keyword) -> str | None:
        """The one confirmation of STOP, to go back with the answer to it; None when it has just been said."""
        because = f"{inbound.channel}\0{inbound.id}"
        if not await self._replies.may_tell(inbound.sender, f"{STOPPED}\0{word.kind}", because):
            return None
        owners = await self._customers.owners(inbound.sender)
        found = await self._customers.load(owners[0]) if len(owners) == 1 else None
        language = self._language_of(found[0] if found else None, inbound.text)
        names = names_in(language, self._default)
        name = "auto-stop-all" if word.kind == "stop_all" else "auto-stop"
        template = await self._templates.get(name)
        data = {"channel": names.channel(inbound.channel), "start": names.word("start")}
        return None if template is None else self._text(template, data, language)

    # What was taken back and given back

    async def _stopped(self, item: Item, word: Keyword) -> None:
        """No more of one kind, or by another channel: this one is open still, so it is said there."""
        if word.category is None and not word.channels:
            return  # the answer to the text itself said so
        names = await self._names(item)
        start = names.word("start")
        if word.category is not None:
            what, undo = names.category(word.category), f"{start} {names.word(word.category)}"
        else:
            what, undo = names.many(word.channels), start
        await self._tell(item, "auto-stop-some", {"what": what, "undo": undo})

    async def _started(self, item: Item, word: Keyword) -> None:
        for kind in ("stop", "stop_all"):
            await self._replies.may_tell_again(item.inbound.sender, f"{STOPPED}\0{kind}")
        if word.category is not None:
            await self._switch_on(item, word.category)
        names = await self._names(item)
        what = names.category(word.category) if word.category is not None else names.everything
        # Nobody is written to whom we don't know, only because they say that they may be.
        left = ", ".join([] if word.category is not None else await self._still_off(item, names))
        await self._tell(item, "auto-start", {"what": what, "left": left, "stop": names.word("stop")}, strangers=False)

    async def _still_off(self, item: Item, names: Names) -> list[str]:
        """The kinds of messages that they have switched off by name, which START alone leaves so."""
        found = await self._customers.load(str(item.customer)) if _known(item.customer) else None
        off = sorted({one.category for one in in_force(found[0].consents if found else ())} - {ANY})
        return [names.category(name) for name in off]

    async def _switch_on(self, item: Item, category: str) -> None:
        """Their own later word on a category that was switched off elsewhere, if nobody else writes from that address."""
        owners = await self._customers.owners(item.inbound.sender)
        if [name for name in owners if _known(name)] != [item.customer]:
            return
        try:
            await self._people.choose(
                str(item.customer), category, on=True, way="keyword", wording=item.inbound.text, at=item.inbound.at
            )
        except (Invalid, KeyError):
            return  # no such category here, or erased meanwhile

    # What is wished for

    async def _preferences(self, item: Item) -> None:
        link = await self._link(item)
        await self._tell(item, "auto-preferences" if link else "auto-unknown", {"link": link} if link else {})

    async def _language(self, item: Item, locale: str) -> None:
        done = await self._change(item, lambda wishes: {**wishes, "language": locale})
        await self._tell(item, "auto-language" if done else "auto-unknown", {}, locale=locale)

    async def _order(self, item: Item, word: Keyword) -> None:
        """Set the order, unless nobody could be reached by it at all."""
        found = await self._customers.load(str(item.customer)) if _known(item.customer) else None
        names = await self._names(item)
        if found is None:
            await self._tell(item, "auto-unknown", {})
            return
        channels = list(word.channels)
        has = {address.channel for address in found[0].addresses}
        missing = names.listed(name for name in channels if name not in has)
        if not has & set(channels):
            await self._tell(item, "auto-no-address", {"missing": missing})
            return
        await self._change(item, lambda wishes: _ordered(wishes, word.category, channels))
        what = names.category(word.category) if word.category is not None else names.everything
        order = names.between.join(names.channel(name) for name in channels)
        await self._tell(item, "auto-order", {"what": what, "order": order, "missing": missing})

    async def _quiet(self, item: Item, word: Keyword) -> None:
        start, end = (word.hours.start, word.hours.end) if word.hours is not None else (None, None)
        hours = {"start": start, "end": end} if start and end else None
        done = await self._change(item, lambda wishes: {**wishes, "quiet_hours": hours})
        data = {"start": start or "", "end": end or ""}
        await self._tell(item, "auto-quiet" if done else "auto-unknown", data if done else {})

    async def _change(self, item: Item, wishes: Callable[[Mapping[str, Any]], dict[str, Any]]) -> bool:
        """Change the preferences of whoever wrote; False when nobody knows who that is."""
        if not _known(item.customer):
            return False
        try:
            await self._people.change_preferences(
                str(item.customer), wishes, way="keyword", wording=item.inbound.text, by_person=True
            )
        except KeyError:
            return False
        return True

    # What is said

    async def _tell(
        self,
        item: Item,
        template: str,
        data: Mapping[str, Any],
        locale: str | None = None,
        *,
        strangers: bool = True,
    ) -> None:
        inbound = item.inbound
        to = Sender(
            channel=inbound.channel,
            address=inbound.sender,
            customer=item.customer,
            locale=locale or script_of(inbound.text, self._default),
        )
        await self._replies.send(
            item.mode,
            to,
            template,
            data,
            because=f"{inbound.channel}\0{inbound.id}",
            at=inbound.at,
            wrote_at=self._opened(inbound),
            strangers=strangers,
        )

    def _opened(self, inbound: Inbound) -> int | None:
        """When a stranger's reply window began to count; None where there is none."""
        channel = self._channels.get(inbound.channel)
        window = channel.traits.window if channel is not None else None
        return None if window is None else opened_at(inbound, window)

    async def _link(self, item: Item) -> str:
        """The page of whoever wrote, for those whose own address it is: a link lets in whoever reads it."""
        found = await self._customers.load(str(item.customer)) if _known(item.customer) else None
        if found is None or all(address.value != item.inbound.sender for address in found[0].addresses):
            return ""
        # Until a time that follows from the item, so that it is the same link whenever it is made.
        ends = item.inbound.at + LINK_LIVES_S * 1000
        payload = preference_payload("live", found[0].id, found[0].created_at)
        return self._links.url_until("p", PREFERENCES, payload, ends)

    async def _names(self, item: Item) -> Names:
        found = await self._customers.load(item.customer) if item.customer is not None else None
        return names_in(self._language_of(found[0] if found else None, item.inbound.text), self._default)

    def _language_of(self, customer: Customer | None, text: str) -> str:
        own = None if customer is None else customer.preferences.language or customer.locale
        return own or script_of(text, self._default)

    def _text(self, template: Template, data: Mapping[str, Any], language: str) -> str | None:
        made = render(
            Body(template=template, data=dict(data)),
            "sms",
            language=language,
            default_locale=self._default,
            time_zone="UTC",
            prompt=None,
            links=NoLinks(message=""),
            voices=lambda _language: False,
            default_wechat_template=None,
            in_window=True,
            carries_unsubscribe=False,
        )
        return made.text if isinstance(made, Rendered) else None


def _known(customer: str | None) -> bool:
    """Whether somebody's wishes may be changed: a stranger, and whoever was only written to once, have none."""
    return customer is not None and not customer.startswith(ONE_OFF)


def _ordered(wishes: Mapping[str, Any], category: str | None, channels: list[str]) -> dict[str, Any]:
    if category is None:
        return {**wishes, "channels": channels}
    categories = dict(wishes.get("categories") or {})
    categories[category] = {**categories.get(category, {}), "channels": channels}
    return {**wishes, "categories": categories}


def _sender_name(settings: Settings) -> str:
    """Who writes: the brand's name, else the one on our e-mails, else the host of our links."""
    mail = settings.smtp.email_from if settings.smtp is not None else ""
    return settings.brand.name or parseaddr(mail)[0] or settings.public_url.partition("://")[2].partition("/")[0]
