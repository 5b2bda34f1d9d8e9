"""Return paths that say which attempt came back: `b+<message>.<attempt>.<tag>@<bounce domain>` (VERP).

The tag is a keyed hash, so nobody can make up a bounce for a message without having seen its return path. The same
signed text travels as the envelope id (ENVID, RFC 3461) and in a header of the mail, for bounces that lose the return
path and for complaints.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Final

VerpReader = Callable[[str], tuple[str, str] | None]
"""Turns a return path or an envelope id into (message id, attempt id); None when it isn't one of ours."""

PREFIX: Final = "b+"
REF_HEADER: Final = "X-Message-Ref"
_LOCAL_MAX: Final = 64  # octets of a local part, RFC 5321 4.5.3.1.1
_TAG_CHARS: Final = 12  # 60 bits
_ID: Final = r"[A-Za-z0-9_-]+"
_TOKEN: Final = re.compile(rf"({_ID})\.({_ID})\.([a-z2-7]{{{_TAG_CHARS}}})", re.ASCII)


def verp_token(message: str, attempt: str, key: bytes) -> str:
    """The signed name of an attempt. Raises ValueError for ids that don't fit a local part."""
    named = f"{message}.{attempt}"
    token = f"{named}.{_tag(named, key)}"
    if _TOKEN.fullmatch(token) is None or len(PREFIX) + len(token) > _LOCAL_MAX:
        raise ValueError("message and attempt ids don't fit a return path")
    return token


def verp_address(message: str, attempt: str, *, domain: str, key: bytes) -> str:
    """The envelope sender of an attempt. Raises ValueError for ids that don't fit a local part."""
    return f"{PREFIX}{verp_token(message, attempt, key)}@{domain}"


def read_verp(text: str, keys: Sequence[bytes]) -> tuple[str, str] | None:
    """(message id, attempt id) of a return path or a bare signed name; None when it isn't ours or is forged.

    `keys`: the secret key, then the old one while it still verifies.
    """
    local = text.strip().strip("<>").rpartition("@")[0] or text.strip()
    for given in (local, local.lower()):  # some mail systems fold local parts, and most ids have no capitals
        found = _TOKEN.fullmatch(given.removeprefix(PREFIX))
        if found is None:
            continue
        message, attempt, tag = found.groups()
        ours = [hmac.compare_digest(_tag(f"{message}.{attempt}", key).encode(), tag.encode()) for key in keys]
        if any(ours):
            return message, attempt
    return None


def verp_reader(secret_key: bytes, secret_key_old: bytes | None = None) -> VerpReader:
    """A reader that knows the current key and the old one."""
    keys = (secret_key,) if secret_key_old is None else (secret_key, secret_key_old)
    return lambda text: read_verp(text, keys)


def _tag(named: str, key: bytes) -> str:
    digest = hmac.digest(key, b"return path\0" + named.encode(), hashlib.sha256)
    return base64.b32encode(digest)[:_TAG_CHARS].decode().lower()
