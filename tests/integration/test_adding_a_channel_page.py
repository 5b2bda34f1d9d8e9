"""The page on adding a channel: its code runs, its settings load, and what it points to is there."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec
import pytest

from gateway.channels import registry
from gateway.channels.base import Accepted, Callback, Channel, Deps, Forged, Refused
from gateway.channels.base import Channel as Seam
from gateway.message import Fault
from gateway.settings import load
from tests.support import twilio_carrier
from tests.support.carriers_other import PagerDriver
from tests.support.twilio_carrier import NOW, Answer, Carrier

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "adding-a-channel.md").read_text(encoding="utf-8")
BLOCKS: Final = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    return [text for name, text in BLOCKS if name == kind]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    """The page's code, imported from a file of its own."""
    [code] = blocks("python")
    place = tmp_path / "page_pager.py"
    place.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("page_pager", place)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    # Annotations are read as text, in the module they stand in.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "page_pager", made)
        spec.loader.exec_module(made)
        yield made


@pytest.fixture
async def carrier() -> AsyncIterator[Carrier]:
    async with twilio_carrier.carrier() as made:
        yield made


@pytest.fixture
async def deps() -> AsyncIterator[Deps]:
    async with twilio_carrier.deps() as made:
        yield made


def build(module: Any, deps: Deps, folder: Path, url: str) -> Channel:
    """The channel from the page's own settings, but for the provider's address."""
    table = next(text for text in blocks("toml") if "[channels.pager]" in text)
    (folder / "gateway.toml").write_text(table.replace("https://api.paging.example", url), encoding="utf-8")
    settings = load({}, folder, command="dev", plugins=("pager",))
    made: Channel | None = module.Pager.build(settings, deps)
    assert made is not None
    return made


async def test_the_code_sends_and_reads(module: Any, carrier: Carrier, deps: Deps, tmp_path: Path) -> None:
    channel = build(module, deps, tmp_path, carrier.url)
    carrier.script(Answer(202, {"page": "p-1"}), Answer(403, {"error": "opted_out"}))
    assert await channel.send(twilio_carrier.outbound()) == Accepted(provider_id="p-1")
    assert await channel.send(twilio_carrier.outbound()) == Refused(
        fault=Fault.OPTED_OUT, detail="HTTP 403", code="opted_out"
    )
    sample = PagerDriver()
    sample.key = "the-provider-s-key"
    genuine: Callback = sample.say(status="delivered")
    ((message, receipt),) = channel.read(genuine).receipts
    assert (message, receipt.attempt, receipt.status, receipt.at) == ("msg-1", "a1", "delivered", NOW)
    with pytest.raises(Forged):
        channel.read(msgspec.structs.replace(genuine, headers={}))
    await channel.close()


async def test_the_code_asks_afterwards(module: Any, carrier: Carrier, deps: Deps, tmp_path: Path) -> None:
    channel = build(module, deps, tmp_path, carrier.url)
    carrier.script(Answer(200, {"page": "p-1"}), Answer(404, {"error": "no_such_page"}), Answer(503, "away"))
    out, attempt = twilio_carrier.outbound(), twilio_carrier.attempt("pager")
    found = [type(await channel.find(out, attempt)).__name__ for _ in range(3)]
    assert found == ["Accepted", "Absent", "Unknown"]
    assert carrier.asked[0].path == f"/pages/{out.token}"


def test_the_code_is_the_toy_channel_that_goes_through_the_contract() -> None:
    [code] = blocks("python")
    assert code == (ROOT / "tests" / "data" / "toy_channel" / "pager.py").read_text(encoding="utf-8")


def test_the_line_and_the_entry_point_are_as_the_registry_reads_them() -> None:
    [line] = [text.strip() for text in blocks("text")]
    assert re.findall(r'^"(\w+)": "([\w.]+:\w+)",$', line) == [("pager", "gateway.channels.pager:Pager")]
    metadata = next(text for text in blocks("toml") if "entry-points" in text)
    points = tomllib.loads(metadata)["project"]["entry-points"]
    assert points == {registry.GROUP: {"pager": "example_pager:Pager"}}


def test_every_part_of_the_seam_is_explained() -> None:
    verbs = [name for name in vars(Seam) if not name.startswith("_")]
    for name in (*verbs, *Seam.__annotations__, "build"):
        assert re.search(rf"^\| `{name}[`(]", PAGE, re.MULTILINE), name


def test_every_name_and_file_is_there() -> None:
    for fault in re.findall(r"`([A-Z]{4,}(?:_[A-Z]+)*)`", PAGE):
        assert fault in Fault.__members__ or fault in ("CHANNELS", "DRIVERS", "CALLING"), fault
    for path in re.findall(r"`((?:gateway|tests)/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists(), path
