from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.customer import Address, CategoryPreference, Preferences
from gateway.preferences.ranking import Ranked, rank

USUAL = ("sms", "wechat", "email", "voice")
KNOWN = frozenset((*USUAL, "pager"))
MOBILE, LANDLINE = Address("sms", "+306900000000"), Address("voice", "+302100000000")
WORK, HOME = Address("email", "ana@work.example"), Address("email", "ana@home.example")
OPENID = Address("wechat", "oAbC_123")
ALL = (WORK, MOBILE, HOME, OPENID, LANDLINE)


def codes(ranked: Ranked) -> tuple[list[tuple[str, str]], list[tuple[str, str, str | None]]]:
    return (
        [(address.value, why.code) for address, why in ranked.chosen],
        [(one.channel, one.why.code, one.address) for one in ranked.skipped],
    )


def test_without_a_choice_the_category_order_counts_and_says_so() -> None:
    chosen, skipped = codes(rank(ALL, Preferences(), "service", USUAL, None, KNOWN))
    assert chosen == [(address.value, "category_order") for address in (MOBILE, OPENID, WORK, HOME, LANDLINE)]
    assert skipped == []


def test_the_general_order_is_complete() -> None:
    wants = Preferences(channels=("voice", "email"))
    chosen, skipped = codes(rank(ALL, wants, "service", USUAL, None, KNOWN))
    assert [value for value, _ in chosen] == [LANDLINE.value, WORK.value, HOME.value]
    assert {code for _, code in chosen} == {"customer_order"}
    assert skipped == [("sms", "not_wanted", MOBILE.value), ("wechat", "not_wanted", OPENID.value)]


def test_the_order_for_the_category_beats_the_general_one() -> None:
    wants = Preferences(channels=("email",), categories={"outage": CategoryPreference(channels=("voice", "sms"))})
    ranked = rank(ALL, wants, "outage", USUAL, None, KNOWN)
    assert [(address, why.code) for address, why in ranked.chosen] == [
        (LANDLINE, "customer_category_order"),
        (MOBILE, "customer_category_order"),
    ]
    assert ranked.chosen[1][1].text == "Choice 2 in the order the customer set for outage messages."


def test_a_category_without_an_order_of_its_own_uses_the_general_one() -> None:
    wants = Preferences(channels=("email",), categories={"outage": CategoryPreference()})
    chosen, _ = codes(rank([WORK], wants, "outage", USUAL, None, KNOWN))
    assert chosen == [(WORK.value, "customer_order")]


def test_a_category_switched_off_leaves_nothing() -> None:
    wants = Preferences(categories={"survey": CategoryPreference(channels=("sms",), enabled=False)})
    chosen, skipped = codes(rank((MOBILE, WORK), wants, "survey", USUAL, None, KNOWN))
    assert chosen == []
    assert skipped == [("sms", "not_wanted", MOBILE.value), ("email", "not_wanted", WORK.value)]


def test_reach_only_narrows() -> None:
    wants = Preferences(channels=("wechat", "sms"))
    chosen, skipped = codes(rank(ALL, wants, "service", USUAL, ("voice", "sms"), KNOWN))
    assert chosen == [(MOBILE.value, "customer_order")]
    assert ("wechat", "not_in_reach", OPENID.value) in skipped
    assert ("voice", "not_wanted", LANDLINE.value) in skipped


def test_reach_to_a_channel_the_customer_left_out_is_explained_even_without_an_address() -> None:
    _, skipped = codes(rank((MOBILE,), Preferences(channels=("sms",)), "service", USUAL, ("voice",), KNOWN))
    assert skipped == [("sms", "not_in_reach", MOBILE.value), ("voice", "not_wanted", None)]


def test_a_wanted_channel_without_an_address_or_without_settings_is_told() -> None:
    wants = Preferences(channels=("wechat", "fax", "sms"))
    chosen, skipped = codes(rank((MOBILE, Address("fax", "1")), wants, "service", USUAL, None, KNOWN))
    assert chosen == [(MOBILE.value, "customer_order")]
    assert skipped == [("wechat", "no_address", None), ("fax", "no_channel", "1")]


def test_plug_ins_outside_of_the_usual_order_come_last() -> None:
    pager, fax = Address("pager", "7"), Address("fax", "1")
    ranked = rank((pager, fax, MOBILE), Preferences(), "service", ("sms", "voice"), None, KNOWN)
    chosen, skipped = codes(ranked)
    assert chosen == [(MOBILE.value, "category_order"), ("7", "category_order")]
    assert skipped == [("voice", "no_address", None), ("fax", "no_channel", "1")]
    assert ranked.chosen[1][1].text == "Not named in the usual order for service messages, so it comes last."


def test_channels_nobody_named_are_not_reported_as_missing() -> None:
    _, skipped = codes(rank((MOBILE,), Preferences(), "service", ("sms",), ("sms", "pager"), KNOWN))
    assert skipped == []


def test_the_same_address_twice_is_used_once() -> None:
    chosen, skipped = codes(rank((WORK, HOME, WORK), Preferences(), "service", ("email",), None, KNOWN))
    assert [value for value, _ in chosen] == [WORK.value, HOME.value]
    assert skipped == [("email", "duplicate_address", WORK.value)]


def test_a_number_under_sms_and_voice_is_no_duplicate() -> None:
    both = (Address("sms", "+306900000000"), Address("voice", "+306900000000"))
    chosen, skipped = codes(rank(both, Preferences(), "service", USUAL, None, KNOWN))
    assert len(chosen) == 2
    assert {code for _, code, _ in skipped} == {"no_address"}


CHANNELS = st.sampled_from([*USUAL, "pager", "fax"])
ORDERS = st.none() | st.lists(CHANNELS, max_size=4).map(tuple)
ADDRESSES = st.lists(st.builds(Address, CHANNELS, st.sampled_from(["1", "2", "3"])), max_size=8)


@given(ADDRESSES, ORDERS, ORDERS, ORDERS, st.lists(CHANNELS, max_size=4), st.booleans())
def test_every_address_is_chosen_or_skipped_exactly_once(
    addresses: list[Address],
    own: tuple[str, ...] | None,
    general: tuple[str, ...] | None,
    reach: tuple[str, ...] | None,
    usual: list[str],
    enabled: bool,
) -> None:
    wants = Preferences(channels=general, categories={"c": CategoryPreference(channels=own, enabled=enabled)})
    ranked = rank(addresses, wants, "c", usual, reach, KNOWN)
    met = [(address.channel, address.value) for address, _ in ranked.chosen]
    left = [(one.channel, one.address) for one in ranked.skipped if one.address is not None]
    assert Counter(met + left) == Counter((address.channel, address.value) for address in addresses)
    assert len(set(met)) == len(met)
    for address, _ in ranked.chosen:
        assert address.channel in KNOWN
        assert reach is None or address.channel in reach
        order = own if own is not None else general
        assert order is None or address.channel in order
