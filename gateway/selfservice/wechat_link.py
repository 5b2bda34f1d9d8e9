"""Joins a person and their WeChat: by a code that they scan, or by signing in where they read our page inside WeChat.

A code holds a random token that stands for the person for a quarter of an hour and for one scan; in Redis it appears
hashed. Several people may be joined with one openid, as a family shares a phone; what is withdrawn there binds them all.
"""

from __future__ import annotations

import secrets
from typing import Final, Literal

import msgspec
import structlog

from gateway.channels.base import Channel, Inbound
from gateway.channels.wechat import WeChatChannel
from gateway.channels.wechat_account import Account, NotLinkedError
from gateway.customer import Address, ConsentEntry, Customer
from gateway.delivery.inbound import opened_at
from gateway.numbers import normalise
from gateway.people.parse import MOST_ADDRESSES
from gateway.preferences.consent import ANY, LIFTED, closed_by
from gateway.selfservice.autoreply import AutoReplies, Sender
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.scripts import Scripts

__all__ = ["Invitation", "NotLinkedError", "TooManyCodes", "WeChatLinks"]

CHANNEL: Final = "wechat"
LIVES_S: Final = 900
WORDING: Final = {
    "wechat_link": "Scanned the code of the preference page in WeChat.",
    "wechat_sign_in": "Signed in from the preference page within WeChat.",
}
MOST_AN_HOUR: Final = 20
HOUR_MS: Final = 3_600_000
WELCOME: Final = "auto-linked"
Standing = Literal["none", "linked", "left"]
_WAITS: Final = b"w"
_TAKEN: Final = b"t"

log = structlog.get_logger()


class TooManyCodes(Exception):
    """The person has asked for many codes within the hour."""


class Invitation(msgspec.Struct, frozen=True):
    """A code to be scanned: `url` is what it holds, `token` what it stands under here."""

    token: str
    url: str


