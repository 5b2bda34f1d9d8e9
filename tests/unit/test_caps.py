from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.preferences.caps import Cap, room_at

NOW = 1_700_000_000_000
TWO_A_WEEK = Cap(2, 7 * 86400)
WEEK = 7 * 86400 * 1000


@pytest.mark.parametrize(
    "uses, expected",
    [
        ([], None),
        ([NOW - 1], None),
        ([NOW - 1, NOW - 2], NOW - 2 + WEEK),
        ([NOW - 2, NOW - 1], NOW - 2 + WEEK),
        ([NOW - WEEK, NOW - 1], None),
        ([NOW - WEEK + 1, NOW - 1], NOW + 1),
        ([NOW - 3, NOW - 2, NOW - 1], NOW - 2 + WEEK),
        ([NOW + 5, NOW + 6], NOW + 5 + WEEK),
    ],
)
def test_room_comes_when_enough_uses_have_lapsed(uses: list[int], expected: int | None) -> None:
    assert room_at(uses, TWO_A_WEEK, NOW) == expected


def test_a_limit_of_nothing_never_has_room() -> None:
    assert room_at([], Cap(0, 60), NOW) == NOW + 60_000


@given(
    st.lists(st.integers(NOW - 200_000, NOW + 5_000), max_size=20),
    st.integers(1, 5),
    st.integers(1, 150),
)
def test_room_is_at_the_first_moment_with_fewer_uses_than_the_limit(uses: list[int], limit: int, window: int) -> None:
    cap = Cap(limit, window)
    at = room_at(uses, cap, NOW)

    def counted(moment: int) -> int:
        return sum(use > moment - window * 1000 for use in uses)

    if at is None:
        assert counted(NOW) < limit
    else:
        assert at > NOW
        assert counted(at) < limit <= counted(at - 1)
        assert room_at(uses, cap, at) is None
