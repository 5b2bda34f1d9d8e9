"""No message without consent, ever: the decision against the contract's own words, on random people and messages."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.customer import Address, CategoryPreference, ConsentEntry, Customer, Preferences
from gateway.message import Message
from gateway.preferences.consent import ends, in_force, lifts, opens, permission
from gateway.routing.policy import CATEGORIES
from gateway.routing.view import Turn
from gateway.store.addresses import compacted, needs_proof
from tests.support.consent_words import forbidden
from tests.support.routing import T0, Fate, failed, note, person, refused, taken
from tests.support.routing_world import World

CHANNELS = ("sms", "email", "voice", "wechat")
FEW = settings(max_examples=100, deadline=None)
ME, OTHER = "key-of-mine", "key-of-another"


def line(
    state: Any, channel: str, category: str, at: int, address: str | None = None, way: str = "api", proof: Any = None
) -> ConsentEntry:
    return ConsentEntry(channel, category, state, way, "words", T0 - 100 + at, proof, address)


def lines(*addresses: str | None, most: int = 10) -> st.SearchStrategy[list[ConsentEntry]]:
    entry = st.builds(
        line,
        st.sampled_from(["granted", "withdrawn"]),
        st.sampled_from([*CHANNELS, "*", "*"]),
        st.sampled_from(["marketing", "survey", "outage", "*", "*"]),
        st.integers(0, 6),
        st.sampled_from([None, None, *addresses]),
        st.sampled_from(["api", "lifted_by_sms_keyword"]),
    )
    return st.lists(entry, max_size=most)


@settings(max_examples=300, deadline=None)
@given(lines(ME, OTHER), st.sampled_from(["sms", "email"]), st.sampled_from(["marketing", "survey", "outage"]))
def test_what_is_permitted_the_contracts_words_permit(ledger: list[ConsentEntry], channel: str, category: str) -> None:
    rule = CATEGORIES[category].consent
    found = permission(ledger, channel, category, ME, rule)
    told = forbidden(ledger, channel, category, ME, opt_in=rule == "opt_in")
    assert not found.allowed or told is None, (found, told)


@given(lines(ME, OTHER))
def test_who_never_withdrew_gets_what_needs_no_consent(ledger: list[ConsentEntry]) -> None:
    grants = [one for one in ledger if one.state == "granted"]
    assert permission(grants, "sms", "outage", ME, "opt_out").allowed


@given(lines(ME, OTHER, most=14), st.sampled_from(CHANNELS), st.sampled_from(["marketing", "survey"]))
def test_a_record_keeps_all_of_a_ledger_that_decides(ledger: list[ConsentEntry], channel: str, category: str) -> None:
    whole = permission(ledger, channel, category, ME, "opt_in")
    assert permission(compacted(ledger), channel, category, ME, "opt_in").allowed == whole.allowed


@given(lines(ME, most=8), st.sampled_from(CHANNELS), st.sampled_from(["marketing", "survey"]))
def test_what_is_kept_of_an_erased_person_forbids_all_that_was_forbidden(
    ledger: list[ConsentEntry], channel: str, category: str
) -> None:
    kept = in_force(ledger)
    if not permission(ledger, channel, category, ME, "opt_out").allowed:
        assert not permission(kept, channel, category, ME, "opt_out").allowed


def test_a_grant_by_name_leaves_the_rest_of_a_stop_all_in_force() -> None:
    stop, back = line("withdrawn", "*", "*", 1), line("granted", "sms", "marketing", 2)
    assert lifts(back, stop)
    assert not ends(back, stop)
    assert in_force([stop, back]) == [stop]
    assert not permission(in_force([stop, back]), "email", "survey", ME, "opt_out").allowed
    assert needs_proof([stop, back], line("granted", "email", "survey", 3))
    assert not needs_proof([stop, back], line("granted", "sms", "marketing", 3))
    assert in_force([stop, back, line("granted", "*", "*", 3)]) == []


@given(lines(ME, most=8), lines(ME, most=1))
def test_without_proof_the_api_permits_nothing_that_was_withdrawn(
    ledger: list[ConsentEntry], more: list[ConsentEntry]
) -> None:
    for grant in (one for one in more if one.state == "granted" and not opens(ledger, one)):
        for channel in CHANNELS:
            for category in ("marketing", "survey", "outage"):
                before = permission(ledger, channel, category, ME, "opt_out")
                after = permission([*ledger, grant], channel, category, ME, "opt_out")
                assert before.allowed or not after.allowed, (channel, category)


@st.composite
def people(draw: st.DrawFn) -> Customer:
    owned = draw(st.lists(st.sampled_from([*CHANNELS, "sms:+306987654321"]), min_size=1, max_size=5, unique=True))
    customer = person(*owned)
    order = st.one_of(st.none(), st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True).map(tuple))
    wishes = {
        name: CategoryPreference(draw(order), draw(st.sampled_from([True, True, True, False])))
        for name in draw(st.lists(st.sampled_from(["marketing", "survey", "outage"]), unique=True))
    }
    customer.preferences = Preferences(channels=draw(order), categories=wishes, quiet_hours=None)
    customer.consents = tuple(draw(lines(*customer.keys.values())))
    if draw(st.booleans()):
        customer.consents = (*customer.consents, line("granted", "*", "marketing", draw(st.integers(0, 6))))
    return customer


@st.composite
def messages(draw: st.DrawFn, customer: Customer) -> Message:
    more: dict[str, Any] = {
        "mode": draw(st.sampled_from(["in_turn", "all_at_once"])),
        "rounds": draw(st.integers(1, 2)),
    }
    category = draw(st.sampled_from(["marketing", "survey", "outage"]))
    if CATEGORIES[category].step is not None:
        more["step"] = draw(st.sampled_from([60, 300]))
    if draw(st.booleans()):
        more["channels"] = tuple(draw(st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True)))
    if draw(st.sampled_from([True, False, False])):
        more["addresses"] = tuple((a.channel, a.value) for a in customer.addresses)
    return note(category, **more)


FATES: st.SearchStrategy[Fate] = st.sampled_from([taken(), taken(failed(30)), refused(), Fate("lost")])


@FEW
@given(st.data())
def test_no_message_ever_begins_that_the_contract_forbids(data: st.DataObject) -> None:
    customer = data.draw(people())
    message = data.draw(messages(customer))
    fates: dict[str, Fate] = data.draw(st.dictionaries(st.sampled_from([*CHANNELS]), FATES))
    world = World(customer, message, fates)
    begun: list[str] = []

    def watch(world: World, turn: Turn) -> None:
        begun.append(turn.channel)
        entries, key = world.customer.consents, world.customer.keys[turn.address.value]
        opt_in = CATEGORIES[message.category].consent == "opt_in"
        told = forbidden(entries, turn.channel, message.category, key, opt_in=opt_in)
        assert told is None, told
        choice = world.customer.preferences.categories.get(message.category)
        assert choice is None or choice.enabled, "switched off"
        assert Address(turn.channel, turn.address.value) in world.customer.addresses

    for after, entry in data.draw(st.lists(st.tuples(st.integers(0, 900), lines(*customer.keys.values(), most=1)))):
        world.at(after, lambda w, said=entry: _said(w, said))
    world.watch = watch
    world.run()
    assert world.message.done


def _said(world: World, entries: list[ConsentEntry]) -> None:
    """Something is said meanwhile: its time is now."""
    now = [ConsentEntry(e.channel, e.category, e.state, e.way, e.wording, world.now, None, e.address) for e in entries]
    world.customer = copy.copy(world.customer)
    world.customer.consents = (*world.customer.consents, *now)
