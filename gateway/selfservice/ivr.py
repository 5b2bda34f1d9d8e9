"""The telephone menu as a state machine: pure, so that every path of it can be walked by tests.

Two functions: `press` says what keys mean at a place, and where the caller goes; `speak` what is said at a place. Between
the two the changes are carried out, so what is said is already true.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.channels.base import Line
from gateway.prompts import digits_needed, opt_out_key, read_key
from gateway.selfservice.ivr_state import (
    CHANNELS,
    GROUPS,
    Change,
    Facts,
    GiveAnswer,
    Lift,
    Node,
    SetLanguage,
    SetOrder,
    SetQuiet,
    State,
    Stop,
)
from gateway.selfservice.ivr_words import LANGUAGES, Tongue, tongue

MOST_SILENCES: Final = 3
MOST_TURNS: Final = 60
"""Nobody needs so many; a machine that presses keys would never end."""
_OPEN_TO_STRANGERS: Final[frozenset[Node]] = frozenset(("main", "language"))


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What keys led to: what is said at once, what changes, and the next place; None: good-bye."""

    state: State | None
    said: tuple[Line, ...] = ()
    changes: tuple[Change, ...] = ()


def begin(facts: Facts) -> Move:
    """The caller is greeted: with the message that waits for them, else the menu; a stranger chooses a language."""
    speaks = tongue(facts.language, facts.default)
    words = speaks.words
    said = speaks.lines(words.hello_from(facts.company), "" if facts.known else words.unknown)
    state = State(node="main" if facts.known else "language", language=speaks.tag)
    if facts.known and facts.question is not None:
        state = _to(state, "question", message=facts.question.message)
    return Move(state=state, said=said)


def press(state: State, keys: str, facts: Facts) -> Move:
    """What keys mean at a place. No keys: silence, after three rounds of which the call ends."""
    state = fitting(state, facts)
    if state.turns + 1 >= MOST_TURNS or (not keys and state.silent + 1 >= MOST_SILENCES):
        return goodbye(state.language, facts.default)
    state = msgspec.structs.replace(state, turns=state.turns + 1, silent=0 if keys else state.silent + 1)
    if not keys or (keys == "0" and state.node != "question"):
        return Move(state=state)
    speaks = tongue(state.language, facts.default)
    found = _KEYS[state.node](state, keys, facts, speaks)
    return found or Move(state=state, said=speaks.lines(speaks.words.not_understood))


def fitting(state: State, facts: Facts) -> State:
    """The place, or the first menu where it no longer fits what is known: the customer or the question has gone."""
    gone = state.node == "question" and (facts.question is None or facts.question.message != state.message)
    if gone or (not facts.known and state.node not in _OPEN_TO_STRANGERS):
        return _to(state, "main")
    lone = state.node in ("order", "confirm") and (
        not set(state.picked) <= set(facts.channels) or state.group not in facts.ways
    )
    half = (state.node == "confirm" and not state.picked) or (
        state.node in ("quiet_to", "quiet_ok") and not clock(state.start)
    )
    if lone or half or (state.node == "quiet_ok" and not clock(state.end)):
        return _to(state, "main")
    return state


def goodbye(language: str, default: str) -> Move:
    """The call ends."""
    speaks = tongue(language, default)
    return Move(state=None, said=speaks.lines(speaks.words.goodbye))


def clock(digits: str) -> str:
    """Four digits as a time "HH:MM"; "" where they are none."""
    fits = len(digits) == 4 and digits.isdecimal() and int(digits[:2]) < 24 and int(digits[2:]) < 60
    return f"{digits[:2]}:{digits[2:]}" if fits else ""


def keys_wanted(state: State, facts: Facts) -> int:
    """How many keys are waited for at a place."""
    if state.node == "question" and facts.question is not None:
        return max(1, digits_needed(facts.question.prompt))
    return 4 if state.node in ("quiet_from", "quiet_to") else 1


def _to(state: State, node: Node, **more: object) -> State:
    """Another place of the same call; what was being chosen is kept only where it is named."""
    return msgspec.structs.replace(
        State(node=node, language=state.language, turns=state.turns, silent=state.silent), **more
    )


def _question(state: State, keys: str, facts: Facts, speaks: Tongue) -> Move | None:
    asked = facts.question
    if asked is None or keys == "*":
        return Move(state=_to(state, "main"))
    heard = tongue(asked.language, facts.default)
    if keys == opt_out_key(asked.prompt):
        said = speaks.lines(speaks.words.main.calls_stopped)
        return Move(state=_to(state, "main"), said=said, changes=(Stop("calls", asked.asks),))
    value = read_key(asked.prompt, keys)
    if value is None:
        return Move(state=state) if keys == "0" else None
    said = heard.lines(heard.words.thanks)
    return Move(state=_to(state, "main"), said=said, changes=(GiveAnswer(asked.message, keys, value),))


