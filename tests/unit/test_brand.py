"""The operator's name and colour: what may be written, and that letters can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import BadSettings, load
from gateway.settings_tables import luminance
from gateway.settings_types import BrandSettings
from gateway.web.assets import Assets
from gateway.web.brand import lightened, stylesheet

NIGHT = "#19212a"


def read(tmp_path: Path, toml: str) -> BrandSettings:
    (tmp_path / "gateway.toml").write_text(toml, encoding="utf-8")
    return load({"GATEWAY_SECRET_KEY": "k" * 32}, tmp_path, command="check").brand


def test_all_of_it_may_be_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "") == BrandSettings()


def test_what_is_given_is_kept(tmp_path: Path) -> None:
    given = '[brand]\nname = " Αιγαίο "\ncolour = "#0B5C86"\nprivacy_url = "https://example.com/p?x=1"\ncontact = "+30 210 1234567"\n'
    assert read(tmp_path, given) == BrandSettings(
        name="Αιγαίο", colour="#0b5c86", privacy_url="https://example.com/p?x=1", contact="+302101234567"
    )


@pytest.mark.parametrize(
    "line",
    [
        'name = ""',
        "name = 7",
        'colour = "blue"',
        'colour = "#ffee00"',
        'privacy_url = "javascript:alert(1)"',
        'contact = "nobody"',
        'logo = "x.png"',
    ],
)
def test_what_can_not_be_used_is_refused_by_name(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadSettings) as refused:
        read(tmp_path, f"[brand]\n{line}\n")
    [problem] = refused.value.problems
    assert problem.startswith(f"brand.{line.partition(' ')[0]} in gateway.toml: ")


@pytest.mark.parametrize("colour", ["#000000", "#0b5c86", "#7a0019", "#1b5e20", "#4a148c", "#767676"])
def test_by_night_it_can_be_read_too(colour: str) -> None:
    night = lightened(colour)
    assert (luminance(night) + 0.05) / (luminance(NIGHT) + 0.05) >= 4.5
    assert colour.encode() in stylesheet(colour)
    assert night.encode() in stylesheet(colour)


def test_luminance_is_that_of_the_standard() -> None:
    assert (luminance("#000000"), round(luminance("#ffffff"), 6)) == (0, 1)
    assert round(1.05 / (luminance("#767676") + 0.05), 2) == 4.54


def test_the_stylesheet_is_there_with_a_colour_alone() -> None:
    assert "brand.css" in Assets("#0b5c86")._files  # pyright: ignore[reportPrivateUsage] - what it would serve
    assert "brand.css" not in Assets()._files  # pyright: ignore[reportPrivateUsage] - what it would serve
