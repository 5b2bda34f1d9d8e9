"""What an earlier release has written is still read, field by field (G12).

`tests/data/records/<schema>/` holds what that release stored and what it meant. Files there are never changed: a new
schema gets a folder of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.content.content import Body
from gateway.customer import Customer
from gateway.delivery.inbound import Item
from gateway.delivery.words import unpack
from gateway.message import SCHEMA, Message

RECORDS: Final = Path(__file__).parents[1] / "data" / "records"
SHAPES: Final[dict[str, Any]] = {"message": Message, "customer": Customer, "inbound": Item, "content": Body}


class Kept(msgspec.Struct, forbid_unknown_fields=True):
    """One record: as stored (msgpack, in hex), and what it means."""

    stored: str
    means: Any


def contains(whole: Any, part: Any) -> bool:
    """Whether everything in `part` is there, in the same place; fields that are newer may stand beside it."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())  # pyright: ignore[reportUnknownVariableType] - parsed JSON
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(contains, whole, part))  # pyright: ignore[reportUnknownArgumentType] - parsed JSON
    return whole == part


@pytest.mark.parametrize("schema", range(1, SCHEMA + 1))
@pytest.mark.parametrize("name", sorted(SHAPES))
def test_every_field_is_still_there(schema: int, name: str) -> None:
    kept = msgspec.json.decode((RECORDS / str(schema) / f"{name}.json").read_bytes(), type=Kept)
    raw = bytes.fromhex(kept.stored)
    found = unpack(raw) if name == "content" else msgspec.msgpack.decode(raw, type=SHAPES[name])
    assert contains(msgspec.json.decode(msgspec.json.encode(found)), kept.means)


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_what_a_later_release_adds_does_no_harm(name: str) -> None:
    """Other than in a message's schema, which workers heed."""
    kept = msgspec.json.decode((RECORDS / str(SCHEMA) / f"{name}.json").read_bytes(), type=Kept)
    record = msgspec.msgpack.decode(bytes.fromhex(kept.stored))
    record["of_a_later_release"] = {"a": [1, 2]}
    raw = msgspec.msgpack.encode(record)
    found = unpack(raw) if name == "content" else msgspec.msgpack.decode(raw, type=SHAPES[name])
    assert contains(msgspec.json.decode(msgspec.json.encode(found)), kept.means)