def _main(state: State, keys: str, facts: Facts, speaks: Tongue) -> Move | None:
    words, again = speaks.words.main, _to(state, "main")
    match keys:
        case "1" if facts.stopped:
            return Move(state=again, said=speaks.lines(words.stopped))
        case "1" if facts.known:
            if len(facts.channels) < 2:
                return Move(state=again, said=speaks.lines(speaks.words.reach.only_one))
            return Move(state=_to(state, "groups"))
        case "2" if facts.known:
            return Move(state=again, said=speaks.lines(words.calls_stopped), changes=(Stop("calls", words.stop_calls),))
        case "2":
            said = speaks.lines(words.number_stopped)
            return Move(state=again, said=said, changes=(Stop("number", words.stop_number),))
        case "3" if facts.known:
            return Move(state=_to(state, "stop_all"))
        case "4":
            return Move(state=_to(state, "language"))
        case "5" if facts.known:
            return Move(state=_to(state, "quiet"))
        case "9" if not facts.borrowed:
            if not facts.closed:
                return Move(state=again, said=speaks.lines(words.stopped if facts.stopped else words.nothing_stopped))
            return Move(state=again, said=speaks.lines(words.started), changes=(Lift(words.start),))
        case "#" | "*":
            return Move(state=again)
        case _:
            return None


def _stop_all(state: State, keys: str, _facts: Facts, speaks: Tongue) -> Move | None:
    if keys == "1":
        words = speaks.words.stop_all
        return Move(state=_to(state, "main"), said=speaks.lines(words.done), changes=(Stop("everything", words.ask),))
    return _back(state, keys)


def _language(state: State, keys: str, facts: Facts, speaks: Tongue) -> Move | None:
    if keys not in ("1", "2", "3", "4"):
        return _back(state, keys)
    chosen = LANGUAGES[int(keys) - 1]
    # Somebody of Taiwan who stays with traditional Chinese goes on hearing Mandarin.
    tag = speaks.tag if speaks.text == chosen else chosen
    new = Tongue(tag, chosen)
    said = new.lines(new.words.language.done) if facts.known else ()
    changes = (SetLanguage(chosen),) if facts.known and tongue(facts.language, facts.default).text != chosen else ()
    return Move(state=msgspec.structs.replace(_to(state, "main"), language=tag), said=said, changes=changes)


def _groups(state: State, keys: str, facts: Facts, _speaks: Tongue) -> Move | None:
    offered = dict(zip("12345", GROUPS, strict=True))
    if (group := offered.get(keys)) is not None and group in facts.ways:
        return Move(state=_to(state, "order", group=group))
    return _back(state, keys)


def _order(state: State, keys: str, facts: Facts, _speaks: Tongue) -> Move | None:
    picked = state.picked
    if keys == "#":
        node: Node = "order" if picked else "groups"
        return Move(state=_to(state, node, group=state.group, picked=picked[:-1]))
    if keys == "9" and picked:
        return Move(state=_to(state, "confirm", group=state.group, picked=picked))
    left = dict(zip("1234", CHANNELS, strict=True))
    if (channel := left.get(keys)) is None or channel in picked or channel not in facts.channels:
        return None
    picked = (*picked, channel)
    node = "confirm" if set(picked) == set(facts.channels) else "order"
    return Move(state=_to(state, node, group=state.group, picked=picked))


def _confirm(state: State, keys: str, facts: Facts, speaks: Tongue) -> Move | None:
    if keys == "1":
        changes = (SetOrder(state.group, state.picked),)
        agree = speaks.words.order.agree if state.group in facts.unagreed else ""
        return Move(state=_to(state, "main"), said=speaks.lines(speaks.words.saved, agree), changes=changes)
    return Move(state=_to(state, "order", group=state.group)) if keys == "#" else None


def _quiet(state: State, keys: str, facts: Facts, speaks: Tongue) -> Move | None:
    saved = speaks.lines(speaks.words.saved)
    if keys == "1":
        return Move(state=_to(state, "main"), said=saved, changes=(SetQuiet("none"),))
    if keys == "2" and facts.usual is not None:
        return Move(state=_to(state, "main"), said=saved, changes=(SetQuiet("usual"),))
    if keys == "3":
        return Move(state=_to(state, "quiet_from"))
    return _back(state, keys)


def _quiet_from(state: State, keys: str, _facts: Facts, speaks: Tongue) -> Move | None:
    if "#" in keys or "*" in keys:
        return Move(state=_to(state, "quiet"))
    if not clock(keys):
        return Move(state=state, said=speaks.lines(speaks.words.quiet.wrong))
    return Move(state=_to(state, "quiet_to", start=keys))


def _quiet_to(state: State, keys: str, _facts: Facts, speaks: Tongue) -> Move | None:
    if "#" in keys or "*" in keys:
        return Move(state=_to(state, "quiet_from"))
    if not clock(keys) or keys == state.start:
        said = speaks.words.quiet.wrong if not clock(keys) else speaks.words.quiet.same
        return Move(state=state, said=speaks.lines(said))
    return Move(state=_to(state, "quiet_ok", start=state.start, end=keys))


def _quiet_ok(state: State, keys: str, _facts: Facts, speaks: Tongue) -> Move | None:
    if keys == "1":
        changes = (SetQuiet("own", clock(state.start), clock(state.end)),)
        return Move(state=_to(state, "main"), said=speaks.lines(speaks.words.saved), changes=changes)
    return Move(state=_to(state, "quiet_from")) if keys == "#" else None


def _back(state: State, keys: str) -> Move | None:
    return Move(state=_to(state, "main")) if keys == "#" else None


_KEYS: Final[dict[Node, Callable[[State, str, Facts, Tongue], Move | None]]] = {
    "question": _question,
    "main": _main,
    "stop_all": _stop_all,
    "language": _language,
    "groups": _groups,
    "order": _order,
    "confirm": _confirm,
    "quiet": _quiet,
    "quiet_from": _quiet_from,
    "quiet_to": _quiet_to,
    "quiet_ok": _quiet_ok,
}
