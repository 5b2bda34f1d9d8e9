"""The plain commands that the gateway sends beside its scripts, as the model of the store answers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from tests.support.model_data import Data, name, number, raw


class Commands(Data):
    """Answers as redis-py gives them. A command's method is `on_` and its name."""

    def command(self, *parts: Any) -> Any:
        """The answer to a command. Raises NotImplementedError for one the gateway doesn't send."""
        self.lapse()
        act = cast("Callable[..., Any] | None", getattr(self, f"on_{parts[0].lower()}", None))
        if act is None:
            raise NotImplementedError(f"the model doesn't know {parts[0]}")
        return act(*parts[1:])

    def on_time(self) -> list[int]:
        return [self.now() // 1000, self.now() % 1000 * 1000]

    def on_smembers(self, _key: Any) -> set[bytes]:
        """No command that makes a set is known here."""
        return set()

    def on_get(self, key: Any) -> bytes | None:
        return self.strings.get(name(key))

    def on_set(self, key: Any, value: Any, *options: Any) -> Any:
        place = name(key)
        held = self.strings.get(place)
        before = held if "GET" in options else None
        if "NX" in options and held is not None:
            return before
        self.strings[place] = raw(value)
        self.ends.pop(place, None)
        for unit, factor in (("EX", 1000), ("PX", 1)):
            if unit in options:
                self.expire(place, int(options[options.index(unit) + 1]) * factor)
        return before if "GET" in options else True

    def on_del(self, *keys: Any) -> int:
        gone = sum(self.exists(name(key)) for key in keys)
        for key in keys:
            self.delete(name(key))
        return gone

    def on_expire(self, key: Any, seconds: int) -> int:
        self.expire(name(key), seconds * 1000)
        return int(self.exists(name(key)))

    def on_pexpire(self, key: Any, ms: int) -> int:
        self.expire(name(key), ms)
        return int(self.exists(name(key)))

    def on_hget(self, key: Any, field: Any) -> bytes | None:
        return self.hget(name(key), name(field))

    def on_hgetall(self, key: Any) -> dict[bytes, bytes]:
        return {field.encode(): value for field, value in self.hashes.get(name(key), {}).items()}

    def on_hkeys(self, key: Any) -> list[bytes]:
        return [field.encode() for field in self.hashes.get(name(key), {})]

    def on_hmget(self, key: Any, *fields: Any) -> list[bytes | None]:
        held = self.hashes.get(name(key), {})
        return [held.get(name(field)) for field in fields]

    def on_hset(self, key: Any, *pairs: Any) -> int:
        held = self.hashes.setdefault(name(key), {})
        before = len(held)
        held.update({name(field): raw(value) for field, value in zip(pairs[::2], pairs[1::2], strict=True)})
        return len(held) - before

    def on_hsetnx(self, key: Any, field: Any, value: Any) -> int:
        return int(self.hsetnx(name(key), name(field), value))

    def on_hdel(self, key: Any, *fields: Any) -> int:
        gone = sum(name(field) in self.hashes.get(name(key), {}) for field in fields)
        self.hdel(name(key), *map(name, fields))
        return gone

    def on_hincrby(self, key: Any, field: Any, by: int) -> int:
        return self.hincrby(name(key), name(field), by)

    def on_zadd(self, key: Any, *pairs: Any) -> int:
        only_later = pairs[0] == "GT"
        pairs = pairs[1:] if only_later else pairs
        before = self.zsets.get(name(key), {})
        known = len(before)
        for score, member in zip(pairs[::2], pairs[1::2], strict=True):
            if not only_later or before.get(name(member), number("-inf")) < number(score):
                self.zadd(name(key), number(score), name(member))
        return len(self.zsets[name(key)]) - known

    def on_zrangebyscore(self, key: Any, low: Any, high: Any) -> list[bytes]:
        return [member.encode() for member in self.zbetween(name(key), number(low), number(high))]

    def on_zscan(self, key: Any, _cursor: int, *_options: Any) -> list[Any]:
        return [0, [(member.encode(), score) for member, score in self.zrange(name(key))]]

    def on_zmscore(self, key: Any, *members: Any) -> list[float | None]:
        return [self.on_zscore(key, member) for member in members]

    def on_zcard(self, key: Any) -> int:
        return len(self.zsets.get(name(key), {}))

    def on_zscore(self, key: Any, member: Any) -> float | None:
        return self.zsets.get(name(key), {}).get(name(member))

    def on_zrange(self, key: Any, first: Any, last: Any, *options: Any) -> list[Any]:
        found = self.zrange(name(key))
        if "REV" in options:
            found.reverse()
        if "BYLEX" in options:
            low, high = (last, first) if "REV" in options else (first, last)
            found = [one for one in found if _above(low, one[0]) and _below(high, one[0])]
            first, most = options[options.index("LIMIT") + 1 :][:2] if "LIMIT" in options else (0, -1)
            last = -1 if most == -1 else first + most - 1
        found = found[first : None if last == -1 else last + 1]
        if "WITHSCORES" in options:
            return [[member.encode(), score] for member, score in found]
        return [member.encode() for member, _ in found]

    def on_zrem(self, key: Any, *members: Any) -> int:
        return sum(self.zrem(name(key), name(member)) for member in members)

    def on_zremrangebyscore(self, key: Any, low: Any, high: Any) -> int:
        return sum(self.zrem(name(key), member) for member in self.zbetween(name(key), number(low), number(high)))

    def on_zremrangebylex(self, key: Any, low: Any, high: Any) -> int:
        inside = [m for m, _ in self.zrange(name(key)) if _above(name(low), m) and _below(name(high), m)]
        return sum(self.zrem(name(key), member) for member in inside)

    def on_rpush(self, key: Any, *values: Any) -> int:
        held = self.lists.setdefault(name(key), [])
        held += map(raw, values)
        return len(held)

    def on_lrange(self, key: Any, first: int, last: int) -> list[bytes]:
        return self.lists.get(name(key), [])[first : None if last == -1 else last + 1]

    def on_xrange(self, key: Any, *_bounds: Any) -> list[Any]:
        found = enumerate(self.streams.get(name(key), []))
        return [(b"%d-0" % place, {f.encode(): v for f, v in fields.items()}) for place, fields in found]


def _above(bound: str, member: str) -> bool:
    return bound == "-" or (bound != "+" and (member > bound[1:] or (bound[0] == "[" and member == bound[1:])))


def _below(bound: str, member: str) -> bool:
    return bound == "+" or (bound != "-" and (member < bound[1:] or (bound[0] == "[" and member == bound[1:])))
