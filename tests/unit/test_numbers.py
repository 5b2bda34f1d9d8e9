from __future__ import annotations

import timeit
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.numbers import country_of, is_phone_channel, normalise, zones_of


@pytest.mark.parametrize(
    "given_value, country, expected",
    [
        ("+30 210 123 4567", None, "+302101234567"),
        ("+30-210-1234567", None, "+302101234567"),
        ("(+30) 210 1234567", None, "+302101234567"),
        ("0030 6912345678", None, "+306912345678"),
        ("6912345678", "GR", "+306912345678"),
        ("07911 123456", "GB", "+447911123456"),
        ("+44 (0)7911 123456", None, "+447911123456"),
        ("＋３０２１０１２３４５６７", None, "+302101234567"),
        ("+39 06 698 12345", None, "+390669812345"),
        ("+1 555 000 0001", None, "+15550000001"),
        ("+86 138 0013 8000", None, "+8613800138000"),
    ],
)
def test_numbers_become_international(given_value: str, country: str | None, expected: str) -> None:
    for channel in ("sms", "voice"):
        assert normalise(channel, given_value, country) == expected


@pytest.mark.parametrize(
    "value, says",
    [
        ("2101234567", "no country code"), ("+999 1234567", "no country code, or one"), ("+30210", "too few digits"),
        ("+302101234567890123", "too many digits"), ("+1 5551234", "lacks its area code"), ("12345", "no country code"),
        ("hello", "isn't a telephone number"), ("1-800-FLOWERS", "isn't a telephone number"), ("", "isn't a telephone number"),
        ("+30210123456\x007", "isn't a telephone number"), ("tel:+302101234567", "isn't a telephone number"),
        ("+302101234567;ext=1", "isn't a telephone number"), ("+" * 20, "isn't a telephone number"), ("1" * 500, "too long"),
    ],
)  # fmt: skip
def test_wrong_numbers_are_refused_with_the_remedy(value: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        normalise("sms", value)
    assert "+302101234567" in str(refusal.value) or "at most" in str(refusal.value)


def test_an_unknown_country_for_short_forms_is_refused() -> None:
    with pytest.raises(ValueError, match="'UK' is no country"):
        normalise("sms", "07911 123456", "UK")


@pytest.mark.parametrize(
    "value, expected",
    [
        ("Ana.P@Example.COM", "Ana.P@example.com"),
        (" ana@example.com ", "ana@example.com"),
        ("ana@münchen.example", "ana@xn--mnchen-3ya.example"),
        ("0001@shop.test", "0001@shop.test"),
        ("ana+outage@mail.example.org", "ana+outage@mail.example.org"),
    ],
)
def test_mail_addresses(value: str, expected: str) -> None:
    assert normalise("email", value) == expected


@pytest.mark.parametrize(
    "value",
    ["ana", "ana@", "@example.com", "ana@localhost", "ana@example", "a na@example.com", "ana@example.com\nBcc: x@y.org", "Ana <ana@example.com>", "ana@[127.0.0.1]", ""],
)  # fmt: skip
def test_wrong_mail_addresses(value: str) -> None:
    with pytest.raises(ValueError, match="isn't an e-mail address such as"):
        normalise("email", value)


def test_openids() -> None:
    assert normalise("wechat", "oABC-123_xyz") == "oABC-123_xyz"
    for bad in ("short", "with blank", "ο-greek-letter", "x" * 129):
        with pytest.raises(ValueError, match="openid"):
            normalise("wechat", bad)


def test_addresses_of_other_channels_are_any_printable_line() -> None:
    assert normalise("pager", "  Flat 3, ring twice ") == "Flat 3, ring twice"
    for bad in ("", "   ", "a\nb", "a\x00b", "\ud800", "x" * 257):
        with pytest.raises(ValueError, match="isn't an address"):
            normalise("pager", bad)


def test_only_two_channels_take_numbers() -> None:
    assert [name for name in ("sms", "voice", "email", "wechat", "pager") if is_phone_channel(name)] == ["sms", "voice"]


@pytest.mark.parametrize(
    "value, country",
    [
        ("+302101234567", "GR"), ("+12125550123", "US"), ("+14165550123", "CA"), ("+18765550123", "JM"), ("+447911123456", "GG"),
        ("+8613800138000", "CN"), ("+85251234567", "HK"), ("+15550000001", "US"), ("+88213612345678", "001"), ("nothing", None),
    ],
)  # fmt: skip
def test_the_country_of_a_number(value: str, country: str | None) -> None:
    assert country_of("sms", value) == country


def test_other_addresses_have_no_country() -> None:
    assert country_of("email", "ana@example.gr") is None
    assert country_of("wechat", "+302101234567") is None


def test_the_zones_of_a_number() -> None:
    assert zones_of("+302101234567") == ("Europe/Athens",)
    assert zones_of("+12125550123") == ("America/New_York",)
    assert len(zones_of("+61412345678")) == 8
    assert len(zones_of("+18005551234")) > 30
    assert zones_of("+15550000001") == ()
    assert zones_of("nothing") == ()


def test_a_neighbours_zones_are_left_out_where_the_country_is_certain() -> None:
    assert set(zones_of("+77011234567")) == {"Asia/Almaty", "Asia/Aqtobe"}
    assert zones_of("+447911123456") == ("Europe/Guernsey",)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.sampled_from(["sms", "voice"]))
def test_an_example_number_of_every_country_comes_through(region: str, channel: str) -> None:
    example = phonenumbers.example_number(region)
    assert example is not None
    written = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    national = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.NATIONAL)
    number = normalise(channel, written)
    assert number == normalise(channel, number) == normalise(channel, national, region)
    assert country_of(channel, number) is not None
    for zone in zones_of(number):
        assert ZoneInfo(zone).key == zone


@settings(deadline=None)
@given(
    st.sampled_from(["sms", "email", "wechat", "pager"]),
    st.text(max_size=60) | st.from_regex(r"\+?[0-9 ()-]{5,20}", fullmatch=True) | st.emails(),
)
def test_an_address_is_normal_once_and_for_all_or_refused(channel: str, value: str) -> None:
    try:
        found = normalise(channel, value)
    except ValueError:
        return
    assert normalise(channel, found) == found
    assert found.isprintable()


def test_a_known_address_takes_microseconds() -> None:
    normalise("sms", "+306912345678")
    assert min(timeit.repeat(lambda: normalise("sms", "+306912345678"), number=1000, repeat=5)) / 1000 < 50e-6
