"""The tables of `gateway.toml`: `[categories.*]`, `[channels.*]`, `[senders]`, `[cases.*]`, `[limits]`, `[caps.*]`, `[brand]`, `[wechat.default_template]`.

What a category or a cap may say is checked where it is understood (`routing/policy.py`); here only that it is a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

import phonenumbers

from gateway import settings_values as values
from gateway.settings_types import BrandSettings, CaseSettings, ChannelSettings, LimitSettings, Voice, WeChatTemplate

CHANNELS: Final = ("sms", "email", "wechat", "voice")
_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_EXAMPLES: Final = {"per_prefix_per_day": "+44", "per_country_per_day": "GB"}
_SERVICE: Final = re.compile(r"MG[0-9a-zA-Z]{32}")


class Tables:
    """Reads the tables; what is wrong is added to `problems`, and left out of what is returned."""

    def __init__(self, tables: Mapping[str, dict[str, Any]], problems: list[str], file: str = "gateway.toml") -> None:
        """`tables`: as TOML gave them, by name; `file`: what the file is called."""
        self._tables = tables
        self._file = file
        self._problems = problems

    def categories(self) -> dict[str, dict[str, Any]]:
        """Name -> what it changes, unread."""
        return dict(self._named("categories"))

    def caps(self) -> dict[str, dict[str, Any]]:
        """Name -> a cap over several categories, unread."""
        return dict(self._named("caps"))

    def channels(self, plugins: Collection[str]) -> dict[str, ChannelSettings]:
        """Name -> what the operator says of the channel. `plugins`: names of channels installed beside the built-in."""
        found: dict[str, ChannelSettings] = {}
        known = list(dict.fromkeys([*CHANNELS, *plugins]))
        for name, table in self._named("channels"):
            if name in known:
                found[name] = self._channel(name, table)
            else:
                hint = values.meant(name, known) or "; known are " + ", ".join(known)
                self._problem(f"channels.{name}", f"there is no such channel{hint}")
        return found

    def senders(self) -> dict[str, dict[str, str]]:
        """Category -> country or `*` -> who the message comes from."""
        found: dict[str, dict[str, str]] = {}
        for name, value in self._tables.get("senders", {}).items():
            table = cast("dict[str, Any]", value) if isinstance(value, dict) else {"*": value}
            for country, sender in table.items():
                where = f"senders.{name}.{country}" if isinstance(value, dict) else f"senders.{name}"
                if country != "*" and country not in phonenumbers.SUPPORTED_REGIONS:
                    self._problem(where, f"{country!r} is no country code: write two capital letters such as GR, or *")
                elif (clean := self._sender(where, sender)) is not None:
                    found.setdefault(name, {})[country] = clean
        return found

    def cases(self) -> dict[str, CaseSettings]:
        """Kind of case -> its owner, when it is due, and who gets it then."""
        found: dict[str, CaseSettings] = {}
        for name, table in self._named("cases"):
            where = f"cases.{name}"
            self._only(where, table, CaseSettings.__struct_fields__)
            complaint = table.get("complaint", True)
            if not isinstance(complaint, bool):
                self._problem(f"{where}.complaint", f"must be true or false, not {complaint!r}")
            found[name] = CaseSettings(
                owner=self._text(where, table, "owner"),
                due_in=self._whole(where, table, "due_in"),
                escalate_to=self._texts(where, table, "escalate_to"),
                escalate_after=self._whole(where, table, "escalate_after"),
                complaint=complaint is not False,
            )
        return found

    def limits(self) -> LimitSettings:
        """`[limits]`: how many texts and calls may begin in a day."""
        table = self._tables.get("limits", {})
        self._only("limits", table, LimitSettings.__struct_fields__)
        prefixes = self._numbers_by("per_prefix_per_day", table, values.prefix)
        countries = self._numbers_by(
            "per_country_per_day", table, lambda key: key if key == "*" else values.country(key)
        )
        customer, address = (self._whole("limits", table, f"per_{of}_per_day") for of in ("customer", "address"))
        return LimitSettings(
            per_customer_per_day=customer,
            per_address_per_day=address,
            per_prefix_per_day=prefixes,
            per_country_per_day=countries,
        )

    def brand(self) -> BrandSettings:
        """`[brand]`: who the public pages speak for."""
        table = self._tables.get("brand", {})
        self._only("brand", table, BrandSettings.__struct_fields__)
        parsers = {"name": values.text, "colour": _colour, "privacy_url": _page, "contact": _contact}
        found: dict[str, str] = {}
        for key, parse in parsers.items():
            try:
                if (text := self._text("brand", table, key)) is not None:
                    found[key] = parse(text.strip())
            except ValueError as bad:
                self._problem(f"brand.{key}", str(bad))
        return BrandSettings(**found)

    def _numbers_by(self, name: str, limits: Mapping[str, Any], parse: Callable[[str], str]) -> dict[str, int]:
        where, table = f"limits.{name}", limits.get(name, {})
        if not isinstance(table, dict):
            self._problem(where, f'must be a table such as {{"{_EXAMPLES[name]}" = 500}}')
            return {}
        found: dict[str, int] = {}
        for key in (given := cast("dict[str, Any]", table)):
            try:
                clean = parse(key)
            except ValueError as bad:
                self._problem(where, str(bad))
            else:
                number = self._whole(where, given, key)
                found.update({} if number is None else {clean: number})
        return found

    def wechat_template(self) -> WeChatTemplate | None:
        """`[wechat.default_template]`, or None where it isn't given."""
        table = self._tables.get("wechat", {})
        self._only("wechat", table, ("default_template",))
        content = table.get("default_template")
        if content is None:
            return None
        where = "wechat.default_template"
        if not isinstance(content, dict):
            self._problem(where, "must be a table with id and data")
            return None
        template = cast("dict[str, Any]", content)
        self._only(where, template, ("id", "data"))
        name, data = self._text(where, template, "id"), template.get("data")
        if name is None and "id" not in template:
            self._problem(f"{where}.id", "missing: give the id that WeChat's console shows for the template")
        if not isinstance(data, dict) or not all(isinstance(v, str) for v in cast("dict[str, Any]", data).values()):
            self._problem(f"{where}.data", 'must be a table of texts such as {thing1 = "{{ subject }}"}')
            return None
        return WeChatTemplate(id=name or "", data=cast("dict[str, str]", data))

    def _channel(self, name: str, table: dict[str, Any]) -> ChannelSettings:
        where = f"channels.{name}"
        known = ("messages_per_second", "concurrency", "timeout", "connect_timeout", "voices")
        rest = {key: value for key, value in table.items() if key not in known}
        if name in CHANNELS:
            self._only(where, table, known if name == "voice" else known[:-1])
            rest = {}
        sandbox = rest.pop("sandbox", {})
        if not isinstance(sandbox, dict):
            self._problem(f"{where}.sandbox", f"must be a table, written [{where}.sandbox]")
            sandbox = {}
        return ChannelSettings(
            messages_per_second=self._number(where, table, "messages_per_second"),
            concurrency=self._whole(where, table, "concurrency"),
            timeout=self._number(where, table, "timeout"),
            connect_timeout=self._number(where, table, "connect_timeout"),
            voices=self._voices(f"{where}.voices", table.get("voices", {})),
            options=rest,
            sandbox=cast("dict[str, Any]", sandbox),
        )

    def _voices(self, where: str, given: object) -> dict[str, Voice]:
        if not isinstance(given, dict):
            self._problem(where, "must be a table by locale")
            return {}
        found: dict[str, Voice] = {}
        for tag, value in cast("dict[str, Any]", given).items():
            table = cast("dict[str, Any]", value) if isinstance(value, dict) else {"voice": value}
            self._only(f"{where}.{tag}", table, ("voice", "language"))
            voice, language = (self._text(f"{where}.{tag}", table, key) for key in ("voice", "language"))
            try:
                locale = values.locale(tag)
            except ValueError as bad:
                self._problem(f"{where}.{tag}", str(bad))
            else:
                if voice is None and "voice" not in table:
                    self._problem(f"{where}.{tag}.voice", "missing: give the provider's name of the voice")
                found[locale] = Voice(voice=voice or "", language=language or locale)
        return found

    def _sender(self, where: str, given: object) -> str | None:
        if isinstance(given, str) and _SERVICE.fullmatch(given):
            return given
        try:
            if isinstance(given, str):
                return values.email(given) if "@" in given else values.sms_sender(given)
            self._problem(where, "must be text: a number, a short code, a sender's name or an e-mail address")
        except ValueError as bad:
            self._problem(where, str(bad))
        return None

    def _named(self, table: str) -> list[tuple[str, dict[str, Any]]]:
        found: list[tuple[str, dict[str, Any]]] = []
        for name, value in self._tables.get(table, {}).items():
            if not isinstance(value, dict):
                self._problem(f"{table}.{name}", f"must be a table, written [{table}.{name}]")
            elif not _NAME.fullmatch(name):
                self._problem(f"{table}.{name}", "must be named with small letters, digits, _ and -")
            else:
                found.append((name, cast("dict[str, Any]", value)))
        return found

    def _only(self, where: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                hint = values.meant(key, list(known)) or "; known are " + ", ".join(known)
                self._problem(f"{where}.{key}", f"there is no such setting{hint}")

    def _text(self, where: str, table: Mapping[str, Any], key: str) -> str | None:
        value = table.get(key)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        self._problem(f"{where}.{key}", "must be a text that isn't empty")
        return None

    def _texts(self, where: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """One text, or a list of them."""
        value = table.get(key, [])
        given = cast("list[object]", value) if isinstance(value, list) else [value]
        found = tuple(one for one in given if isinstance(one, str) and one.strip())
        if len(found) != len(given):
            self._problem(f"{where}.{key}", "must be a text that isn't empty, or a list of such")
        return found

    def _number(self, where: str, table: Mapping[str, Any], key: str, *, whole: bool = False) -> float | None:
        value = table.get(key)
        if value is None:
            return None
        # bool is an int in Python, but `concurrency = true` is a slip; inf and nan are floats in TOML.
        fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not fits or not 0 < value <= 10**9:
            self._problem(f"{where}.{key}", f"must be a {'whole ' if whole else ''}number above 0, not {value!r}")
            return None
        return value

    def _whole(self, where: str, table: Mapping[str, Any], key: str) -> int | None:
        value = self._number(where, table, key, whole=True)
        return None if value is None else int(value)

    def _problem(self, where: str, what: str) -> None:
        self._problems.append(f"{where} in {self._file}: {what}")


def _page(value: str) -> str:
    """An https or http address of a page, as people may be sent to it."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None or " " in value:
        raise ValueError(f"must be the address of a page such as https://example.com/privacy, not {value!r}")
    return values.text(value)


def _contact(value: str) -> str:
    """Where people turn to: an e-mail address, a telephone number or a page."""
    if value.startswith("+"):
        return values.phone(value)
    return values.email(value) if "@" in value and "/" not in value else _page(value)


def _colour(value: str) -> str:
    """A colour that white letters can be read on (WCAG 2.2, 1.4.3: 4.5 to 1), written #rrggbb."""
    if not _COLOUR.fullmatch(value):
        raise ValueError(f"must be a colour such as #0b5c86, not {value!r}")
    if 1.05 / (luminance(value) + 0.05) < 4.5:
        raise ValueError(f"{value} is too light: white letters can't be read on it; take a darker one")
    return value.lower()


def luminance(value: str) -> float:
    """How bright a colour #rrggbb is, 0 to 1 (WCAG 2.2, relative luminance)."""
    shares = [int(value[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
