from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.customer import ConsentEntry
from gateway.preferences.consent import (
    Rule,
    applies,
    closed_by,
    effective,
    following,
    in_force,
    lifts,
    of_person,
    permission,
)
from gateway.store.addresses import compacted, needs_proof

ME, OTHER = "key-of-mine", "key-of-another"


def entry(
    state: Literal["granted", "withdrawn"], channel: str, category: str, at: int, address: str | None = None
) -> ConsentEntry:
    return ConsentEntry(channel, category, state, "api", f"{state} {channel} {category}", at, None, address)


def yes(channel: str, category: str, at: int, address: str | None = None) -> ConsentEntry:
    return entry("granted", channel, category, at, address)


def no(channel: str, category: str, at: int, address: str | None = None) -> ConsentEntry:
    return entry("withdrawn", channel, category, at, address)


@pytest.mark.parametrize(
    "rule, allowed, code",
    [("asked", True, "not_withdrawn"), ("opt_out", True, "not_withdrawn"), ("opt_in", False, "no_consent")],
)
def test_an_empty_ledger_allows_what_needs_no_grant(rule: Rule, allowed: bool, code: str) -> None:
    found = permission([], "sms", "marketing", ME, rule)
    assert (found.allowed, found.code) == (allowed, code)
    assert found.text.endswith(".")


CASES: list[tuple[str, list[ConsentEntry], str]] = [
    ("a withdrawal of the pair", [no("sms", "marketing", 1)], "opted_out"),
    ("a withdrawal of the channel", [no("sms", "*", 1)], "opted_out"),
    ("a withdrawal of the category", [no("*", "marketing", 1)], "opted_out"),
    ("a withdrawal of everything", [no("*", "*", 1)], "opted_out"),
    ("another channel", [no("email", "*", 1), yes("sms", "marketing", 1)], "granted"),
    ("another category", [no("sms", "survey", 1), yes("sms", "marketing", 1)], "granted"),
    ("a later grant of the pair", [no("sms", "marketing", 1), yes("sms", "marketing", 2)], "granted"),
    ("an earlier grant of the pair", [yes("sms", "marketing", 1), no("sms", "marketing", 2)], "opted_out"),
    ("a tie", [yes("sms", "marketing", 1), no("sms", "marketing", 1)], "opted_out"),
    ("a tie, the other way round", [no("sms", "marketing", 1), yes("sms", "marketing", 1)], "opted_out"),
    ("a later grant of everything", [no("sms", "marketing", 1), yes("*", "*", 2)], "opted_out"),
    ("a later grant of the channel", [no("sms", "marketing", 1), yes("sms", "*", 2)], "opted_out"),
    ("a later grant of the category", [no("sms", "marketing", 1), yes("*", "marketing", 2)], "opted_out"),
    ("STOP and START", [no("sms", "*", 1), yes("sms", "*", 2)], "granted"),
    ("STOP and a later grant by name", [no("sms", "*", 1), yes("sms", "marketing", 2)], "granted"),
    ("STOP ALL after an older grant by name", [yes("sms", "marketing", 1), no("*", "*", 2)], "opted_out"),
    ("STOP ALL, then a grant by name", [no("*", "*", 1), yes("sms", "marketing", 2)], "granted"),
    ("two withdrawals, one lifted", [no("sms", "*", 1), no("*", "marketing", 2), yes("sms", "*", 3)], "opted_out"),
    ("on, off, on", [yes("sms", "*", 1), no("sms", "*", 2), yes("sms", "*", 3)], "granted"),
    ("my address", [no("sms", "*", 1, ME)], "opted_out"),
    ("another's address", [yes("sms", "*", 1), no("sms", "*", 2, OTHER)], "granted"),
    ("START from the address", [no("sms", "*", 1, ME), yes("sms", "*", 2, ME)], "granted"),
    ("START from another address", [no("sms", "*", 1, ME), yes("sms", "*", 2, OTHER)], "opted_out"),
    ("START doesn't lift what a page withdrew", [no("sms", "*", 1), yes("sms", "*", 2, ME)], "opted_out"),
    ("a general grant lifts what an address withdrew", [no("sms", "*", 1, ME), yes("sms", "*", 2)], "granted"),
]


