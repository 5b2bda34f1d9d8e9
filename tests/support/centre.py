"""A person at their preference centre: opens pages, presses buttons by their form's fields, reads what is said."""

from __future__ import annotations

import html
import re
from typing import Any, Final

import aiohttp
import msgspec

from gateway.app import Gateway
from gateway.content.content import Body
from gateway.customer import Customer
from gateway.links import PREFERENCES, preference_payload
from gateway.store.listing import Filter

ANA: Final[dict[str, Any]] = {
    "name": "Ana Pappas",
    "locale": "en",
    "time_zone": "Europe/Athens",
    "addresses": [
        {"channel": "sms", "value": "+306912345678"},
        {"channel": "voice", "value": "+306912345678"},
        {"channel": "email", "value": "ana@example.com", "label": "home"},
    ],
    "attributes": {"area": "Kypseli"},
}


class Visitor:
    """Somebody with a link, made when it is first used. `page`: the last one seen; `status`: its status."""

    def __init__(self, gateway: Gateway, session: aiohttp.ClientSession, customer: str = "ana") -> None:
        self.gateway = gateway
        self.session = session
        self.id = customer
        self.base = ""
        self.page = ""
        self.status = 0
        self.headers: dict[str, str] = {}

    async def look(self, path: str = "", **headers: str) -> str:
        """Open a page."""
        await self._ready()
        async with self.session.get(self.base + path, headers=_names(headers)) as answer:
            return await self._seen(answer)

    async def press(self, path: str, *, seen: str | None = None, follow: bool = True, **fields: str) -> str:
        """Send a form, as the page last seen would; the page that comes of it."""
        await self._ready()
        known = re.search(r'name="seen" value="(\w+)"', self.page)
        sent = {"seen": seen if seen is not None else known[1] if known else "", **fields}
        headers = {"Sec-Fetch-Site": "same-origin"}
        async with self.session.post(self.base + path, data=sent, headers=headers, allow_redirects=follow) as answer:
            if not follow:
                self.status, self.headers = answer.status, dict(answer.headers)
                return self.headers.get("Location", "")
            return await self._seen(answer)

    async def person(self) -> Customer:
        """The customer as stored."""
        found = await self.gateway.customers.load(self.id)
        assert found is not None
        return found[0]

    async def ledger(self) -> list[tuple[str, str, str, str]]:
        """The ledger: channel, category, state, way."""
        return [(e.channel, e.category, e.state, e.way) for e in await self.gateway.customers.ledger(self.id)]

    async def dry(self, category: str) -> dict[str, str]:
        """Where a message would go now: the channels to come, and why the others are skipped."""
        from gateway.delivery.request import NewMessage

        new = NewMessage(customer=self.id, category=category, content={"text": "x"})
        message, route = await self.gateway.intake.preview("live", new)
        return {step.channel: "yes" for step in route} | {one.channel: one.why.code for one in message.skipped}

    async def _ready(self) -> None:
        self.base = self.base or "/p/" + await token(self.gateway, self.id)

    async def _seen(self, answer: aiohttp.ClientResponse) -> str:
        self.page, self.status, self.headers = await answer.text(), answer.status, dict(answer.headers)
        return self.page


async def token(gateway: Gateway, customer: str, seconds: int = 3600, mode: str = "live") -> str:
    """What lets a person in."""
    found = await gateway.customers.load(customer)
    assert found is not None
    return gateway.links.sign(PREFERENCES, preference_payload(mode, customer, found[0].created_at), seconds)


def said(page: str, role: str = "alert") -> str:
    """What stands in an alert or a status, as text."""
    found = re.search(rf'role="{role}">(.*?)</(?:div|p)>', page, re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip() if found else ""


async def last_code(gateway: Gateway) -> tuple[str, Any]:
    """The newest code that was sent, and the message that carried it."""
    messages, _ = await gateway.listing.page("live", Filter(category="code"), 1, None)
    raw = await gateway.messages.body(messages[0])
    assert raw is not None
    return str(msgspec.msgpack.decode(raw, type=Body).data["code"]), messages[0]


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
