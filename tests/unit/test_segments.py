from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.segments import segments as carriers_count
from gateway.text import clean, mask, segments

EURO, GRIN = "€", "😀"


@pytest.mark.parametrize(
    "text, encoding, units, length",
    [
        ("", "GSM-7", 1, 0),
        ("a" * 160, "GSM-7", 1, 160),
        ("a" * 161, "GSM-7", 2, 161),
        ("a" * 306, "GSM-7", 2, 306),
        ("a" * 307, "GSM-7", 3, 307),
        (EURO * 80, "GSM-7", 1, 160),
        ("a" + EURO * 80, "GSM-7", 2, 161),
        # 76 pairs fill 152 septets; the 77th does not straddle the border at 153.
        (EURO * 76 + EURO + "a" * 151, "GSM-7", 2, 305),
        (EURO * 77 + "a" * 152, "GSM-7", 3, 306),
        ("ΔΦΓΛΩΠΨΣΘΞ", "GSM-7", 1, 10),
        ("Δελτίο", "UCS-2", 1, 6),
        ("β" * 70, "UCS-2", 1, 70),
        ("β" * 71, "UCS-2", 2, 71),
        ("停" * 134, "UCS-2", 2, 134),
        ("停" * 135, "UCS-2", 3, 135),
        (GRIN * 35, "UCS-2", 1, 70),
        # 33 pairs fill 66 units; the 34th does not straddle the border at 67.
        (GRIN * 66, "UCS-2", 2, 132),
        (GRIN * 67, "UCS-2", 3, 134),
        ("“quoted”", "UCS-2", 1, 8),
        ("a\u00a0b", "UCS-2", 1, 3),
        ("a\tb", "UCS-2", 1, 3),
        ("a`b", "UCS-2", 1, 3),
        ("a\r\nb\f", "GSM-7", 1, 6),
    ],
)
def test_segments(text: str, encoding: str, units: int, length: int) -> None:
    assert segments(text) == (encoding, units, length)


@given(st.text(alphabet=st.sampled_from("a€^β停😀\n"), max_size=400))
def test_counts_as_the_carrier_does(text: str) -> None:
    assert segments(text).units == carriers_count(text)


@given(st.text(max_size=400), st.text(max_size=20))
def test_more_text_never_costs_less(text: str, more: str) -> None:
    assert segments(text + more).units >= segments(text).units


@given(st.text(max_size=400))
def test_units_cover_the_length(text: str) -> None:
    encoding, units, length = segments(text)
    alone, joined = (160, 153) if encoding == "GSM-7" else (70, 67)
    assert length <= (alone if units == 1 else units * joined)


@pytest.mark.parametrize(
    "raw, sent",
    [
        ("plain", "plain"),
        ("a\x00b\x07c\x1bd\x7fe\x85f", "abcdef"),
        ("one\r\ntwo\rthree\nfour", "one\ntwo\nthree\nfour"),
        ("a\tb", "a b"),
        ("a\ud800b\ufffec", "abc"),
        ("Ελλάδα 停電 😀", "Ελλάδα 停電 😀"),
    ],
)
def test_clean(raw: str, sent: str) -> None:
    assert clean(raw) == sent


@given(st.text(st.characters(exclude_categories=[])))
def test_clean_text_can_always_be_encoded(text: str) -> None:
    once = clean(text)
    once.encode("utf-8")
    assert clean(once) == once


@pytest.mark.parametrize(
    "channel, value, shown",
    [
        ("sms", "+306912341234", "+30…1234"),
        ("voice", "+85291234567", "+852…4567"),
        ("sms", "+15005550006", "+1…0006"),
        ("sms", "12345", "…45"),
        ("sms", "1", "…"),
        ("email", "ana@example.com", "a…@example.com"),
        ("email", "@example.com", "…"),
        ("wechat", "oABCDEFGHIJKLMNOPQRSTUVW9xYz", "oA…9xYz"),
        ("wechat", "short", "…"),
        ("fax-plugin", "+306912341234", "+30…1234"),
    ],
)
def test_mask(channel: str, value: str, shown: str) -> None:
    assert mask(channel, value) == shown