class WeChatLinks:
    """Codes and sign-ins of one account. All methods raise StoreUnavailable. `name`: who we are, for the welcome.

    Without a WeChat account nothing is `offered`, and nobody is joined.
    """

    def __init__(
        self,
        channel: Channel | None,
        customers: Customers,
        replies: AutoReplies,
        scripts: Scripts,
        clock: Clock,
        name: str,
    ) -> None:
        self._account = channel.account if isinstance(channel, WeChatChannel) else None
        self._window = channel.traits.window if channel is not None else None
        self._customers = customers
        self._replies = replies
        self._scripts = scripts
        self._clock = clock
        self._name = name

    @property
    def offered(self) -> bool:
        """Whether there is an account to be joined with."""
        return self._account is not None

    async def begin(self, customer: str, born: int = 0) -> Invitation:
        """A new code for a person, for nobody else who has their id later (`born`: when they were created, ms). Raises NotLinkedError (WeChat gives none), TooManyCodes."""
        account, token = self._given(), secrets.token_hex(20)
        uses = keys.of_customer(customer).uses("wechat", customer)
        if await self._scripts.use(uses, MOST_AN_HOUR, HOUR_MS, token) is not None:
            raise TooManyCodes
        # Known to us before WeChat knows it: a scan can't come too early.
        await self._scripts.pipe.send(
            "SET", keys.invitation(token), _WAITS + f"{customer}\n{born}".encode(), "EX", LIVES_S
        )
        return Invitation(token, await account.qr_code(token, LIVES_S))

    async def waits(self, token: str) -> bool:
        """Whether nobody has scanned a code yet that is still good."""
        held = await self._scripts.pipe.send("GET", keys.invitation(token))
        return held is not None and held.startswith(_WAITS)

    async def taken(self, token: str) -> bool:
        """Whether somebody has scanned a code that is still good: they are joined in a moment."""
        held = await self._scripts.pipe.send("GET", keys.invitation(token))
        return held is not None and held.startswith(_TAKEN)

    async def scanned(self, inbound: Inbound) -> str | None:
        """Somebody scanned a code: who they are by now; None for codes that aren't ours, are used, or are too old.

        The same scan worked off again gives the same, so it may be called again with the same item.
        """
        claimed = await self._claimed(inbound.text, inbound.sender)
        if claimed is None:
            return None
        customer, _, born = claimed.partition("\n")
        if not await self._link(customer, int(born or 0), inbound, "wechat_link"):
            return None
        to = Sender(channel=CHANNEL, address=inbound.sender, customer=customer)
        because = f"{CHANNEL}\0{inbound.id}"
        await self._replies.send("live", to, WELCOME, {"name": self._name}, because=because, at=inbound.at)
        return customer

    def sign_in_url(self, back: str, state: str) -> str:
        """Where WeChat's own browser goes to sign in; it comes `back` with a code and `state` (letters and digits).

        Raises NotLinkedError.
        """
        return self._given().sign_in_url(back, state)

    async def signed_in(self, customer: str, code: str, born: int = 0, *, state: str) -> None:
        """Join a person with whoever a sign-in's code stands for; a `state` that WeChat brought back counts once.

        Raises NotLinkedError, KeyError when they are gone.
        """
        openid = await self._given().openid_of(code)
        if await self._scripts.pipe.send("SET", keys.invitation(state), _TAKEN, "NX", "EX", LIVES_S) is None:
            raise NotLinkedError("this sign-in has been used")
        at = self._clock.now()
        said = Inbound(id=code, channel=CHANNEL, sender=openid, kind="scan", at=at, opens=0)
        if not await self._link(customer, born, said, "wechat_sign_in"):
            raise NotLinkedError("no openid, or too many addresses")

    def standing(self, customer: Customer) -> Standing:
        """Whether a person is joined: by an address that is open, or only by one they left or closed."""
        held = [address.value for address in customer.addresses if address.channel == CHANNEL]
        shut = [value for value in held if self._left(customer, value)]
        return "none" if not held else "left" if len(shut) == len(held) else "linked"

    @staticmethod
    def _left(customer: Customer, openid: str) -> bool:
        pairs = closed_by(customer.consents, customer.keys.get(openid, ""))
        return (CHANNEL, ANY) in pairs or (ANY, ANY) in pairs

    def _given(self) -> Account:
        if self._account is None:
            raise NotLinkedError("no WeChat account here")
        return self._account

    async def _claimed(self, token: str, openid: str) -> str | None:
        """Whose code it is, for the first who scans it and for nobody else."""
        place, pipe = keys.invitation(token), self._scripts.pipe
        held: bytes | None = await pipe.send("GET", place)
        mine = _TAKEN + self._customers.address_key(openid).encode()
        if held is None or not held.startswith((_WAITS, mine)):
            return None
        if held.startswith(mine):
            return held[len(mine) :].decode()
        customer = held[len(_WAITS) :]
        before = await pipe.send("SET", place, mine + customer, "XX", "GET", "KEEPTTL")
        return customer.decode() if before == held else None

    async def _link(self, customer: str, born: int, said: Inbound, way: str) -> bool:
        """Add the openid to the person, with a line in the ledger; False when they are gone or can't have it."""
        try:
            openid = normalise(CHANNEL, said.sender)
        except ValueError:
            return False
        key = self._customers.address_key(openid)
        # It opens what this very openid closed, and is no consent to anything else.
        entry = ConsentEntry(CHANNEL, ANY, "granted", LIFTED + way, WORDING[way], said.at, address=key)
        opened = opened_at(said, self._window)

        def linked(known: Customer) -> tuple[Customer, list[ConsentEntry]] | None:
            if born not in (0, known.created_at):
                raise KeyError(customer)
            held = any((one.channel, one.value) == (CHANNEL, openid) for one in known.addresses)
            if not held and len(known.addresses) >= MOST_ADDRESSES:
                return None
            addresses = known.addresses if held else (*known.addresses, Address(CHANNEL, openid))
            wrote = max(opened, known.wrote_at.get(CHANNEL, 0))
            changed = msgspec.structs.replace(
                known, addresses=addresses, wrote_at={**known.wrote_at, CHANNEL: wrote}, changed_at=said.at
            )
            return changed, [] if entry in known.consents else [entry]

        try:
            person, _ = await self._customers.change(customer, linked)
        except KeyError:
            return False
        log.info("wechat_linked", customer=customer, way=way)
        return any((one.channel, one.value) == (CHANNEL, openid) for one in person.addresses)
