"""A row of a table as a customer: which column means what, and what spreadsheets do to cells.

Columns: `id`, `name`, `locale`, `time_zone`, `preferences_by`; one for each channel; `channels`, `quiet_hours`, `language` (preferences);
`consent:<category>` or `consent:<channel>:<category>` with `granted` or `withdrawn`, and beside them `consent_at`,
`consent_way`, `consent_wording`, `consent_proof`, `consent_version`; `addresses`, `attributes`, `preferences`, `consents` as
JSON, which is what an export writes. Any other column is an attribute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

PROFILE: Final = ("id", "name", "locale", "time_zone", "preferences_by")
WISHES: Final = ("channels", "quiet_hours", "language")
CONSENT: Final = ("consent_at", "consent_way", "consent_wording", "consent_proof", "consent_version")
JSON: Final = ("addresses", "attributes", "preferences", "consents")
CONSENT_OF: Final = "consent:"
_STATES: Final = {"granted": "granted", "yes": "granted", "withdrawn": "withdrawn", "no": "withdrawn"}
_TRUTH: Final[dict[str, bool]] = {"true": True, "false": False}
_INVISIBLE: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_ROUNDED: Final = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]\d{1,3}")
_DECIMAL: Final = re.compile(r"\+?\d{6,}[.,]0+")
_FORMULA: Final = re.compile(r'="(.*)"', re.DOTALL)
_MADE_TEXT: Final = frozenset("'+=-@0123456789")
_STARTS_FORMULA: Final = frozenset("=+-@＝＋－＠")
_SPLIT: Final = re.compile(r"\s*[;>,\s]\s*")


class BadColumns(Exception):
    """The header can't be used; the text says why."""


class BadCell(ValueError):
    """A cell can't be used; the text names the column and says why."""


class Cells:
    """Reads the records of one table. Raises BadColumns for a header that can't be used."""

    def __init__(
        self, header: Sequence[str], columns: Mapping[str, str], given: Mapping[str, str], channels: Sequence[str]
    ) -> None:
        self._channels = channels
        self._given = given
        named = {_plain(name): target for name, target in columns.items()}
        self._names = [_known(named.get(_plain(name), name.strip()), channels) for name in header]
        unknown = [name for name in columns if _plain(name) not in map(_plain, header)]
        if unknown:
            raise BadColumns(
                f"--map: no column is called {', '.join(map(repr, unknown))}; there are {', '.join(header)}"
            )
        if "id" not in self._names:
            raise BadColumns(
                f"no column is called `id`; there are {', '.join(filter(None, header))}. Say which it is: "
                f'--map "{next(filter(None, header), "Number")}=id"'
            )
        twice = {name for name in self._names if name and self._names.count(name) > 1 and name not in channels}
        if twice:
            raise BadColumns(f"two columns are called {', '.join(sorted(twice))}: rename one, or map it")

    def row(self, record: Sequence[str]) -> dict[str, Any] | str:
        """The customer; a text says why there is none."""
        if len(record) > len(self._names) and any(cell.strip() for cell in record[len(self._names) :]):
            return f"has {len(record)} cells, but the header has {len(self._names)} columns"
        try:
            return self._read(record)
        except BadCell as bad:
            return str(bad)

    def _read(self, record: Sequence[str]) -> dict[str, Any]:
        found = dict(self._given)
        addresses: list[tuple[str, str]] = []
        for name, cell in zip(self._names, record, strict=False):
            exactly = name == "id" or name in self._channels
            value = plain_cell(_exact(name, cell) if exactly else cell)
            if not value or not name or name.startswith("_"):
                continue
            if name in self._channels:
                addresses.append((name, value))
            else:
                found[name] = value
        return _customer(found, addresses, self._channels)


def table_row(
    row: dict[str, Any], columns: Mapping[str, str], given: Mapping[str, str], channels: Sequence[str]
) -> dict[str, Any] | str:
    """An object of another make: its fields mapped as columns are."""
    flat = {columns.get(name, name): value for name, value in row.items()}
    texts = {
        name: value for name, value in flat.items() if isinstance(value, str | int) and not isinstance(value, bool)
    }
    if not any(
        name in channels or name in WISHES or name.startswith(("consent:", "consent_")) for name in (*texts, *given)
    ):
        return {**given, **flat}
    whole = {name: value for name, value in flat.items() if name not in texts}
    try:
        _exact("id", str(texts.get("id", "")))
        addresses = [(name, _exact(name, str(texts.pop(name)))) for name in channels if name in texts]
        made = _customer({**given, **{name: str(value) for name, value in texts.items()}}, addresses, channels)
    except BadCell as bad:
        return str(bad)
    return {**made, **whole}


