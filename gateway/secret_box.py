"""Keys derived from the installation's secret, and secrets kept sealed with it."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


def purpose_key(secret: bytes, purpose: str) -> bytes:
    """A key of its own for each purpose (HMAC-SHA256), so that one can't be used for another."""
    return hmac.digest(secret, f"gateway {purpose}".encode(), hashlib.sha256)


class SecretBox:
    """Seals bytes with the secret key; what the old key sealed can still be opened (Fernet: AES-128-CBC, HMAC-SHA256)."""

    def __init__(self, secret: bytes, old: bytes | None) -> None:
        keys = [secret] if old is None else [secret, old]
        self._fernet = MultiFernet([Fernet(base64.urlsafe_b64encode(purpose_key(k, "secret box"))) for k in keys])

    def seal(self, plain: bytes) -> bytes:
        """Bytes that only the secret key opens."""
        return self._fernet.encrypt(plain)

    def open(self, sealed: bytes) -> bytes | None:
        """What was sealed; None when neither key opens it."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken:
            return None

    def renew(self, sealed: bytes) -> bytes:
        """The same, sealed with the present key. Raises cryptography's InvalidToken."""
        return self._fernet.rotate(sealed)
