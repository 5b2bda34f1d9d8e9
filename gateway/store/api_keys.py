"""API keys: `gw_<mode>_<id>_<secret>`. Only a keyed hash of the secret is kept, so a stolen database opens nothing."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from typing import Final, Literal, cast, get_args

import msgspec

from gateway.message import Mode
from gateway.store import keys
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts

Scope = Literal["send", "read", "customers", "operate", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
CACHED_MS: Final = 2_000
"""How long a revoked key may still be taken, at most."""

_KEY: Final = re.compile(r"gw_(live|team|test)_([a-z0-9]{6,40})_([A-Za-z0-9_-]{20,100})")
_CACHE_MOST: Final = 10_000
_TOMBSTONE_MS: Final = 2 * 86_400_000
"""A revoked key is remembered for longer than an Idempotency-Key, so that a repeated request can't bring it back."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a key. Times in ms; `rate` in requests per second (None: no limit of its own)."""

    id: str
    name: str
    mode: Mode
    scopes: tuple[Scope, ...]
    digest: bytes
    created_at: int
    expires_at: int | None = None
    rate: float | None = None
    revoked_at: int | None = None

    def may(self, scope: Scope) -> bool:
        """Whether the key has a scope; `admin` has them all."""
        return scope in self.scopes or "admin" in self.scopes


_decoder: Final = msgspec.msgpack.Decoder(ApiKey)


class ApiKeys:
    """Makes, finds and revokes keys. `pepper` is the secret key of the installation; `old_pepper` still verifies."""

    def __init__(self, scripts: Scripts, clock: Clock, pepper: bytes, old_pepper: bytes | None = None) -> None:
        self._scripts = scripts
        self._clock = clock
        self._peppers = (pepper,) if old_pepper is None else (pepper, old_pepper)
        self._cache: dict[str, tuple[bytes | None, int]] = {}

    async def create(
        self,
        name: str,
        mode: Mode,
        scopes: Sequence[Scope],
        *,
        expires_at: int | None = None,
        rate: float | None = None,
        text: str | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which is seen this once. `text`: one made beforehand by `new_text`.

        Creating the same text again changes nothing. Raises StoreUnavailable.
        """
        text = text or self.new_text(mode)
        match = _KEY.fullmatch(text)
        if match is None:
            raise ValueError("not the text of an API key")
        made = ApiKey(
            id=match[2],
            name=name,
            mode=mode,
            scopes=tuple(scope for scope in SCOPES if scope in scopes),
            digest=_digest(self._peppers[0], match[2], match[3]),
            created_at=self._clock.now(),
            expires_at=expires_at,
            # A float as it will be read again: a record is replaced only if its bytes are unchanged.
            rate=None if rate is None else float(rate),
        )
        record = msgspec.msgpack.encode(made)
        if not await self._scripts.urgent.send("HSETNX", keys.API_KEYS, made.id, record, durable=True):
            made = await self._read(made.id) or made
        self._cache.pop(made.id, None)
        return made, text

    @staticmethod
    def new_text(mode: Mode, seed: bytes | None = None) -> str:
        """The text of a new key: random, or the same for the same `seed`."""
        drawn = secrets.token_bytes(48) if seed is None else hashlib.shake_256(b"api key" + seed).digest(48)
        return f"gw_{mode}_{drawn[:8].hex()}_{drawn[8:40].hex()}"

    async def verify(self, text: str) -> ApiKey | None:
        """The key of that text, if it is known and not past its end. Looks at Redis at most every 2 s for each id."""
        match = _KEY.fullmatch(text)
        if match is None:
            return None
        stored = await self._stored(match[2])
        if stored is None:
            return None
        key = _decoder.decode(stored)
        fits = [hmac.compare_digest(key.digest, _digest(pepper, key.id, match[3])) for pepper in self._peppers]
        if not any(fits) or key.mode != match[1]:
            return None
        if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= self._clock.now()):
            return None
        if not fits[0]:
            await self._renew(key, match[3])
        return key

    async def listed(self) -> list[ApiKey]:
        """Every key that has not been revoked, newest first."""
        found = await self._scripts.urgent.send("HVALS", keys.API_KEYS)
        everything = [_decoder.decode(one) for one in found]
        for key in everything:
            if key.revoked_at is not None and key.revoked_at + _TOMBSTONE_MS < self._clock.now():
                await self._scripts.urgent.send("HDEL", keys.API_KEYS, key.id)
        current = [key for key in everything if key.revoked_at is None]
        return sorted(current, key=lambda key: (key.created_at, key.id), reverse=True)

    async def revoke(self, key_id: str) -> bool:
        """End a key; it is refused everywhere within 2 s. False: there is none of that id."""
        while (key := await self._read(key_id)) is not None and key.revoked_at is None:
            ended = msgspec.structs.replace(key, revoked_at=self._clock.now())
            if await self._swap(key, ended):
                self._cache.pop(key_id, None)
                return True
        return False

    async def _read(self, key_id: str) -> ApiKey | None:
        stored = await self._scripts.urgent.send("HGET", keys.API_KEYS, key_id)
        return None if stored is None else _decoder.decode(stored)

    async def _swap(self, old: ApiKey, new: ApiKey) -> bool:
        """Replace a record only while it is unchanged, so that a revoked key does not come back."""
        records = msgspec.msgpack.encode(old), msgspec.msgpack.encode(new)
        done, _held = await self._scripts.swap(keys.API_KEYS, old.id, *records, durable=True)
        return done

    async def _stored(self, key_id: str) -> bytes | None:
        now = self._clock.now()
        known = self._cache.get(key_id)
        if known is not None and 0 <= now - known[1] < CACHED_MS:
            return known[0]
        stored = cast("bytes | None", await self._scripts.urgent.send("HGET", keys.API_KEYS, key_id))
        if len(self._cache) >= _CACHE_MOST:
            self._cache.clear()
        self._cache[key_id] = (stored, now)
        return stored

    async def _renew(self, key: ApiKey, secret: str) -> None:
        """Move a key that still hangs on the old pepper to the new one, so that the old one can go."""
        renewed = msgspec.structs.replace(key, digest=_digest(self._peppers[0], key.id, secret))
        await self._swap(key, renewed)
        self._cache.pop(key.id, None)


def _digest(pepper: bytes, key_id: str, secret: str) -> bytes:
    return hmac.digest(pepper, f"api key {key_id} {secret}".encode(), hashlib.sha256)