@pytest.mark.parametrize("entries, code", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_the_ledger_says(entries: list[ConsentEntry], code: str) -> None:
    rules: tuple[Rule, ...] = ("asked", "opt_out", "opt_in")
    for rule in rules:
        found = permission(entries, "sms", "marketing", ME, rule)
        assert (found.code, found.allowed) == (code, code == "granted")


def test_an_address_that_has_no_key_is_bound_by_general_entries_alone() -> None:
    entries = [no("sms", "*", 1, ME)]
    assert permission(entries, "sms", "service", None, "opt_out").allowed
    assert not permission([*entries, no("sms", "*", 2)], "sms", "service", None, "opt_out").allowed


def test_the_sentence_names_the_scope() -> None:
    found = permission([no("sms", "*", 1, ME)], "sms", "service", ME, "opt_out")
    assert found.text == "The customer has opted out of all messages on sms at this address."


def test_the_current_state_is_shown_by_pair() -> None:
    entries = [yes("sms", "marketing", 1), no("email", "survey", 2), yes("email", "survey", 3), no("*", "*", 4, ME)]
    found = {(one.channel, one.category, one.address): (one.state, one.at) for one in effective(entries)}
    assert found == {
        ("*", "*", ME): ("withdrawn", 4),
        ("email", "survey", None): ("granted", 3),
        ("sms", "marketing", None): ("granted", 1),
    }
    assert [(one.state, one.at) for one in effective([*entries, no("*", "*", 5)]) if one.channel == "sms"] == [
        ("withdrawn", 5)
    ]


def test_start_finds_what_the_address_closed() -> None:
    entries = [no("sms", "*", 1, ME), no("*", "*", 2, ME), no("sms", "*", 3, OTHER), no("email", "*", 3)]
    assert closed_by(entries, ME) == (("sms", "*"), ("*", "*"))
    assert closed_by([*entries, yes("sms", "*", 4, ME)], ME) == (("*", "*"),)
    assert closed_by([*entries, yes("sms", "marketing", 4, ME)], ME) == (("sms", "*"), ("*", "*"))


ENTRIES = st.lists(
    st.builds(
        entry,
        st.sampled_from(["granted", "withdrawn"]),
        st.sampled_from(["sms", "email", "*"]),
        st.sampled_from(["marketing", "survey", "*"]),
        st.integers(0, 5),
        st.sampled_from([None, ME, OTHER]),
    ),
    max_size=12,
)
RULES: st.SearchStrategy[Rule] = st.sampled_from(["asked", "opt_out", "opt_in"])


SHUFFLED = ENTRIES.flatmap(lambda entries: st.tuples(st.just(entries), st.permutations(entries)))


@given(SHUFFLED, RULES)
def test_the_order_of_lines_never_matters(both: tuple[list[ConsentEntry], list[ConsentEntry]], rule: Rule) -> None:
    first, second = (permission(entries, "sms", "marketing", ME, rule) for entries in both)
    assert first == second


@given(ENTRIES, RULES)
def test_it_is_the_rule_read_line_by_line(entries: list[ConsentEntry], rule: Rule) -> None:
    heard = [one for one in entries if applies(one, "sms", "marketing", ME)]
    bound = any(one.state == "withdrawn" and not any(lifts(other, one) for other in heard) for one in heard)
    granted = any(one.state == "granted" for one in heard)
    expected = not bound and (granted or rule != "opt_in")
    assert permission(entries, "sms", "marketing", ME, rule).allowed is expected


@given(ENTRIES, RULES, st.sampled_from(["sms", "*"]), st.sampled_from(["marketing", "*"]), st.sampled_from([None, ME]))
def test_the_newest_withdrawal_always_binds(
    entries: list[ConsentEntry], rule: Rule, channel: str, category: str, address: str | None
) -> None:
    told = [*entries, no(channel, category, 5, address)]
    assert not permission(told, "sms", "marketing", ME, rule).allowed


@given(ENTRIES, RULES)
def test_a_grant_as_precise_as_can_be_opens_unless_an_address_is_closed(
    entries: list[ConsentEntry], rule: Rule
) -> None:
    assert permission([*entries, yes("sms", "marketing", 6)], "sms", "marketing", ME, rule).allowed


def test_a_ledger_of_thousands_of_lines_is_read_in_one_pass() -> None:
    entries = [one for at in range(0, 20_000, 2) for one in (no("sms", "*", at, ME), yes("sms", "*", at + 1, ME))]
    assert permission(entries, "sms", "service", ME, "opt_out").code == "granted"


def stop_all(at: int, source: str, category: str = "*") -> ConsentEntry:
    """STOP ALL, texted from an address: it binds the person, and names where it was said."""
    return ConsentEntry("*", category, "withdrawn", "sms_keyword", "STOP ALL", at, source=source)


@pytest.mark.parametrize("category", ["*", "survey"])
def test_what_a_phone_stopped_everywhere_stays_so_at_that_phone_whoever_is_written_to_again(category: str) -> None:
    said = stop_all(1, ME, category)
    page = ConsentEntry("*", category, "granted", "lifted_by_page", "Write to me again", 2)
    ledger = [said, page]
    assert permission(ledger, "email", "survey", OTHER, "opt_out").allowed
    assert permission(ledger, "sms", "survey", OTHER, "opt_out").allowed
    assert permission(ledger, "sms", "survey", ME, "opt_out").code == "opted_out"
    assert closed_by(ledger, ME) == (("*", category),)
    assert in_force(ledger) == [said]
    assert of_person(ledger) == []
    assert [(one.state, one.address) for one in effective(ledger)] == [("granted", None), ("withdrawn", ME)]
    by_name = yes("sms", category, 3)
    assert needs_proof(ledger, by_name), "it would open the phone"
    assert not needs_proof(ledger, yes("*", category, 3)), "nothing that is still closed"
    assert permission([*ledger, by_name], "sms", "survey", ME, "opt_out").allowed, "with proof, by name"
    start = ConsentEntry("*", category, "granted", "lifted_by_sms_keyword", "START", 3, source=ME)
    assert permission([*ledger, start], "sms", "survey", ME, "opt_out").allowed
    assert in_force([*ledger, start]) == []


def test_two_phones_that_stopped_everything_are_each_opened_from_themselves() -> None:
    start = ConsentEntry("*", "*", "granted", "lifted_by_sms_keyword", "START", 3, source=ME)
    page = no("*", "*", 2)
    for ledger in ([stop_all(1, ME), stop_all(2, OTHER), start], [stop_all(1, ME), page, start]):
        kept = compacted(ledger)
        assert len(kept) == len(ledger)
        assert permission(kept, "email", "survey", "x", "opt_out").code == "opted_out", "the other word stands"
    both = [stop_all(1, ME), stop_all(2, OTHER), yes("*", "*", 3)]
    assert not permission(compacted(both), "sms", "survey", ME, "opt_out").allowed
    assert not permission(compacted(both), "sms", "survey", OTHER, "opt_out").allowed


def test_what_one_person_says_within_a_millisecond_counts_in_its_order() -> None:
    """A grant that is given after a withdrawal on record is later, even where the clock has not moved on."""
    off, on = no("*", "survey", 5), yes("*", "survey", 5)
    assert following([off], on).at == 6
    assert lifts(following([off], on), off)
    assert following([no("*", "survey", 4), no("sms", "*", 5)], on) == on
    assert following([on], off) == off
