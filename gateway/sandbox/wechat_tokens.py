"""WeChat's access tokens: the plain kind, where each call makes a new one, and the stable kind."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from .clock import Clock

LIFETIME = 7200
OVERLAP = 300


class _Token(Struct):
    value: str
    expires: int


class Tokens:
    """Two isolated kinds of token; a replaced one stays valid for five minutes more."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self._clock = clock
        self._random = random
        self._valid: dict[str, int] = {}
        self._stable: _Token | None = None
        self._plain: _Token | None = None
        self.made = 0

    def plain(self) -> tuple[str, int]:
        """A new token and its life in seconds; the one before lives on for the overlap."""
        self._retire(self._plain)
        self._plain = self._make()
        return self._plain.value, LIFETIME

    def stable(self, *, force: bool) -> tuple[str, int]:
        """The current token while it is valid, renewed five minutes before its end or by ``force``."""
        left = (self._stable.expires - self._clock.now()) // 1000 if self._stable else 0
        if self._stable is None or force or left <= OVERLAP:
            self._retire(self._stable)
            self._stable = self._make()
            left = LIFETIME
        return self._stable.value, left

    def _make(self) -> _Token:
        self.made += 1
        token = _Token(f"{self._random.getrandbits(544):0136x}", self._clock.now() + LIFETIME * 1000)
        self._valid[token.value] = token.expires
        return token

    def _retire(self, token: _Token | None) -> None:
        if token is not None and token.value in self._valid:
            self._valid[token.value] = min(token.expires, self._clock.now() + OVERLAP * 1000)

    def expire_all(self) -> None:
        """Makes every token invalid at once, as when another system of the account fetched one."""
        self._valid.clear()
        self._stable = self._plain = None

    def fault(self, token: str) -> int | None:
        """The error code of a token that may not be used."""
        if not token:
            return 41001
        self._valid = {value: end for value, end in self._valid.items() if end > self._clock.now() - 3_600_000}
        expires = self._valid.get(token)
        if expires is None:
            return 40001
        return 42001 if expires <= self._clock.now() else None
