"""Message ids and Redis keys: opaque, sortable, and safe against whatever callers put into them."""

from __future__ import annotations

import binascii
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.message import Mode
from gateway.store import keys, slots
from gateway.store.ids import LENGTH, earliest, made_at, new_id, place_of
from gateway.store.keys import PARTITIONS, partition, partition_of

MODES = st.sampled_from(["live", "team", "test"])
TIMES = st.integers(0, 2**43)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(MODES, NAMES, TIMES, st.binary(min_size=1, max_size=32), st.integers(0, 10_000))
def test_an_id_says_where_and_when(mode: Mode, customer: str, at: int, seed: bytes, n: int) -> None:
    made = new_id(mode, customer, at, seed, n)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", made)
    assert len(made) == LENGTH
    place = place_of(made)
    assert place is not None
    assert (place[0], place[1].number) == (mode, partition_of(customer))
    assert made_at(made) == at
    assert made == new_id(mode, customer, at, seed, n), "a repeated request makes the same id"


@given(NAMES, st.lists(TIMES, min_size=2, max_size=8, unique=True))
def test_ids_sort_by_time(customer: str, times: list[int]) -> None:
    made = [new_id("live", customer, at, b"seed") for at in sorted(times)]
    assert made == sorted(made)
    for at, one in zip(sorted(times), made, strict=True):
        assert earliest("live", at) < one
        assert earliest("live", at + 1) > one


def test_ids_differ_by_everything_they_are_made_from() -> None:
    made = {new_id("live", "c", 1, b"seed", n) for n in range(2_000)}
    made |= {new_id("live", "c", 1, seed) for seed in (b"other", b"third")}
    made |= {new_id("test", "c", 1, b"seed"), new_id("team", "c", 1, b"seed"), new_id("live", "c", 2, b"seed")}
    assert len(made) == 2_005


@given(st.text(max_size=LENGTH + 4))
def test_no_text_makes_it_fall_over(text: str) -> None:
    place = place_of(text)
    assert place is None or len(text) == LENGTH


GOOD = new_id("live", "c-1", 1_795_340_141_276, b"seed")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        GOOD[:-1],
        GOOD + "0",
        "x" + GOOD[1:],
        GOOD.upper(),
        GOOD[:10] + "ff" + GOOD[12:],
        GOOD[:10] + f"{PARTITIONS:02x}" + GOOD[12:],
        GOOD[:10] + "+1" + GOOD[12:],
        GOOD[:10] + " 1" + GOOD[12:],
        GOOD[:10] + "1_" + GOOD[12:],
        GOOD[:10] + "-0" + GOOD[12:],
        GOOD[:10] + "٠١" + GOOD[12:],
        GOOD[:5] + "*" + GOOD[6:],
        GOOD[:-1] + "\n",
        GOOD[:-1] + "}",
    ],
)
def test_what_is_no_id_of_ours(bad: str) -> None:
    assert place_of(bad) is None


@pytest.mark.parametrize("place", range(PARTITIONS))
def test_a_place_has_one_spelling(place: int) -> None:
    """Two spellings of one id would be two ids to whoever compares them."""
    good = GOOD[:10] + f"{place:02x}" + GOOD[12:]
    assert place_of(good) is not None
    if f"{place:02X}" != f"{place:02x}":
        assert place_of(GOOD[:10] + f"{place:02X}" + GOOD[12:]) is None


def test_partitions_lie_in_equal_ranges_of_the_cluster() -> None:
    found = [binascii.crc_hqx(tag.encode(), 0) % 16384 for tag in slots.tags(PARTITIONS)]
    assert found == [int((n + 0.5) * 16384 / PARTITIONS) for n in range(PARTITIONS)]
    assert len(set(slots.tags(64))) == 64


def test_people_are_spread_evenly() -> None:
    counts = [0] * PARTITIONS
    for n in range(16_000):
        counts[partition_of(f"c-{n}")] += 1
    assert min(counts) > 700
    assert max(counts) < 1_300


HOSTILE = ["{x}", "}{", "a b", "a:b", "a\nb", "*", "", "ä" * 500, "+m:1", "-idx"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_callers_choose_never_shows_in_a_key(text: str) -> None:
    at = partition(3)
    made = [
        at.customer(text),
        at.ledger(text),
        at.timeline(text),
        at.cap("live", text, "outage"),
        at.thread("live", text, text),
        at.awaiting("live", text),
        at.seen(text),
        keys.idempotency("live", text),
        keys.provider_id("wechat", text),
        keys.early_news("wechat", text),
    ]
    if text:
        made += [at.index("live", "customer", text), at.index("live", "reference", text)]
    allowed = set(string.ascii_letters + string.digits + "{}:_-@")
    for key in made:
        assert set(key) <= allowed
        assert (key.count("{"), key.count("}")) == (1, 1), "one hash tag, and it is ours"
    assert len(set(made)) == len(made)


def test_parts_of_a_key_cannot_run_into_each_other() -> None:
    at = partition(0)
    assert at.thread("live", "ab", "c") != at.thread("live", "a", "bc")
    assert keys.idempotency("live", "x") != keys.idempotency("test", "x")
    assert keys.provider_id("sms", "1") != keys.provider_id("voice", "1")
    assert at.cap("live", "c", "outage") != at.cap("test", "c", "outage")


def test_keys_of_one_person_share_a_hash_tag() -> None:
    at = keys.of_customer("c-1001")
    made = [
        at.message("m"),
        at.body("m"),
        at.agenda("bulk"),
        at.line("sms", "bulk"),
        at.customer("c"),
        at.events,
        at.morgue,
    ]
    assert {re.findall(r"\{(.+?)\}", key)[0] for key in made} == {at.tag}


def test_lines_of_test_messages_are_apart() -> None:
    assert keys.line_name("test", "sms") != keys.line_name("live", "sms") == keys.line_name("team", "sms")


@given(st.integers(0, 2**43), st.integers(0, 59_999))
def test_counters_are_kept_by_the_minute(minute: int, within: int) -> None:
    at = partition(0)
    start = minute - minute % 60_000
    assert at.count("live", start) == at.count("live", start + within)
    assert at.count("live", start) != at.count("live", start + 60_000)
