"""What a person gives back by one button opens nothing that the button doesn't name."""

from __future__ import annotations

from typing import Final, Literal

from hypothesis import given
from hypothesis import strategies as st

from gateway.customer import Address, ConsentEntry, Customer
from gateway.people.wishes import Said, own_word, switched
from gateway.preferences.consent import ANY, LIFTED, permission

KEYS: Final = {"+1": "key-1", "+2": "key-2", "a@b.c": "key-a"}
ADDRESSES: Final = (Address("sms", "+1"), Address("sms", "+2"), Address("email", "a@b.c"))
KINDS: Final = ("survey", "marketing", "outage")
NOW: Final = 100


def line(
    state: Literal["granted", "withdrawn"], channel: str, category: str, at: int, address: str | None
) -> ConsentEntry:
    fits = address is None or any(one.channel == channel and KEYS[one.value] == address for one in ADDRESSES)
    return ConsentEntry(channel, category, state, "api", "words", at, None, address if fits else None)


LINES: Final = st.lists(
    st.builds(
        line,
        st.sampled_from(["granted", "withdrawn", "withdrawn"]),
        st.sampled_from(["sms", "email", ANY]),
        st.sampled_from(["survey", "marketing", ANY]),
        st.integers(0, NOW - 1),
        st.sampled_from([None, None, *KEYS.values()]),
    ),
    max_size=8,
)


def person(lines: list[ConsentEntry]) -> Customer:
    return Customer(id="ana", addresses=ADDRESSES, keys=KEYS, consents=tuple(lines))


def without(lines: list[ConsentEntry], channel: str | None, category: str) -> list[ConsentEntry]:
    """The ledger as if what the button names had never been withdrawn; `channel` None: on any."""
    return [
        one
        for one in lines
        if not (
            one.state == "withdrawn"
            and one.category == category
            and (channel is None or one.channel in ((channel,) if category == ANY else (channel, ANY)))
        )
    ]


def opened(before: list[ConsentEntry], after: list[ConsentEntry]) -> set[tuple[str, str, str]]:
    def may(lines: list[ConsentEntry], one: Address, kind: str) -> bool:
        return permission(lines, one.channel, kind, KEYS[one.value], "opt_out").allowed

    return {
        (one.channel, one.value, kind)
        for one in ADDRESSES
        for kind in KINDS
        if may(after, one, kind) and not may(before, one, kind)
    }


@given(LINES)
def test_switching_a_kind_on_lifts_what_names_that_kind_alone(lines: list[ConsentEntry]) -> None:
    said = Said(way="page", at=NOW, by_person=True)
    made = switched(person(lines), "survey", said, on=True)
    assert made is not None
    more = made[1]
    found = opened(lines, [*lines, *more])
    assert found == opened(lines, without(lines, None, "survey"))
    assert {kind for _, _, kind in found} <= {"survey"}


@given(LINES, st.sampled_from(["sms", "email"]), st.sampled_from(["marketing", ANY]), st.booleans())
def test_agreeing_and_allowing_lift_what_the_button_names(
    lines: list[ConsentEntry], channel: str, category: str, lifted: bool
) -> None:
    way = f"{LIFTED}page" if lifted or category == ANY else "page"
    more = own_word(person(lines), ConsentEntry(channel, category, "granted", way, "words", NOW))
    found = opened(lines, [*lines, *more])
    assert found <= opened(lines, without(lines, channel, category))
    assert {where for where, _, _ in found} <= {channel}


def test_who_agrees_while_one_phone_is_stopped_agrees_for_the_other() -> None:
    stop = ConsentEntry("sms", ANY, "withdrawn", "sms_keyword", "STOP", 1, address="key-1")
    more = own_word(person([stop]), ConsentEntry("sms", "marketing", "granted", "page", "I agree", NOW))
    may = {key: permission([stop, *more], "sms", "marketing", key, "opt_in").code for key in ("key-1", "key-2")}
    assert may == {"key-1": "opted_out", "key-2": "granted"}


def test_what_only_takes_back_leaves_what_is_wider() -> None:
    everything = ConsentEntry(ANY, ANY, "withdrawn", "page", "Stop everything", 1)
    survey = ConsentEntry(ANY, "survey", "withdrawn", "page", "Surveys [Off]", 2)
    made = switched(person([everything, survey]), "survey", Said(way="page", at=NOW, by_person=True), on=True)
    assert made is not None
    more = made[1]
    assert [(one.channel, one.way) for one in more] == [(ANY, f"{LIFTED}page")]
    assert not permission([everything, survey, *more], "sms", "survey", "key-1", "opt_out").allowed
    back = ConsentEntry(ANY, ANY, "granted", f"{LIFTED}page", "Write to me again", NOW + 1)
    assert permission([everything, survey, *more, back], "sms", "survey", "key-1", "opt_out").allowed
