"""Where settings come from: the environment and `gateway.toml`, joined, with every unknown name reported."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

from gateway.settings_values import meant

T = TypeVar("T")
D = TypeVar("D")

PREFIX: Final = "GATEWAY_"
TWILIO: Final = (
    *("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_SMS_FROM"),
    *("TWILIO_MESSAGING_SERVICE_SID", "TWILIO_VOICE_FROM"),
)
EMAIL: Final = ("SMTP_URL", "EMAIL_FROM", "EMAIL_BOUNCE_DOMAIN")
WECHAT: Final = ("WECHAT_APP_ID", "WECHAT_APP_SECRET", "WECHAT_TOKEN", "WECHAT_AES_KEY")
NAMES: Final = (
    *("REDIS_URL", "REDIS_REPLICAS", "REDIS_REPLICA_TIMEOUT"),
    *("DATA_DIR", "HTTP_HOST", "HTTP_PORT", "CONSOLE_PORT", "PHONES_PORT", "BOUNCE_PORT", "PUBLIC_URL"),
    *("SECRET_KEY", "SECRET_KEY_OLD", *TWILIO, "TWILIO_API_BASE", *EMAIL, *WECHAT, "WECHAT_API_BASE"),
    *("SANDBOX", "ALLOWED_COUNTRIES", "TEAM_ADDRESSES", "WEBHOOK_ALLOW_PRIVATE", "DEFAULT_LOCALE"),
    *("DEFAULT_TIME_ZONE", "DEFAULT_QUIET_HOURS"),
    *("RETENTION_CONTENT_DAYS", "RETENTION_MESSAGE_DAYS", "RETENTION_TIMELINE_DAYS"),
)
TABLES: Final = ("wechat", "categories", "channels", "senders", "cases", "limits", "caps", "brand")


class Given(NamedTuple):
    """A value as text, and the name by which its giver knows it."""

    value: str
    where: str


class Reader:
    """Hands out settings, parsed, and collects every problem instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str], cwd: Path) -> None:
        """`environ`: the process environment; `cwd`: where `gateway.toml` is looked for."""
        self.problems: list[str] = []
        self.tables: dict[str, dict[str, Any]] = {}
        self.file = "gateway.toml"
        self.folder = (cwd / (environ.get(f"{PREFIX}CONFIG") or "gateway.toml")).parent
        self._given: dict[str, Given] = {}
        self._read_file(environ.get(f"{PREFIX}CONFIG", ""), cwd)
        self._read_environ(environ)

    def has(self, name: str) -> bool:
        """True when somebody gave the setting a value (an empty one is none)."""
        return name in self._given

    def get(self, name: str, parse: Callable[[str], T], default: D) -> T | D:
        """The setting `name` through `parse`, whose ValueError becomes a problem; `default` when absent or bad."""
        given = self._given.get(name)
        if given is None:
            return default
        try:
            return parse(given.value)
        except ValueError as bad:
            self.problems.append(f"{given.where}: {bad}")
            return default

    def where(self, name: str) -> str:
        """How the giver of `name` calls it; the environment's name when nobody gave it."""
        return self._given[name].where if name in self._given else PREFIX + name

    def complete(self, group: tuple[str, ...], needed: tuple[str, ...]) -> bool:
        """False when nothing of `group` is set. A member of `needed` missing from a group begun is a problem."""
        begun = [name for name in group if self.has(name)]
        if not begun:
            return False
        for name in needed:
            if not self.has(name):
                self.problems.append(
                    f"{PREFIX}{name}: missing, though {self.where(begun[0])} is set; set it, or remove the other"
                )
        return True

    def _read_environ(self, environ: Mapping[str, str]) -> None:
        for variable, value in environ.items():
            if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG":
                continue
            name = variable.removeprefix(PREFIX)
            if name not in NAMES:
                hint = meant(variable, [PREFIX + known for known in (*NAMES, "CONFIG")])
                self.problems.append(f"{variable}: there is no such setting{hint or '; remove it'}")
            elif value.strip():
                self._given[name] = Given(value.strip(), variable)

    def _read_file(self, named: str, cwd: Path) -> None:
        path = cwd / (named or "gateway.toml")
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if named:
                self.problems.append(f"{PREFIX}CONFIG: there is no file {path}; correct the path or remove the setting")
            return
        except OSError as bad:
            self.problems.append(f"{path}: can't be read ({bad.strerror}); correct its path or its permissions")
            return
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as bad:
            self.problems.append(f"{path}: isn't valid TOML ({bad}); correct that line")
            return
        self.file = path.name
        for key, value in content.items():
            self._take(key, value)

    def _take(self, key: str, value: object) -> None:
        where = f"{key} in {self.file}"
        if key in TABLES:
            if isinstance(value, dict):
                self.tables[key] = cast("dict[str, Any]", value)
            else:
                self.problems.append(f"{where}: must be a table, written [{key}] or [{key}.…]")
        elif key != key.lower() or key.upper() not in NAMES:
            hint = meant(key, [*(name.lower() for name in NAMES), *TABLES])
            self.problems.append(f"{where}: there is no such setting{hint or '; remove it'}")
        else:
            written = _as_text(value)
            if written is None:
                self.problems.append(
                    f"{where}: must be text, a whole number, true, false or a list of texts that isn't empty"
                )
            elif written.strip():
                self._given[key.upper()] = Given(written.strip(), where)


def _as_text(value: object) -> str | None:
    """A TOML value the way the environment would write it; None for the kinds that no setting takes."""
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case list():
            items = cast("list[object]", value)
            return (
                ",".join(cast("list[str]", items)) if items and all(isinstance(item, str) for item in items) else None
            )
        case _:
            return None
