"""Redis addresses as the settings write them, taken apart once for everybody.

`redis://[user:password@]host[:port][/db]`, `rediss://` (TLS), `unix:///path`,
`redis+sentinel://host1:26379,host2/master-name[/db]`, `redis+cluster://host1,host2`; the last two also as
`rediss+…`. Options: `?ca_file=`, `?cert_file=`, `?key_file=` for TLS, `?sentinel_user=`, `?sentinel_password=`.
"""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

Kind = Literal["single", "unix", "sentinel", "cluster"]

_KINDS: Final[dict[str, tuple[Kind, bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORTS: Final[dict[Kind, int]] = {"single": 6379, "unix": 0, "sentinel": 26379, "cluster": 6379}
_TLS_OPTIONS: Final = ("ca_file", "cert_file", "key_file")
_SENTINEL_OPTIONS: Final = ("sentinel_user", "sentinel_password")
# A password with a bare slash or question mark ends up in host, path or options: so they are not repeated.
_ESCAPE: Final = "write special characters of the password as %XX"


class RedisTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Where a Redis is and how it is entered. `repr` shows no password."""

    kind: Kind
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    master: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = None
    options: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"RedisTarget({self.where})"

    @property
    def where(self) -> str:
        """The address for people and logs: no user, no password."""
        if self.kind == "unix":
            return f"unix://{self.path}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        scheme = next(name for name, made in _KINDS.items() if made == (self.kind, self.tls))
        return f"{scheme}://{hosts}" + (f"/{self.master}" if self.master else "")


def parse_redis_url(url: str) -> RedisTarget:
    """Takes a Redis URL apart. Raises ValueError with one sentence that repeats no password."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _KINDS:
        raise ValueError(f"must begin with one of {', '.join(name + '://' for name in _KINDS)}")
    kind, tls = _KINDS[scheme]
    try:
        # The netloc may list hosts with ports of their own, which urlsplit().port can't read.
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"can't be read: {_ESCAPE}") from None
    options = _options(parts.query, kind, tls=tls)
    if kind == "unix":
        if parts.netloc or not parts.path:
            raise ValueError("a socket is written unix:///path/to/the.sock, with three slashes")
        return RedisTarget(kind=kind, path=unquote(parts.path), db=_db(options.pop("db", "0")))
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    steps = [unquote(step) for step in parts.path.split("/") if step]
    master = ""
    if kind == "sentinel":
        if not steps:
            raise ValueError("names no master: write redis+sentinel://host1,host2/master-name")
        master = steps.pop(0)
    if len(steps) > 1 or (kind == "cluster" and steps):
        raise ValueError(f"has a path that means nothing here; {_ESCAPE}")
    return RedisTarget(
        kind=kind,
        tls=tls,
        hosts=_hosts(hosts, _PORTS[kind], one=kind == "single"),
        master=master,
        db=_db(steps[0] if steps else options.pop("db", "0")),
        username=unquote(username) or None,
        password=unquote(password) or None,
        options=options,
    )


def _hosts(text: str, port: int, *, one: bool) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for part in text.split(","):
        try:
            piece = urlsplit(f"//{part}")
            host, given = piece.hostname, piece.port
        except ValueError:
            raise ValueError(f"has a host or port that can't be read; {_ESCAPE}") from None
        if not host:
            raise ValueError("names no host")
        found.append((host, given or port))
    if one and len(found) > 1:
        raise ValueError("names several hosts: write redis+sentinel:// or redis+cluster://")
    return tuple(found)


def _db(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ValueError(f"has a database that isn't a number; {_ESCAPE}")
    return int(text)


def _options(query: str, kind: Kind, *, tls: bool) -> dict[str, str]:
    known = (*(_TLS_OPTIONS if tls else ()), *(_SENTINEL_OPTIONS if kind == "sentinel" else ()))
    if kind != "cluster":
        known += ("db",)
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options:
        if name not in known:
            named = f"an unknown option {name!r}" if "@" not in query else f"an unknown option ({_ESCAPE})"
            raise ValueError(f"has {named}; known here: {', '.join(known) or 'none'}")
    return options
