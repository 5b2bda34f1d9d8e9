"""Message ids: opaque to callers; inside, the mode, the time and the partition.

An id sorts by time, so lists of many partitions merge by it, and a callback finds its partition without a look-up.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from gateway.message import Mode
from gateway.store.keys import PARTITIONS, Partition, partition, partition_of

LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {c: i for i, c in enumerate(LETTERS)}
_PAIRS: Final = [a + b for a in LETTERS for b in LETTERS]
_LETTER: Final[dict[Mode, str]] = {"live": "m", "team": "w", "test": "t"}
_MODE: Final[dict[str, Mode]] = {letter: mode for mode, letter in _LETTER.items()}
_PLACES: Final = {f"{number:02x}": number for number in range(PARTITIONS)}
_TIME: Final = 9
_RANDOM: Final = 12
LENGTH: Final = 1 + _TIME + 2 + _RANDOM


def encoded(number: int, length: int) -> str:
    """A number in `length` letters that sort as it does."""
    first = LETTERS[(number >> (5 * length - 5)) & 31] if length % 2 else ""
    return first + "".join([_PAIRS[(number >> at) & 1023] for at in range(length // 2 * 10 - 10, -1, -10)])


def new_id(mode: Mode, customer: str, at: int, seed: bytes, n: int = 0) -> str:
    """The id of the n-th message of a request: the same for the same (mode, customer, time, seed, n)."""
    mark = hmac.digest(seed, f"{n}".encode(), hashlib.sha256)
    number = int.from_bytes(mark[:8], "big")
    return f"{_LETTER[mode]}{encoded(at, _TIME)}{partition_of(customer):02x}{encoded(number, _RANDOM)}"


def earliest(mode: Mode, at: int) -> str:
    """A prefix that sorts before every id made at or after `at` (ms) and after every earlier one."""
    return _LETTER[mode] + encoded(max(0, at), _TIME)


def place_of(message: str) -> tuple[Mode, Partition] | None:
    """Mode and partition of a message id; None when it can't be one of ours."""
    if len(message) != LENGTH or message[0] not in _MODE or not all(c in _VALUES for c in message[1:10] + message[12:]):
        return None
    number = _PLACES.get(message[10:12])
    return None if number is None else (_MODE[message[0]], partition(number))


def decoded(letters: str) -> int:
    """The number that `encoded` wrote so. Raises KeyError for what it never writes."""
    number = 0
    for c in letters:
        number = number * 32 + _VALUES[c]
    return number


def made_at(message: str) -> int:
    """When an id was made, ms."""
    return decoded(message[1 : 1 + _TIME])
