"""The secret key that the gateway makes for itself and keeps beside the embedded Redis."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from gateway.settings_types import SecretBytes

FILE: Final = "secret_key"


def kept_key(data_dir: Path) -> SecretBytes | None:
    """The key in DATA_DIR, or None. Raises OSError, and ValueError when the file holds no key."""
    path = data_dir / FILE
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        return None
    if len(key) < 32:
        raise ValueError(f"{path}: holds no key; restore the file from a backup, or set GATEWAY_SECRET_KEY")
    return SecretBytes(key)


def made_key(data_dir: Path) -> SecretBytes:
    """The key in DATA_DIR, made there if there is none. Raises as `kept_key`.

    Two processes that start at once end with the same key: the file appears whole, by a link that fails for the second.
    """
    if (key := kept_key(data_dir)) is not None:
        return key
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = data_dir / f".{FILE}.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        # Where the file exists, another process was first: its key is the one read below.
        with contextlib.suppress(FileExistsError):
            os.link(draft, data_dir / FILE)
    finally:
        draft.unlink()
    if (key := kept_key(data_dir)) is None:
        raise ValueError(f"{data_dir / FILE}: went away while it was made; start again")
    return key
