"""Cluster slots, and the hash tags that spread the partitions over them."""

from __future__ import annotations

import binascii
import functools


def slot_of(key: str) -> int:
    """The cluster slot of a key: CRC16 (XMODEM) of its hash tag modulo 16384, Redis Cluster specification."""
    _, opened, rest = key.partition("{")
    tag, closed, _ = rest.partition("}")
    return slot_of_tag(tag if opened and closed and tag else key)


def slot_of_tag(tag: str) -> int:
    """The cluster slot of every key that carries this hash tag."""
    return binascii.crc_hqx(tag.encode(), 0) % 16384


@functools.cache
def tags(partitions: int) -> tuple[str, ...]:
    """Hash tags whose cluster slots are the middles of `partitions` equal ranges, so that nodes get equal shares."""
    wanted = {int((n + 0.5) * 16384 / partitions): n for n in range(partitions)}
    found: dict[int, str] = {}
    candidate = 0
    while len(found) < partitions:
        tag = f"p{candidate}"
        number = wanted.get(slot_of_tag(tag))
        if number is not None:
            found.setdefault(number, tag)
        candidate += 1
    return tuple(found[n] for n in range(partitions))
