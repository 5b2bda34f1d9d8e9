"""Small scripts that go out as plain EVALSHA: a provider's id and news under it, and who is woken before their time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.delivery.meeting import (
    _INTRODUCE,  # pyright: ignore[reportPrivateUsage] - a script is known by its text, and has no other name
    _WHOSE,  # pyright: ignore[reportPrivateUsage] - as above
)
from gateway.store.health import (
    _LIST,  # pyright: ignore[reportPrivateUsage] - as above
    _TEACH,  # pyright: ignore[reportPrivateUsage] - as above
)
from gateway.store.lua_source import sha_of
from gateway.store.waking import (
    _WAKE,  # pyright: ignore[reportPrivateUsage] - as above
)
from tests.support.model_commands import Commands
from tests.support.model_data import name


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


def _wake(store: Commands, agenda: str, member: str, now: int, bell: str) -> int:
    looks = store.zsets.get(agenda, {}).get(member)
    if looks is not None and looks > now:
        store.zadd(agenda, now, member)
        store.ring(bell)
    return 0


def _teach(store: Commands, facts: str, *given: Any) -> int:
    for field, value in zip(given[::2], given[1::2], strict=True):
        known = store.hget(facts, name(field)) if name(field).startswith("l:") else None
        if known is None or float(known) < float(value):
            store.command("HSET", facts, field, value)
    return 1


def _list(store: Commands, *given: Any) -> int:
    places, due, (member, state, since, look) = given[:2], given[2], given[3:]
    for place, its in zip(places, ("suspect", "suppressed"), strict=True):
        if its == state:
            store.zadd(place, since, member)
        elif state != "?":
            store.zrem(place, member)
    if look == "":
        store.zrem(due, member)
    else:
        store.zadd(due, look, member)
    return 1


_BY_SHA: Final[dict[str, Callable[..., Any]]] = {
    sha_of(source): act
    for source, act in ((_INTRODUCE, _introduce), (_WHOSE, _whose), (_WAKE, _wake), (_TEACH, _teach), (_LIST, _list))
}


class Meetings(Commands):
    """Knows scripts that go out as plain EVALSHA."""

    def on_evalsha(self, sha: str, _keys: int, *rest: Any) -> Any:
        """Run one of them. Raises NotImplementedError for another one."""
        if sha not in _BY_SHA:
            raise NotImplementedError(f"the model doesn't know the script {sha}")
        return _BY_SHA[sha](self, *rest)
