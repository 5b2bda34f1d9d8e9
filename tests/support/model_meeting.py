"""The two small scripts of `gateway.delivery.meeting`: a provider's id and news under it, whichever comes first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.delivery.meeting import (
    _INTRODUCE,  # pyright: ignore[reportPrivateUsage] - a script is known by its text, and has no other name
    _WHOSE,  # pyright: ignore[reportPrivateUsage] - as above
)
from gateway.store.lua_source import sha_of
from tests.support.model_commands import Commands


def _introduce(store: Commands, known: str, early: str, note: bytes, lives: int, unclaimed: str) -> list[bytes] | None:
    if unclaimed == "1" and store.strings.get(known, note) != note:
        return None
    store.command("SET", known, note, "EX", lives)
    return store.command("LRANGE", early, 0, -1)


def _whose(store: Commands, known: str, early: str, news: bytes, lives: int) -> bytes | None:
    if known in store.strings:
        return store.strings[known]
    store.command("RPUSH", early, news)
    store.command("EXPIRE", early, lives)
    return None


_BY_SHA: Final[dict[str, Callable[..., Any]]] = {
    sha_of(source): act for source, act in ((_INTRODUCE, _introduce), (_WHOSE, _whose))
}


class Meetings(Commands):
    """Knows scripts that go out as plain EVALSHA."""

    def on_evalsha(self, sha: str, _keys: int, *rest: Any) -> Any:
        """Run one of them. Raises NotImplementedError for another one."""
        if sha not in _BY_SHA:
            raise NotImplementedError(f"the model doesn't know the script {sha}")
        return _BY_SHA[sha](self, *rest)
