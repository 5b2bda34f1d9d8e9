"""Every path through the telephone menu: it never breaks, and always ends."""

from __future__ import annotations

import string
from typing import Final, get_args

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.prompts import Option, Prompt
from gateway.selfservice.ivr import MOST_SILENCES, MOST_TURNS, begin, keys_wanted, press
from gateway.selfservice.ivr_speech import speak
from gateway.selfservice.ivr_state import Facts, Lift, Node, State, Stop, read_state
from tests.unit.test_ivr import KNOWN, QUESTION, STRANGER

KEYS: Final = st.sampled_from(
    ["", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "#", "*", "2100", "0800", "9999", "12#", "10"]
)
CHOICE: Final = Prompt(kind="choice", options=(Option("a", "New fridge"), Option("b", "Refund")))
FACTS: Final = st.sampled_from(
    [
        KNOWN,
        STRANGER,
        msgspec.structs.replace(KNOWN, language="zh-HK", closed=True, calls_closed=True, quiet=None, usual=None),
        msgspec.structs.replace(KNOWN, stopped=True, ways=dict.fromkeys(KNOWN.ways, ())),
        msgspec.structs.replace(KNOWN, language="el-CY", question=QUESTION),
        msgspec.structs.replace(KNOWN, question=msgspec.structs.replace(QUESTION, prompt=CHOICE, language="zh-Hans")),
        msgspec.structs.replace(KNOWN, channels=(), ways={"all": ()}),
    ]
)


@given(st.lists(st.tuples(KEYS, FACTS), max_size=40), FACTS)
def test_no_keys_and_no_news_meanwhile_break_it(path: list[tuple[str, Facts]], facts: Facts) -> None:
    """What is known may change between any two keys: the customer is erased, an address goes, a message is answered."""
    move = begin(facts)
    for keys, now in path:
        assert move.state is not None
        assert read_state(move.state.written()) == move.state, "a place survives the way through an address"
        lines = speak(move.state, now)
        assert lines
        assert all(line.text.strip() and "{" not in line.text for line in lines)
        assert 1 <= keys_wanted(move.state, now) <= 4
        move = press(move.state, keys, now)
        assert all("{" not in line.text for line in move.said)
        if not now.known:
            assert all(isinstance(change, Stop | Lift) for change in move.changes)
        if move.state is None:
            assert move.said
            return


@given(st.lists(KEYS, min_size=MOST_TURNS, max_size=MOST_TURNS), FACTS)
def test_every_call_ends(path: list[str], facts: Facts) -> None:
    move = begin(facts)
    for keys in path:
        if move.state is None:
            return
        move = press(move.state, keys, facts)
    assert move.state is None


@given(st.text(alphabet=string.printable, max_size=60))
def test_a_place_of_another_release_is_no_place(text: str) -> None:
    state = read_state(text)
    assert state is None or state.written() == text or state.picked


@given(
    st.sampled_from(get_args(Node)),
    st.text(alphabet="0123456789#*", max_size=8),
    FACTS,
    st.sampled_from(["", "sv", "w"]),
)
def test_any_place_can_be_entered_from_outside(node: str, keys: str, facts: Facts, picked: str) -> None:
    """A place comes back in an address: even one that no caller was led to must not break anything."""
    state = read_state(f"{node}.en.3.0.outage.{picked}.2100..m1")
    assert state is not None
    assert speak(state, facts)
    move = press(state, keys, facts)
    assert move.state is None or speak(move.state, facts)


def test_every_place_can_be_reached() -> None:
    asked, seen, ahead = (
        msgspec.structs.replace(KNOWN, question=QUESTION),
        set[str](),
        [begin(msgspec.structs.replace(KNOWN, question=QUESTION)).state],
    )
    reached: set[str] = set()
    while ahead:
        state = ahead.pop()
        if state is None:
            continue
        bare = msgspec.structs.replace(state, turns=0, silent=0)
        if bare.written() in seen:
            continue
        seen.add(bare.written())
        reached.add(state.node)
        ahead += [press(bare, keys, asked).state for keys in ("1", "2", "3", "4", "5", "9", "#", "*", "2100", "0800")]
    assert reached == set(get_args(Node))


def test_silence_ends_every_place() -> None:
    for node in get_args(Node):
        state: State | None = State(
            node=node, language="en", picked=("sms",), start="2100", end="0800", message=QUESTION.message
        )
        asked = msgspec.structs.replace(KNOWN, question=QUESTION)
        for _ in range(MOST_SILENCES):
            assert state is not None
            state = press(state, "", asked).state
        assert state is None, node
