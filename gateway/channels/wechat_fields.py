"""What a WeChat template field can show. WeChat cuts longer values without an error, so they are refused here.

Source: WeChat's page on template message parameters (types and lengths, in force since 2023-05-04).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_HAN: Final = r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_LENGTHS: Final = {
    "thing": 20,
    "character_string": 32,
    "number": 32,
    "letter": 32,
    "symbol": 5,
    "phone_number": 17,
    "car_number": 8,
    "const": 20,
    "keyword": 20,
    "time": 40,
    "date": 40,
}
_SHAPES: Final = {
    "character_string": (re.compile(r"[\x20-\x7e]+"), "digits, Latin letters and symbols only"),
    "number": (re.compile(r"[+-]?\d+(\.\d+)?"), "a number only"),
    "letter": (re.compile(r"[A-Za-z]+"), "Latin letters only"),
    "phone_number": (re.compile(r"[\d+() -]+"), "digits and + - ( ) only"),
    "amount": (re.compile(r"[^\d\s]{0,3}\d{1,10}(\.\d+)?元?"), "a currency sign and at most 10 digits"),
    "phrase": (re.compile(rf"{_HAN}{{1,5}}"), "at most 5 Chinese characters"),
    "name": (re.compile(rf"[^\x00-\x7f]{{1,10}}|[^{_HAN[1:-1]}]{{1,20}}"), "at most 10 Chinese or 20 Latin characters"),
}
_GONE: Final = frozenset(("first", "remark"))
_USUAL: Final = 20


def template_problem(data: Mapping[str, str]) -> str | None:
    """Why WeChat would not show these fields whole (safe to log: names the field, not the value); None when it would."""
    for field, value in data.items():
        if (problem := _field_problem(field, value)) is not None:
            return f"{field}: {problem}"
    return None


def _field_problem(field: str, value: str) -> str | None:
    if field in _GONE:
        return "WeChat shows this field no more"
    if not value.strip():
        return "empty"
    kind = field.rstrip("0123456789")
    shape = _SHAPES.get(kind)
    if shape is not None and shape[0].fullmatch(value) is None:
        return shape[1]
    most = _LENGTHS.get(kind, _USUAL)
    if len(value) > most and kind not in ("amount", "name", "phrase"):
        return f"{len(value)} characters, at most {most} are shown"
    return None