def _customer(found: dict[str, str], addresses: list[tuple[str, str]], channels: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {name: found.pop(name) for name in PROFILE if name in found}
    whole = {name: _json(name, found.pop(name)) for name in JSON if name in found}
    listed = [
        {"channel": channel, "value": value.strip()}
        for channel, cell in [*addresses, *((c, found.pop(c)) for c in channels if c in found)]
        for value in cell.split(";")
        if value.strip()
    ]
    wishes = _wishes(found)
    consents = _consents(found)
    attributes = {name: _TRUTH.get(value.lower(), value) for name, value in found.items()}
    made["addresses"] = [*whole.get("addresses", ()), *listed]
    made["attributes"] = {**whole.get("attributes", {}), **attributes}
    if wishes or "preferences" in whole:
        made["preferences"] = {**whole.get("preferences", {}), **wishes}
    if consents or "consents" in whole:
        made["consents"] = [*whole.get("consents", ()), *consents]
    return made


def _wishes(found: dict[str, str]) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    if (order := found.pop("channels", None)) is not None:
        wishes["channels"] = [name for name in _SPLIT.split(order.strip().lower()) if name]
    if (quiet := found.pop("quiet_hours", None)) is not None:
        start, dash, end = quiet.replace("\u2013", "-").partition("-")
        if quiet.lower() != "none" and not dash:
            raise BadCell(f"quiet_hours: {quiet!r} is neither like 21:00-08:00 nor none")
        wishes["quiet_hours"] = {"start": start.strip(), "end": end.strip()} if dash else None
    if (language := found.pop("language", None)) is not None:
        wishes["language"] = language
    return wishes


def _consents(found: dict[str, str]) -> list[dict[str, Any]]:
    beside = {name.removeprefix("consent_"): found.pop(name) for name in CONSENT if name in found}
    entries: list[dict[str, Any]] = []
    for name in [name for name in found if name.startswith(CONSENT_OF)]:
        state = found.pop(name)
        if state.lower() not in _STATES:
            raise BadCell(f"{name}: {state!r} is neither granted (yes) nor withdrawn (no)")
        channel, colon, category = name.removeprefix(CONSENT_OF).partition(":")
        channel, category = (channel, category) if colon else ("*", channel)
        entries.append({"channel": channel, "category": category, "state": _STATES[state.lower()], **beside})
    return entries


def plain_cell(cell: str) -> str:
    """A cell's text without what spreadsheets put around it."""
    text = cell.strip()
    if formula := _FORMULA.fullmatch(text):
        text = formula[1].strip()
    # The apostrophe that makes a spreadsheet keep a number as text; 't Hooft keeps his.
    return text[1:].strip() if text[:1] == "'" and text[1:2] in _MADE_TEXT else text


def text_cell(text: str) -> str:
    """A cell that spreadsheets take for text, never for a formula or a number, and that is read back as it was."""
    number = _ROUNDED.fullmatch(text) or _DECIMAL.fullmatch(text)
    return f"'{text}" if text[:1] in _STARTS_FORMULA or number or plain_cell(text) != text else text


def _exact(name: str, value: str) -> str:
    """An id or an address without invisible characters. Raises BadCell for a number that was rounded."""
    text = _INVISIBLE.sub("", value).strip()
    for part in text.split(";"):
        if _ROUNDED.fullmatch(part.strip()):
            raise BadCell(
                f"{name}: {part.strip()} is a number that a spreadsheet has rounded, and its digits are lost. "
                "Format the column as text, fill it in again from its source, and export it anew."
            )
        if _DECIMAL.fullmatch(part.strip()):
            raise BadCell(
                f"{name}: {part.strip()} has become a decimal number. Format the column as text and export it anew."
            )
    return text


def _json(name: str, text: str) -> Any:
    try:
        found: Any = msgspec.json.decode(text)
    except msgspec.DecodeError as bad:
        raise BadCell(f"{name}: must be JSON, as an export writes it: {bad}") from None
    if not isinstance(found, list if name in ("addresses", "consents") else dict):
        raise BadCell(f"{name}: must be a JSON {'list' if name in ('addresses', 'consents') else 'object'}")
    return cast("Any", found)


def _plain(name: str) -> str:
    return name.strip().casefold()


def _known(name: str, channels: Sequence[str]) -> str:
    """The name of a column in our spelling (`Time Zone`: time_zone); attributes keep their own."""
    plain = re.sub(r"[\s-]+", "_", _plain(name))
    known = (*PROFILE, *WISHES, *CONSENT, *JSON, *channels)
    return plain if plain in known else name
