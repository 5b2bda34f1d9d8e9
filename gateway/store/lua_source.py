"""The text of the Lua scripts, and the name by which a server knows one."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

NAMES: Final = (
    "accept",
    "take",
    "begin",
    "commit",
    "flag",
    "note",
    "settle",
    "tokens",
    "seats",
    "use",
    "swap",
    "customer",
    "erase",
    "forget",
    "progress",
    "thing",
    "tell",
    "scrub",
    "rouse",
    "failed",
    "bury",
    "exhume",
)
ALLOW_OOM: Final = "#!lua flags=allow-oom\n"
"""First line of a script that must go on when memory is full, or nothing could ever end.

All have it but those that let new things in: https://valkey.io/topics/lua-api/ "Script flags".
"""
_LET_IN: Final = frozenset({"accept", "note"})


def load(name: str) -> str:
    """The source of one of `NAMES`: its first line, what all share, its own text."""
    folder = files("gateway.store") / "lua"
    first = "#!lua\n" if name in _LET_IN else ALLOW_OOM
    return first + (folder / "lib.lua").read_text() + "\n" + (folder / f"{name}.lua").read_text()


def sha_of(source: str) -> str:
    """What EVALSHA calls a script."""
    return hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
