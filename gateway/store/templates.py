"""Templates kept in Redis, each version for good: a message stays with the version it was accepted with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.content.content import TEMPLATE_ID, LocaleParts, Problem, Template, template_problems
from gateway.content.files import built_in
from gateway.preferences.locales import valid_locale
from gateway.store.addresses import ask
from gateway.store.clock import Clock
from gateway.store.keys import TEMPLATES
from gateway.store.scripts import Scripts

FRESH_MS: Final = 2_000
"""How long another process's new version may go unseen."""
_KEPT: Final = 1_000
_DECODER: Final = msgspec.msgpack.Decoder(Template)


class BadTemplate(Exception):
    """A template that can't be stored. `problems`: JSON pointers and sentences, all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{pointer}: {detail}" for pointer, detail in problems))
        self.problems = problems


class Templates:
    """The templates in force: stored ones, and below them those of the files (version 0)."""

    def __init__(self, scripts: Scripts, clock: Clock, files: Mapping[str, Template] | None = None) -> None:
        """`files`: by id what `content.files.load` gave, the built-in templates included; None: these alone."""
        self._pipe = scripts.pipe
        self._clock = clock
        self._files = built_in() if files is None else files
        self._newest: dict[str, int] = {}
        self._read_at: int | None = None
        self._reading = asyncio.Lock()
        self._kept: dict[tuple[str, int], Template] = {}

    async def put(self, template: str, locales: Mapping[str, Any]) -> int:
        """Store a new version; its number. What the newest says already is not stored again.

        Raises BadTemplate with every problem, StoreUnavailable.
        """
        parts = _checked(template, locales)
        while True:
            newest = (await self._versions()).get(template, 0)
            known = await self._version(template, newest) if newest else None
            if known is not None and known.locales == parts:
                return newest
            made = Template(id=template, version=newest + 1, locales=parts)
            field = _field(template, made.version)
            # Whoever sets the field first has that number; the other takes the next one.
            if await ask(self._pipe, "HSETNX", TEMPLATES, field, msgspec.msgpack.encode(made)):
                self._read_at = None
                return made.version

    async def get(self, template: str, version: int | None = None) -> Template | None:
        """A template in this version (None: the one in force; 0: the file's); None when there is no such one."""
        if version is None:
            version = (await self._recent()).get(template, 0)
        return await self._version(template, version)

    async def list(self) -> list[Template]:
        """All templates in force, by id."""
        newest = {**dict.fromkeys(self._files, 0), **await self._recent()}
        found = await asyncio.gather(*(self._version(name, newest[name]) for name in sorted(newest)))
        return [template for template in found if template is not None]

    async def _version(self, template: str, version: int) -> Template | None:
        if version <= 0:
            return self._files.get(template) if version == 0 else None
        known = self._kept.get((template, version))
        if known is not None:
            return known
        blob = await ask(self._pipe, "HGET", TEMPLATES, _field(template, version))
        if blob is None:
            return None
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        return self._kept.setdefault((template, version), _DECODER.decode(blob))

    async def _recent(self) -> dict[str, int]:
        """The newest version of each stored template, as of the last two seconds."""
        async with self._reading:
            now = self._clock.now()
            if self._read_at is None or not 0 <= now - self._read_at < FRESH_MS:
                self._newest = await self._versions()
                self._read_at = now
        return self._newest

    async def _versions(self) -> dict[str, int]:
        newest: dict[str, int] = {}
        for field in await ask(self._pipe, "HKEYS", TEMPLATES):
            name, _, version = field.decode().rpartition(":")
            newest[name] = max(int(version), newest.get(name, 0))
        return newest


def _field(template: str, version: int) -> str:
    return f"{template}:{version}"


def _checked(template: str, locales: Mapping[str, Any]) -> dict[str, LocaleParts]:
    """The locales as types, under canonical names. Raises BadTemplate."""
    problems: list[Problem] = []
    if not TEMPLATE_ID.fullmatch(template):
        detail = "must be 1 to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit."
        problems.append(("/id", detail))
    parts: dict[str, LocaleParts] = {}
    given: dict[str, str] = {}
    for locale, raw in locales.items():
        name = _canonical(locale)
        if name in parts:
            problems.append((f"/locales/{_escaped(locale)}", f"is the same language as {given[name]!r}."))
            continue
        try:
            parts[name] = msgspec.convert(raw, LocaleParts)
            given[name] = locale
        except msgspec.ValidationError as bad:
            detail, _, place = str(bad).partition(" - at `$")
            path = place.rstrip("`").replace("[...]", "").replace(".", "/")
            problems.append((f"/locales/{_escaped(locale)}{path}", f"{detail}."))
    if parts or not locales:
        problems += template_problems(parts)
    if problems:
        raise BadTemplate(problems)
    return parts


def _canonical(locale: str) -> str:
    try:
        return valid_locale(locale)
    except ValueError:
        return locale  # template_problems says what is wrong with it


def _escaped(token: str) -> str:
    """A part of a JSON pointer (RFC 6901)."""
    return token.replace("~", "~0").replace("/", "~1")
