"""Templates in files: `<folder>/<id>/<locale>.toml`, with sample data in `<folder>/<id>/sample.toml` for checks.

The built-in ones travel with the package. A folder of one's own replaces a built-in template of the same id as a whole.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.content.content import TEMPLATE_ID, LocaleParts, Template, template_problems

BUILT_IN: Final = Path(__file__).resolve().parent.parent / "templates"
SAMPLE: Final = "sample.toml"


class FileProblem(msgspec.Struct, frozen=True):
    """What is wrong with a template's file. `locale` None: with its folder or its sample."""

    template: str
    locale: str | None
    text: str


class Folder(msgspec.Struct, frozen=True):
    """What a folder of templates holds. A template with a problem isn't among `templates`."""

    templates: dict[str, Template]
    samples: dict[str, dict[str, Any]]
    problems: tuple[FileProblem, ...]


class BadTemplates(Exception):
    """Templates in files can't be used. `problems`: one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@lru_cache(maxsize=1)
def built_in() -> dict[str, Template]:
    """The templates that come with the gateway, by id. They were checked before: each is compiled when it is used."""
    return read_folder(BUILT_IN, check=False).templates


def load(folder: Path | None) -> dict[str, Template]:
    """The built-in templates, and those of a folder over them. Raises BadTemplates."""
    if folder is None or not folder.is_dir():
        return dict(built_in())
    found = read_folder(folder)
    if found.problems:
        raise BadTemplates([_line(folder, problem) for problem in found.problems])
    return {**built_in(), **found.templates}


def _line(folder: Path, problem: FileProblem) -> str:
    place = folder / problem.template
    return f"{place if problem.locale is None else place / (problem.locale + '.toml')}: {problem.text}"


def read_folder(folder: Path, *, check: bool = True) -> Folder:
    """Read every template of a folder and note what is wrong. Raises OSError when the folder can't be read.

    `check` False: their texts aren't compiled, so mistakes in these show when they are used.
    """
    templates: dict[str, Template] = {}
    samples: dict[str, dict[str, Any]] = {}
    problems: list[FileProblem] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        locales, wrong = _read_template(place, check=check)
        try:
            samples[place.name] = _read_sample(place / SAMPLE)
        except ValueError as error:
            wrong.append(FileProblem(place.name, None, f"{SAMPLE}: {error}"))
        if not wrong:
            templates[place.name] = Template(id=place.name, locales=locales)
        problems += wrong
    return Folder(templates, samples, tuple(problems))


def _read_template(place: Path, *, check: bool) -> tuple[dict[str, LocaleParts], list[FileProblem]]:
    name = place.name
    locales: dict[str, LocaleParts] = {}
    wrong: list[FileProblem] = []
    if not TEMPLATE_ID.fullmatch(name):
        wrong.append(FileProblem(name, None, "A template's id has letters, digits, dots, dashes and underscores."))
    for path in sorted(place.glob("*.toml")):
        if path.name == SAMPLE:
            continue
        try:
            locales[path.stem] = msgspec.convert(_toml(path), LocaleParts)
        except (ValueError, msgspec.ValidationError) as error:
            wrong.append(FileProblem(name, path.stem, str(error)))
    if not locales and not wrong:
        wrong.append(FileProblem(name, None, "There is no <locale>.toml in this folder."))
    for pointer, detail in template_problems(locales) if locales and check else ():
        _, _, locale, *part = pointer.split("/")
        wrong.append(FileProblem(name, locale, f"{'/'.join(part)}: {detail}" if part else detail))
    return locales, wrong


def _read_sample(path: Path) -> dict[str, Any]:
    """Sample data as JSON would bring it. Raises ValueError."""
    return msgspec.json.decode(msgspec.json.encode(_toml(path))) if path.is_file() else {}


def _toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises ValueError, with the place, when it can't be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
