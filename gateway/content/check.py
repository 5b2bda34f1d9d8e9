"""`gateway templates check`: every template of a folder in every locale, with what is wrong and what it costs as SMS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from gateway.content.content import Template, texts_of
from gateway.content.files import SAMPLE, Folder, read_folder
from gateway.content.language import compile_text
from gateway.content.preview import preview
from gateway.text import segments

_TAGS: Final = re.compile(r"\{[{%#].*?[}%#]\}", re.DOTALL)
_MANY_SEGMENTS: Final = 3


class Finding(msgspec.Struct, frozen=True):
    """One thing to know. A `fault` keeps the template from being used; a `warning` doesn't."""

    severity: Literal["fault", "warning"]
    template: str
    locale: str | None
    text: str


class Checked(msgspec.Struct, frozen=True):
    """A template in one locale: the data it needs, and its SMS. `sampled`: counted with sample data, else without any."""

    template: str
    locale: str
    needs: tuple[str, ...]
    encoding: str | None
    units: int | None
    sampled: bool


class Report(msgspec.Struct, frozen=True):
    """What a check found."""

    rows: tuple[Checked, ...]
    findings: tuple[Finding, ...]

    @property
    def faults(self) -> int:
        """How many findings are faults; none means that every template can be used."""
        return sum(finding.severity == "fault" for finding in self.findings)


def check_folder(folder: Path, channels: Sequence[str]) -> Report:
    """Check every template of a folder for each of `channels`. Raises OSError when the folder can't be read."""
    found = read_folder(folder)
    findings = [Finding("fault", one.template, one.locale, one.text) for one in found.problems]
    wanted = {locale for template in found.templates.values() for locale in template.locales}
    rows: list[Checked] = []
    for template in found.templates.values():
        missing = sorted(wanted - set(template.locales))
        findings += [Finding("warning", template.id, tag, f"There is no {tag}.toml.") for tag in missing]
        findings += _uneven(template)
        if not found.samples.get(template.id) and any(_needs(template).values()):
            findings.append(
                Finding("warning", template.id, None, f"There is no {SAMPLE}; SMS are counted without data.")
            )
        for locale in template.locales:
            row, more = _check_locale(template, locale, found, channels)
            rows.append(row)
            findings += more
    return Report(tuple(rows), tuple(findings))


def _needs(template: Template) -> dict[str, frozenset[str]]:
    """Locale -> the names that the data must have for it."""
    return {
        locale: frozenset(name for _, kind, text in texts_of(parts) for name in compile_text(text, kind).needs)
        for locale, parts in template.locales.items()
    }


def _uneven(template: Template) -> list[Finding]:
    """Names that some locales need and others don't mention."""
    needs = _needs(template)
    every = frozenset(name for names in needs.values() for name in names)
    found: list[Finding] = []
    for locale, parts in template.locales.items():
        texts = " ".join(text for _, _, text in texts_of(parts))
        absent = sorted(name for name in every - needs[locale] if not re.search(rf"\b{re.escape(name)}\b", texts))
        found += [Finding("warning", template.id, locale, f"{name} isn't used here, but in others.") for name in absent]
    return found


def _check_locale(
    template: Template, locale: str, folder: Folder, channels: Sequence[str]
) -> tuple[Checked, list[Finding]]:
    needs = tuple(sorted(_needs(template)[locale]))
    sample = folder.samples.get(template.id) or {}
    if sample or not needs:
        return _sampled(template, locale, needs, sample, channels)
    text = template.locales[locale].sms or template.locales[locale].text
    counted = segments(_TAGS.sub("", text)) if text else None
    encoding, units = (counted.encoding, counted.units) if counted else (None, None)
    return Checked(template.id, locale, needs, encoding, units, sampled=False), []


def _sampled(
    template: Template, locale: str, needs: tuple[str, ...], sample: dict[str, Any], channels: Sequence[str]
) -> tuple[Checked, list[Finding]]:
    alone = Template(id=template.id, locales={locale: template.locales[locale]})
    seen = preview(alone, sample, locale, channels=channels, default_locale=locale)
    findings = [Finding("fault", template.id, locale, f"{SAMPLE}: {at}: {text}") for at, text in seen.problems]
    for channel, one in seen.channels.items():
        if one.unfit is not None:
            findings.append(Finding("warning", template.id, locale, f"{channel}: {one.unfit.text}"))
    sms = seen.channels.get("sms")
    counted = sms.segments if sms is not None else None
    if counted is not None and counted.units > _MANY_SEGMENTS:
        findings.append(Finding("warning", template.id, locale, f"An SMS takes {counted.units} segments."))
    encoding, units = (counted.encoding, counted.units) if counted else (None, None)
    return Checked(template.id, locale, needs, encoding, units, sampled=True), findings
