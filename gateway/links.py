"""Signed links: who may open a public page, what for, and until when.

A token names its subject in the clear, ends at a time, and holds for one purpose alone. It is kept short, because it
travels by SMS: 128 bits of HMAC-SHA256 (truncation: RFC 2104, section 5), written in base64url.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable
from typing import Final

from itsdangerous import BadSignature, Signer
from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import SigningAlgorithm

MESSAGE: Final = "message"
ANSWER: Final = "answer"
UNSUBSCRIBE: Final = "unsubscribe"
PREFERENCES: Final = "preferences"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASE36: Final = re.compile(r"[0-9a-z]{1,9}")
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST: Final = 2048


def preference_payload(mode: str, customer: str, born: int) -> str:
    """What a link to a preference centre is for; `born`: when the customer was created (ms).

    Of two who had the same id one after the other, it is for that one. The link of a message that isn't live names its
    mode: it shows, and changes nothing.
    """
    whose = f"{customer}-{_base36(born)}"
    return whose if mode == "live" else f"{mode}/{whose}"


def preference_subject(payload: str) -> tuple[str, str, int]:
    """Mode of such a link, its customer, and when they were created (ms). Raises BadLink."""
    mode, slash, whose = payload.rpartition("/")
    customer, _, born = whose.rpartition("-")
    if not customer or not _BASE36.fullmatch(born):
        raise BadLink
    return mode if slash else "live", customer, int(born, 36)


def message_payload(message: str, channel: str | None) -> str:
    """What a link to a message's page is for; `channel`: the one whose words carry the link."""
    return message if channel is None else f"{message}-{channel}"


def message_subject(payload: str) -> tuple[str, str | None]:
    """The message of such a link, and the channel that brought it; None: it doesn't say."""
    message, _, channel = payload.partition("-")
    return message, channel or None


class BadLink(Exception):
    """The token was not made by us for this purpose, or has been changed."""


class LapsedLink(BadLink):
    """The token was good once; its time is over. `payload`: what it was for."""

    def __init__(self, payload: str = "") -> None:
        super().__init__("its time is over")
        self.payload = payload


class _Short(SigningAlgorithm):
    """The first 16 bytes of the digest."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")[:16]


class Links:
    """Makes and reads tokens. `old_key` still reads; `clock` gives ms since the epoch."""

    def __init__(self, base: str, key: bytes, old_key: bytes | None, clock: Callable[[], int]) -> None:
        self._base = base.rstrip("/")
        self._keys = [key] if old_key is None else [old_key, key]
        self._clock = clock
        self._signers: dict[str, Signer] = {}

    def sign(self, purpose: str, payload: str, expires_in: int) -> str:
        """A token for `payload` that holds for `purpose` during `expires_in` seconds; of `[A-Za-z0-9._~-]` only."""
        return self.sign_until(purpose, payload, self._clock() + expires_in * 1000)

    def sign_until(self, purpose: str, payload: str, ends: int) -> str:
        """As `sign`, until `ends` (ms since the epoch): the same token whenever it is made."""
        subject = payload if _PLAIN.fullmatch(payload) else "~" + _packed(payload)
        return self._signer(purpose).sign(f"{subject}.{_base36(max(0, ends) // 1000)}").decode()

    def url(self, path: str, purpose: str, payload: str, expires_in: int) -> str:
        """The public address of a page: `<PUBLIC_URL>/<path>/<token>`."""
        return f"{self._base}/{path}/{self.sign(purpose, payload, expires_in)}"

    def url_until(self, path: str, purpose: str, payload: str, ends: int) -> str:
        """As `url`, until `ends` (ms since the epoch)."""
        return f"{self._base}/{path}/{self.sign_until(purpose, payload, ends)}"

    def read(self, purpose: str, token: str) -> str:
        """The payload of a token. Raises LapsedLink after its end, BadLink for everything that isn't ours."""
        return self.opened(purpose, token)[0]

    def opened(self, purpose: str, token: str) -> tuple[str, int]:
        """The payload of a token and its end (ms since the epoch). Raises as `read`."""
        if len(token) > _LONGEST:
            raise BadLink
        try:
            subject, _, ends = self._signer(purpose).unsign(token.encode()).decode().rpartition(".")
        except (BadSignature, UnicodeError) as forged:
            raise BadLink from forged
        signature = token.rpartition(".")[2]
        # Base64's last letter has bits to spare: of its spellings only ours is good.
        if base64_encode(base64_decode(signature)).decode() != signature:
            raise BadLink
        if not _BASE36.fullmatch(ends):
            raise BadLink
        payload = _unpacked(subject[1:]) if subject.startswith("~") else subject
        if int(ends, 36) <= self._clock() // 1000:
            raise LapsedLink(payload)
        return payload, int(ends, 36) * 1000

    def _signer(self, purpose: str) -> Signer:
        """The purpose's signer; its keys, an HMAC of the purpose each, are derived once."""
        if (known := self._signers.get(purpose)) is not None:
            return known
        salt = f"gateway link {purpose}".encode()
        keys = [hmac.digest(key, salt, "sha256") for key in self._keys]
        made = self._signers[purpose] = Signer(keys, key_derivation="none", algorithm=_Short())
        return made


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
    return digits or "0"


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _unpacked(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeError) as bad:
        raise BadLink from bad
