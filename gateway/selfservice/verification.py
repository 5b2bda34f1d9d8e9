"""Codes that prove that somebody reads what is sent to an address: six digits, ten minutes, five tries.

A code goes out as an ordinary message of category `code`, to that address alone, so withdrawals, allowed countries and
limits hold for it. Who asks for many gets none: every code costs money, and somebody may profit (toll fraud).
"""

from __future__ import annotations

import hmac
import re
import secrets
import unicodedata
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec

from gateway.customer import Address, Customer
from gateway.delivery.intake import Intake
from gateway.delivery.request import NewMessage, Recipient, Rejected
from gateway.delivery.room import NoRoom
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts

DIGITS: Final = 6
LIVES_S: Final = 600
TRIES: Final = 5
HOUR_MS: Final = 3_600_000
ADDRESS_LIMITS: Final = ((3, HOUR_MS), (8, 24 * HOUR_MS))
"""How many codes one address is sent in a time (ms), whoever asks."""
CUSTOMER_LIMITS: Final = ((5, HOUR_MS), (15, 24 * HOUR_MS))
"""How many codes are sent for one customer in a time (ms), wherever to."""
Purpose = Literal["open", "add"]
Revive = Callable[[str, str], Awaitable[None]]
"""Uses an address (channel, value) again that somebody has just proved theirs."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_CODE: Final = re.compile(r"[0-9]{6}")
_NOT_DIGITS: Final = re.compile(r"[\s.\-\u2010-\u2015]")
_OPEN: Final = """#!lua
-- KEYS: 1 challenge   ARGV: 1 lifetime in s, then fields and values
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return {'ok'}
"""
# The try is counted before the code is looked at, so that many at once are counted, too.
_TRY: Final = """#!lua flags=allow-oom
-- KEYS: 1 challenge   ARGV: 1 digest of the code 2 most tries
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
local tries = redis.call('HINCRBY', KEYS[1], 't', 1)
local f = redis.call('HMGET', KEYS[1], 'h', 'w')
if f[1] == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return {'right', f[2]}
end
local left = tonumber(ARGV[2]) - tries
if left <= 0 then
  redis.call('DEL', KEYS[1])
  return {'gone'}
end
return {'wrong', left}
"""


class Challenge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A code that is out: for whom, to which address, what for.

    `born`: when the customer was created (ms): of two who had the same id one after the other, it is for that one.
    `more`: other addresses that it proves too (the same number for calls); `instead`: the one it takes the place of.
    """

    customer: str
    purpose: Purpose
    address: Address
    more: tuple[Address, ...] = ()
    instead: Address | None = None
    born: int = 0


class Wrong(msgspec.Struct, frozen=True):
    """Not the code. `left`: how many tries there are; 0: none, the code is void or its time was over."""

    left: int


class TooMany(Exception):
    """No code was sent: too many have been. `until`: when there will be room again, ms."""

    def __init__(self, until: int) -> None:
        super().__init__("too many codes")
        self.until = until


class NotSent(Exception):
    """No code can be sent there. `code`: why, as a code of skipped channels, or `no_room`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Verification:
    """Sends codes and checks them. Methods raise StoreUnavailable."""

    def __init__(
        self,
        scripts: Scripts,
        clock: Clock,
        intake: Intake,
        pepper: bytes,
        address_key: Callable[[str], str],
        revive: Revive,
    ) -> None:
        """`pepper` keys the digests of codes, `address_key` hashes an address; `revive` hears of what is proved."""
        self._scripts = scripts
        self._clock = clock
        self._intake = intake
        self._pepper = pepper
        self._address_key = address_key
        self._revive = revive
        self._open, self._try = scripts.urgent.remember(_OPEN), scripts.urgent.remember(_TRY)

    async def begin(self, wanted: Challenge, *, language: str | None, time_zone: str | None) -> str:
        """Send a code; the challenge's id. `language` (BCP 47) is what it is written in. Raises TooMany, NotSent."""
        name, code = secrets.token_urlsafe(16), f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        await self._count(wanted, name)
        key = keys.challenge(name)
        fields = ("h", self._digest(name, code), "w", msgspec.msgpack.encode(wanted), "t", 0)
        await self._scripts.urgent.send("EVALSHA", self._open, 1, key, LIVES_S, *fields)
        try:
            await self._sent(wanted, code, language, time_zone)
        except NotSent:
            await self._scripts.urgent.send("DEL", key)
            raise
        return name

    async def look(self, name: str, customer: Customer, purpose: Purpose) -> Challenge | None:
        """A challenge of this customer that is still open."""
        raw = await self._scripts.urgent.send("HGET", keys.challenge(name), "w") if _ID.fullmatch(name) else None
        found = None if raw is None else msgspec.msgpack.decode(raw, type=Challenge)
        if found is None or (found.customer, found.purpose) != (customer.id, purpose):
            return None
        return found if found.born in (0, customer.created_at) else None

    async def check(self, name: str, customer: Customer, purpose: Purpose, given: str) -> Challenge | Wrong:
        """Try a code: the challenge it proves, once; else how many tries are left. What can't be a code costs none."""
        # Chinese keyboards give full-width digits.
        code = _NOT_DIGITS.sub("", unicodedata.normalize("NFKC", given[: 16 * DIGITS]))
        if await self.look(name, customer, purpose) is None:
            return Wrong(0)
        if not _CODE.fullmatch(code):
            return Wrong(TRIES - int(await self._scripts.urgent.send("HGET", keys.challenge(name), "t") or 0))
        digest = self._digest(name, code)
        answer = await self._scripts.urgent.send("EVALSHA", self._try, 1, keys.challenge(name), digest, TRIES)
        match answer[0]:
            case b"right":
                proved = msgspec.msgpack.decode(answer[1], type=Challenge)
                await self._revive(proved.address.channel, proved.address.value)
                return proved
            case b"wrong":
                return Wrong(int(answer[1]))
            case _:
                return Wrong(0)

    async def _count(self, wanted: Challenge, name: str) -> None:
        """Count a code against all limits, or against none. Raises TooMany."""
        at, hashed = keys.of_customer(wanted.customer), self._address_key(wanted.address.value)
        limits = [
            *((keys.address_uses(f"code{window}", hashed), most, window) for most, window in ADDRESS_LIMITS),
            *((at.uses(f"code{window}", wanted.customer), most, window) for most, window in CUSTOMER_LIMITS),
        ]
        for number, (key, most, window) in enumerate(limits):
            until = await self._scripts.use(key, most, window, name)
            if until is not None:
                for taken, _, _ in limits[:number]:
                    await self._scripts.unuse(taken, name)
                raise TooMany(until)

    async def _sent(self, wanted: Challenge, code: str, language: str | None, time_zone: str | None) -> None:
        to = Recipient(addresses=(wanted.address,), locale=language, time_zone=time_zone)
        data = {"code": code, "spoken": ", ".join(code), "minutes": LIVES_S // 60}
        reach = {"within": LIVES_S}
        try:
            new = NewMessage(category="code", recipient=to, template="code", data=data, reach=reach, proves=True)
            made, _ = await self._intake.accept("live", new, self._intake.origin())
        except Rejected:
            raise NotSent("no_template") from None
        except NoRoom:
            raise NotSent("no_room") from None
        if made.done and made.verdict.state != "reached":
            here = [one.why.code for one in made.skipped if one.channel == wanted.address.channel]
            raise NotSent(here[0] if here else made.verdict.code or "no_route")

    def _digest(self, name: str, code: str) -> bytes:
        return hmac.digest(self._pepper, f"{name} {code}".encode(), "sha256")
