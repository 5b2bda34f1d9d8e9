"""Who is meant by a condition on attributes, and what can be none."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.broadcasts.audiences import fits, where_problems

TABLE: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"area": "Kypseli"}, {"area": "Kypseli"}, True),
    ({"area": "Kypseli"}, {"area": "kypseli"}, False),
    ({"area": "Kypseli"}, {}, False),
    ({"area": ["Kypseli", "Galatsi"]}, {"area": "Galatsi"}, True),
    ({"area": ["Kypseli", "Galatsi"]}, {"area": "Marousi"}, False),
    ({"area": "Kypseli", "floor": 3}, {"area": "Kypseli", "floor": 3, "more": 1}, True),
    ({"area": "Kypseli", "floor": 3}, {"area": "Kypseli", "floor": 4}, False),
    ({"area": "Kypseli", "floor": 3}, {"floor": 3}, False),
    ({"floor": 3}, {"floor": 3.0}, True),
    ({"floor": 3}, {"floor": "3"}, False),
    ({"floor": "3"}, {"floor": 3}, False),
    ({"floor": 1}, {"floor": True}, False),
    ({"lift": True}, {"lift": True}, True),
    ({"lift": True}, {"lift": 1}, False),
    ({"lift": False}, {"lift": 0}, False),
    ({"lift": False}, {}, False),
    ({"lift": [True, "unknown"]}, {"lift": "unknown"}, True),
    ({"lines": "7"}, {"lines": ["7", "9"]}, True),
    ({"lines": ["1", "9"]}, {"lines": ["7", "9"]}, True),
    ({"lines": "8"}, {"lines": ["7", "9"]}, False),
    ({"lines": "8"}, {"lines": []}, False),
    ({"lines": "8"}, {"lines": None}, False),
    ({"lines": "8"}, {"lines": {"8": "8"}}, False),
]


@pytest.mark.parametrize("where, attributes, meant", TABLE)
def test_who_is_meant(where: dict[str, Any], attributes: dict[str, Any], meant: bool) -> None:
    assert not where_problems(where, "/where")
    assert fits(where)(attributes) is meant


@pytest.mark.parametrize(
    "where, places",
    [
        ({}, ["/where"]),
        ({f"a{n}": 1 for n in range(21)}, ["/where"]),
        ({"a": None, "b/c": {"x": 1}, "d": [[1]], "e": []}, ["/where/a", "/where/b~1c", "/where/d", "/where/e"]),
        ({"a": list(range(1001))}, ["/where/a"]),
    ],
)
def test_what_is_no_condition(where: dict[str, Any], places: list[str]) -> None:
    assert [pointer for pointer, _ in where_problems(where, "/where")] == places
