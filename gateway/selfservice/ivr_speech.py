"""What is said at each place of the telephone menu. Pure, as the menu itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.channels.base import Line
from gateway.selfservice.ivr import clock, fitting
from gateway.selfservice.ivr_state import CHANNELS, GROUPS, Facts, Group, Node, State
from gateway.selfservice.ivr_words import LANGUAGES, Words, tongue, words_in


def speak(state: State, facts: Facts) -> tuple[Line, ...]:
    """What a caller hears at a place, the keys they may press included."""
    state = fitting(state, facts)
    speaks = tongue(state.language, facts.default)
    words = speaks.words
    if state.node == "language":
        options = [
            Line(speaks.tag if speaks.text == one else one, words_in(one).language.option.format(key=key))
            for key, one in enumerate(LANGUAGES, 1)
        ]
        return (*options, *speaks.lines(words.repeat))
    if state.node == "question" and facts.question is not None:
        asked = facts.question
        told = tongue(asked.language, facts.default).lines(asked.speech, asked.asks)
        return (*speaks.lines(words.question.intro), *told, *speaks.lines(words.question.menu))
    return speaks.lines(*_SAID[state.node](state, facts, words))


def how_we_reach(facts: Facts, words: Words) -> list[str]:
    """One sentence where all that we send comes the same way; else one for each group that has a way, outages first."""
    groups: list[Group] = [group for group in GROUPS if group != "all" and group in facts.ways]
    used: list[Group] = [group for group in groups if facts.ways[group] or group == "outage"]
    if len({facts.ways[group] for group in used}) < 2:
        return [words.reached("all", facts.ways[used[0]] if used else ())]
    return [words.reached(group, facts.ways[group]) for group in used]


def _main(_state: State, facts: Facts, words: Words) -> list[str]:
    main = words.main
    start = main.start if facts.closed else ""
    if not facts.known:
        return [main.stop_number, main.language, start, words.repeat]
    if facts.stopped:
        return [main.stopped, main.language, main.quiet, start, words.repeat]
    stop = "" if facts.calls_closed else main.stop_calls
    # The first menu tells of outages alone, the rest is under 1: nobody wants to listen for a minute.
    return [
        how_we_reach(facts, words)[0],
        main.order,
        stop,
        main.stop_all,
        main.language,
        main.quiet,
        start,
        words.repeat,
    ]


def _stop_all(_state: State, _facts: Facts, words: Words) -> list[str]:
    return [words.stop_all.ask, words.back]


def _groups(_state: State, facts: Facts, words: Words) -> list[str]:
    said = words.groups
    options = [
        said.option.format(group=getattr(said, group), key=key)
        for key, group in enumerate(GROUPS, 1)
        if group in facts.ways
    ]
    return [*how_we_reach(facts, words), said.ask, *options, words.repeat, words.back]


def _order(state: State, facts: Facts, words: Words) -> list[str]:
    said = words.order
    options = [
        said.option[channel].format(key=key)
        for key, channel in enumerate(CHANNELS, 1)
        if channel in facts.channels and channel not in state.picked
    ]
    asks = said.next if state.picked else said.first
    return [asks, *options, said.done if state.picked else "", words.repeat, words.back]


def _confirm(state: State, facts: Facts, words: Words) -> list[str]:
    unused = [
        words.order.name[channel] for channel in CHANNELS if channel in facts.channels and channel not in state.picked
    ]
    left = words.reach.unused.format(ways=words.reach.between.join(unused)) if unused else ""
    silent = state.group in facts.unagreed or not any(facts.ways.values())
    chosen = noted(state, words) if silent else words.reached(state.group, state.picked)
    return [chosen, left, words.save, words.repeat, words.back]


def noted(state: State, words: Words) -> str:
    """The order that was chosen, where nothing is sent by it: nobody is told that we write who hasn't agreed to it."""
    ways = words.reach.between.join(words.order.name[channel] for channel in state.picked)
    return words.order.noted.format(group=getattr(words.groups, state.group), ways=ways)


def _quiet(_state: State, facts: Facts, words: Words) -> list[str]:
    said, now, usual = words.quiet, facts.quiet, facts.usual
    told = said.off_now if now is None else said.now.format(start=said.clock(now.start), end=said.clock(now.end))
    again = "" if usual is None else said.usual.format(start=said.clock(usual.start), end=said.clock(usual.end))
    return [told, said.off, again, said.own, words.repeat, words.back]


def _quiet_from(_state: State, _facts: Facts, words: Words) -> list[str]:
    return [words.quiet.start, words.back]


def _quiet_to(_state: State, _facts: Facts, words: Words) -> list[str]:
    return [words.quiet.end, words.back]


def _quiet_ok(state: State, _facts: Facts, words: Words) -> list[str]:
    said = words.quiet
    chosen = said.confirm.format(start=said.clock(clock(state.start)), end=said.clock(clock(state.end)))
    return [chosen, words.save, words.repeat, words.back]


_SAID: Final[dict[Node, Callable[[State, Facts, Words], list[str]]]] = {
    "main": _main,
    "stop_all": _stop_all,
    "groups": _groups,
    "order": _order,
    "confirm": _confirm,
    "quiet": _quiet,
    "quiet_from": _quiet_from,
    "quiet_to": _quiet_to,
    "quiet_ok": _quiet_ok,
}
