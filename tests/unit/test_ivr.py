"""The telephone menu, walked without a telephone."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from gateway.customer import QuietHours
from gateway.prompts import Prompt
from gateway.selfservice.ivr import begin, clock, keys_wanted, press
from gateway.selfservice.ivr_speech import speak
from gateway.selfservice.ivr_state import (
    Facts,
    GiveAnswer,
    Lift,
    Question,
    SetLanguage,
    SetOrder,
    SetQuiet,
    State,
    Stop,
)
from gateway.selfservice.ivr_words import LANGUAGES, words_in

EN: Final = words_in("en")
QUESTION: Final = Question(
    message="m0123456789abc",
    language="en",
    speech="The power is out.",
    asks="Press 1.",
    prompt=Prompt(kind="acknowledge"),
)
KNOWN: Final = Facts(
    known=True,
    language="en",
    default="en",
    ways={"all": (), "outage": ("voice", "sms"), "service": ("sms",), "survey": ("sms",), "marketing": ()},
    channels=("sms", "voice", "email"),
    quiet=QuietHours("21:00", "08:00"),
    usual=QuietHours("21:00", "08:00"),
)
STRANGER: Final = Facts(language="el", default="el")


def walk(keys: str, facts: Facts = KNOWN) -> tuple[State | None, list[Any], list[str]]:
    """Keys pressed one group after the other ("1 2 2100"; "-": silence): the place, the changes, what was said last."""
    move, changes = begin(facts), list[Any]()
    for group in keys.split():
        assert move.state is not None, "the call is over"
        move = press(move.state, "" if group == "-" else group, facts)
        changes += move.changes
    return move.state, changes, [line.text for line in move.said]


@pytest.mark.parametrize(
    "keys, changes",
    [
        ("1 1 2 1 9 1", [SetOrder("all", ("voice", "sms"))]),
        ("1 2 2 1 3 1", [SetOrder("outage", ("voice", "sms", "email"))]),  # the last one chosen, nothing is left to ask
        ("1 2 1 # 2 9 1", [SetOrder("outage", ("voice",))]),  # one step back takes the last choice back
        ("1 2 2 9 # 1 9 1", [SetOrder("outage", ("sms",))]),
        ("1 5 3 9 1", [SetOrder("marketing", ("email",))]),
        ("2", [Stop("calls", EN.main.stop_calls)]),
        ("3 1", [Stop("everything", EN.stop_all.ask)]),
        ("3 #", []),
        ("4 4", [SetLanguage("el")]),
        ("4 1", []),  # it was English before
        ("5 1", [SetQuiet("none")]),
        ("5 2", [SetQuiet("usual")]),
        ("5 3 2230 0715 1", [SetQuiet("own", "22:30", "07:15")]),
        ("5 3 2230 0715 # 2100 0800 1", [SetQuiet("own", "21:00", "08:00")]),
        ("5 3 2560 2230 2230 0715 1", [SetQuiet("own", "22:30", "07:15")]),  # no time of day, then the same twice
        ("9", []),  # nothing is stopped
        ("0 8 7 * # 0", []),
    ],
)
def test_what_keys_change(keys: str, changes: list[Any]) -> None:
    state, found, _ = walk(keys)
    assert found == changes
    assert state is not None
    assert state.node == "main"


def test_a_stranger_chooses_a_language_and_can_stop_the_number() -> None:
    state, changes, _ = walk("2 2", STRANGER)
    assert changes == [Stop("number", words_in("zh-Hans").main.stop_number)]
    assert state is not None
    assert state.language == "zh-Hans"
    assert [line.language for line in speak(begin(STRANGER).state or state, STRANGER)][:4] == list(LANGUAGES)


@pytest.mark.parametrize("keys", ["1 1", "1 3", "1 5", "1 9"])
def test_a_stranger_can_change_nothing_else(keys: str) -> None:
    _, changes, said = walk(keys, STRANGER)
    assert changes == []
    assert said


def test_what_was_stopped_can_be_started_again() -> None:
    stopped = msgspec.structs.replace(KNOWN, closed=True, calls_closed=True)
    heard = [line.text for line in speak(State(node="main", language="en"), stopped)]
    assert EN.main.start in heard
    assert EN.main.stop_calls not in heard
    assert walk("9", stopped)[1] == [Lift(EN.main.start)]


def test_who_stopped_everything_elsewhere_hears_so_and_where_it_is_started_again() -> None:
    stopped = msgspec.structs.replace(KNOWN, ways=dict.fromkeys(KNOWN.ways, ()), stopped=True)
    heard = [line.text for line in speak(State(node="main", language="en"), stopped)]
    assert heard == [EN.main.stopped, EN.main.language, EN.main.quiet, EN.repeat]
    for keys in ("1", "9"):
        assert walk(keys, stopped)[1:] == ([], [EN.main.stopped])
    both = msgspec.structs.replace(stopped, closed=True)
    assert EN.main.start in [line.text for line in speak(State(node="main", language="en"), both)]
    assert walk("9", both)[1] == [Lift(EN.main.start)], "what this number has stopped is opened from it all the same"


@pytest.mark.parametrize("more", [{"unagreed": ("outage",)}, {"ways": dict.fromkeys(KNOWN.ways, ())}])
def test_nobody_is_told_that_they_are_reached_by_an_order_that_nothing_is_sent_by(more: dict[str, Any]) -> None:
    chosen = State(node="confirm", language="en", group="outage", picked=("voice", "sms"))
    heard = [line.text for line in speak(chosen, msgspec.structs.replace(KNOWN, **more))]
    assert heard[0] == "For outages, your order is: calls, text messages."


def test_a_message_that_waits_comes_first() -> None:
    asked = msgspec.structs.replace(KNOWN, question=QUESTION)
    first = begin(asked).state
    assert first is not None
    assert [line.text for line in speak(first, asked)] == [
        EN.question.intro,
        QUESTION.speech,
        QUESTION.asks,
        EN.question.menu,
    ]
    assert walk("1", asked)[1] == [GiveAnswer(QUESTION.message, "1", value=True)]
    assert walk("9", asked)[1] == [Stop("calls", QUESTION.asks)]
    assert walk("* 2", asked)[1] == [Stop("calls", EN.main.stop_calls)]
    assert walk("0 5 1", asked)[1] == [GiveAnswer(QUESTION.message, "1", value=True)]


def test_a_scale_takes_two_keys_and_nought_is_an_answer() -> None:
    nps = msgspec.structs.replace(QUESTION, prompt=Prompt(kind="scale", min=0, max=10))
    asked = msgspec.structs.replace(KNOWN, question=nps)
    first = begin(asked).state
    assert first is not None
    assert keys_wanted(first, asked) == 2
    assert walk("0", asked)[1] == [GiveAnswer(QUESTION.message, "0", 0)]
    assert walk("10", asked)[1] == [GiveAnswer(QUESTION.message, "10", 10)]


def test_three_silences_end_the_call_and_a_key_begins_them_anew() -> None:
    assert walk("- -")[0] is not None
    state, _, said = walk("- - -")
    assert (state, said) == (None, [EN.goodbye])
    assert walk("- - 0 - -")[0] is not None


def test_an_unknown_key_is_said_to_be_one() -> None:
    state, _, said = walk("8")
    assert said == [EN.not_understood]
    assert state is not None
    assert state.node == "main"


def test_where_there_is_one_way_nothing_can_be_put_in_order() -> None:
    assert walk("1", msgspec.structs.replace(KNOWN, channels=("voice",)))[2] == [EN.reach.only_one]


def test_how_somebody_is_reached_is_told_in_a_sentence() -> None:
    heard = [line.text for line in speak(State(node="main", language="en"), KNOWN)]
    assert heard[0] == "For outages, we first call you, then send you a text."
    alike = msgspec.structs.replace(KNOWN, ways=dict.fromkeys(KNOWN.ways, ("sms",)))
    assert speak(State(node="main", language="en"), alike)[0].text == "For all messages, we send you a text."
    none = msgspec.structs.replace(KNOWN, ways=dict.fromkeys(KNOWN.ways, ()))
    assert speak(State(node="main", language="en"), none)[0].text == EN.reach.nothing


def test_what_is_left_out_is_said_before_it_is_saved() -> None:
    chosen = State(node="confirm", language="en", group="outage", picked=("voice",))
    heard = [line.text for line in speak(chosen, KNOWN)]
    assert heard[:2] == ["For outages, we call you.", "We will not use text messages, e-mail."]


def test_a_person_of_taiwan_who_stays_with_chinese_is_spoken_to_as_before() -> None:
    taiwan = msgspec.structs.replace(KNOWN, language="zh-TW")
    state, changes, _ = walk("4 3", taiwan)
    assert changes == []
    assert state is not None
    assert state.language == "zh-TW"


@pytest.mark.parametrize(
    "digits, local", [("2100", "21:00"), ("0000", "00:00"), ("2400", ""), ("1260", ""), ("210", ""), ("²100", "")]
)
def test_times_by_keys(digits: str, local: str) -> None:
    assert clock(digits) == local
