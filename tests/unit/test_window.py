"""The adaptive window by a virtual clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.window import Window


def test_throttling_halves_it_once_for_all_that_was_under_way() -> None:
    window = Window(64)
    window.throttled(100, 200)
    assert window.size == 32
    for sent_at in (100, 150, 199):
        window.throttled(sent_at, 250)
    assert window.size == 32, "those were sent before anybody knew"
    window.throttled(210, 300)
    assert window.size == 16


def test_one_more_after_every_window_that_went_well() -> None:
    window = Window(8)
    window.throttled(1, 1)
    for size in (4, 5, 6, 7):
        assert window.size == size
        for _ in range(size):
            window.went_well()
    assert window.size == 8
    for _ in range(100):
        window.went_well()
    assert window.size == 8
    assert not window.narrowed


def test_throttling_begins_a_new_count() -> None:
    window = Window(8)
    window.throttled(1, 1)
    for _ in range(3):
        window.went_well()
    window.throttled(2, 2)
    window.went_well()
    assert window.size == 2


def test_a_clock_that_was_set_back_does_not_keep_it_wide() -> None:
    window = Window(64)
    window.throttled(3_600_000, 3_600_000)
    window.throttled(50, 60)
    assert window.size == 16


@given(
    st.integers(1, 100),
    st.lists(st.one_of(st.just(None), st.tuples(st.integers(0, 10_000), st.integers(0, 10_000))), max_size=300),
)
def test_it_never_closes_nor_grows_beyond_its_limit(limit: int, story: list[tuple[int, int] | None]) -> None:
    window = Window(limit)
    for one in story:
        if one is None:
            window.went_well()
        else:
            window.throttled(*one)
        assert 1 <= window.size <= limit
        assert 0 <= window.kept < max(window.size, 1)
        assert window.kept >= window.size // 4 or window.size == 1


def test_a_share_that_changes() -> None:
    window = Window(8)
    window.allow(4)
    assert (window.size, window.limit, window.narrowed) == (4, 4, False)
    window.throttled(5, 6)
    assert window.size == 2
    window.allow(8)
    assert (window.size, window.narrowed) == (2, True), "it grows by what goes well"
    window.allow(1)
    assert window.size == 1
    window.allow(0)
    assert (window.size, window.kept) == (0, 0)
    window.allow(8)
    assert window.size == 8
