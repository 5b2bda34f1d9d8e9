"""Channels of other distributions that can't be used: refused at the start in one line that names the package."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from redis.asyncio import Redis

from gateway.channels import registry
from gateway.channels.base import Deps
from gateway.settings import load
from gateway.settings_types import BadSettings
from tests.support.commands import command, environment
from tests.support.plugins import forgotten, install

BROKEN = {
    "import nothing_of_that_name": "ModuleNotFoundError: No module named 'nothing_of_that_name'",
    "raise RuntimeError('first line\\nsecond line')": "RuntimeError: first line",
    "class Other: ...": "AttributeError: module 'example_broken' has no attribute 'Pager'",
    "def f(:": "SyntaxError: invalid syntax",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    importlib.invalidate_caches()
    with forgotten("example_broken"):
        yield folder


@pytest.mark.parametrize("name", sorted(registry.CHANNELS))
def test_a_built_in_channel_is_not_replaced(site: Path, name: str) -> None:
    install(site, "example_other", "", f"{name} = example_other:Other")
    importlib.invalidate_caches()
    with pytest.raises(BadSettings, match=f"package example-other 1.0 brings a channel named {name}"):
        registry.names()


def test_two_channels_of_one_name(site: Path) -> None:
    for module in ("example_one", "example_two"):
        install(site, module, "", f"pager = {module}:Pager")
    importlib.invalidate_caches()
    with pytest.raises(BadSettings) as bad:
        registry.names()
    [line] = bad.value.problems
    assert re.fullmatch(r".*example-(one|two) 1\.0 and .*example-(one|two) 1\.0 both bring a channel pager.*", line)


@pytest.mark.parametrize("source", BROKEN)
async def test_a_channel_that_can_not_be_loaded(site: Path, tmp_path: Path, source: str) -> None:
    install(site, "example_broken", source, "pager = example_broken:Pager")
    importlib.invalidate_caches()
    settings = load({}, tmp_path, command="dev", plugins=registry.names())
    async with aiohttp.ClientSession() as session:
        with pytest.raises(BadSettings) as bad:
            registry.build(settings, Deps(session, Redis(), lambda: 0))
    [line] = bad.value.problems
    assert "package example-broken 1.0" in line
    assert "channel pager" in line
    assert BROKEN[source] in line
    assert "\n" not in line


async def test_the_command_line_says_so(site: Path, tmp_path: Path) -> None:
    install(site, "example_broken", "import nothing_of_that_name", "pager = example_broken:Pager")
    variables = environment(tmp_path)
    variables["PYTHONPATH"] += f":{site}"
    ended = await command(tmp_path, "serve", variables=variables)
    assert ended.status == 1
    assert "example-broken" in ended.err
    assert "Traceback" not in ended.err
