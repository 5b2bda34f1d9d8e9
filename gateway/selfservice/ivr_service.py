"""Answers people who call our number: looks them up, asks the menu what keys mean, carries it out, says what follows."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from email.utils import parseaddr
from typing import Any, Final

import msgspec
import structlog

from gateway.channels.base import Dialled, Inbound, Line, Speech
from gateway.delivery.desk import Desk
from gateway.delivery.inbound import Inbox
from gateway.delivery.inbox import InboundItems
from gateway.delivery.withdrawals import Withdrawals
from gateway.delivery.words import Words as MessageWords
from gateway.message import Mode
from gateway.people.people import Invalid, People
from gateway.preferences.consent import ANY
from gateway.prompts import Answer
from gateway.selfservice.ivr import Move, begin, keys_wanted, press
from gateway.selfservice.ivr_facts import Caller, Callers
from gateway.selfservice.ivr_speech import speak
from gateway.selfservice.ivr_state import (
    CHANNELS,
    GROUPS,
    Change,
    Facts,
    GiveAnswer,
    Lift,
    SetLanguage,
    SetOrder,
    SetQuiet,
    Stop,
    read_state,
)
from gateway.selfservice.ivr_words import tongue
from gateway.settings_types import Settings
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.pipe import StoreUnavailable

PATIENCE_S: Final = 8.0
"""Twilio waits 15 seconds for an answer, and a caller hears silence meanwhile."""

log = structlog.get_logger()


class NotDone(Exception):
    """A change can't be written, so nobody must be told that it was: the customer is gone, or their record is at odds."""


class PhoneMenu:
    """Self-service for those who call. Nothing is kept between two keys: the place in the menu comes back with each."""

    def __init__(
        self,
        callers: Callers,
        customers: Customers,
        people: People,
        inbox: Inbox,
        clock: Clock,
        *,
        categories: Collection[str],
        default: str,
    ) -> None:
        """`default`: the language for people nobody knows."""
        self._callers = callers
        self._customers = customers
        self._people = people
        self._inbox = inbox
        self._withdrawals = Withdrawals(customers, clock)
        self._clock = clock
        self._categories = categories
        self._default = default

    async def answer(self, mode: Mode, dialled: Dialled) -> Speech:
        """What somebody on the line hears next. Never fails for want of Redis: then they are asked to call later."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._answer(mode, dialled)
        except (StoreUnavailable, TimeoutError, NotDone) as why:
            log.warning("call_not_served", call=dialled.call, why=type(why).__name__)
            return self.later(dialled)

    def later(self, dialled: Dialled) -> Speech:
        """We can't serve anybody now."""
        state = read_state(dialled.state)
        speaks = tongue(state.language if state is not None else self._default, self._default)
        return Speech(lines=speaks.lines(speaks.words.later), keys=0)

    async def _answer(self, mode: Mode, dialled: Dialled) -> Speech:
        if dialled.caller is None:
            return Speech(lines=self._withheld(), keys=0)
        state = read_state(dialled.state)
        trusted = dialled.trusted and not (state is not None and state.borrowed)
        caller = await self._callers.who(dialled.caller, trusted=trusted)
        facts = await self._callers.facts(mode, caller)
        move = begin(facts) if state is None else press(state, dialled.keys, facts)
        log.info("call", call=dialled.call, node=move.state.node if move.state else "end", changes=len(move.changes))
        if move.changes:
            for change in move.changes:
                await self._carry_out(mode, caller, change, dialled)
            caller = await self._callers.who(dialled.caller, trusted=trusted)
            facts = await self._callers.facts(mode, caller)
        return _speech(move, facts)

    def _withheld(self) -> tuple[Line, ...]:
        spoken = {found.text: found for found in (tongue(tag, "en") for tag in (self._default, "en"))}
        return tuple(line for one in spoken.values() for line in one.lines(one.words.withheld))

    async def _carry_out(self, mode: Mode, caller: Caller, change: Change, dialled: Dialled) -> None:
        if isinstance(change, GiveAnswer):
            given = Answer(value=change.value, text=change.keys, channel="voice", at=self._clock.now())
            await self._inbox.answers.answer(change.message, given, None)
            return
        if mode != "live":
            return  # what test callers press changes nobody
        match change:
            case Stop() | Lift():
                await self._consent(caller, change, dialled)
            case SetOrder() | SetLanguage() | SetQuiet():
                await self._prefer(caller, change)

    async def _consent(self, caller: Caller, change: Stop | Lift, dialled: Dialled) -> None:
        """A withdrawal follows the number, whoever has it; what is stopped already isn't stopped again."""
        at = dialled.at or self._clock.now()
        said = Inbound(id=dialled.call, channel="voice", sender=caller.number, kind="ivr", text=change.wording, at=at)
        who = caller.customer.id if caller.customer is not None else None
        if isinstance(change, Lift):
            await self._withdrawals.lift(said, None, who)
            return
        shut = await self._callers.closed(caller)
        said = await self._withdrawals.dated(said, who)
        for channel in {"calls": ("voice",), "number": ("voice", "sms"), "everything": (ANY,)}[change.what]:
            if (channel, ANY) not in shut:
                await self._withdrawals.close(said, channel, customer=who)

    async def _prefer(self, caller: Caller, change: SetOrder | SetLanguage | SetQuiet) -> None:
        """Change the preferences as they stand, whoever else changes them meanwhile."""
        if caller.customer is None:
            return
        try:
            await self._people.change_preferences(
                caller.customer.id,
                lambda wishes: changed(wishes, change, self._categories),
                way="ivr",
                by_person=True,
            )
        except (Invalid, KeyError) as refused:
            raise NotDone(type(refused).__name__) from None


def phone_menu(
    desk: Desk,
    words: MessageWords,
    people: People,
    inbox: Inbox,
    items: InboundItems,
    settings: Settings,
    usable: Collection[str],
) -> PhoneMenu:
    """The menu of this installation. `usable`: the channels it has. It has the name of the pages, else that of the e-mails."""
    default = settings.default_locale
    callers = Callers(
        desk,
        words,
        items.linked_to,
        usable=usable,
        company=settings.brand.name or ("" if settings.smtp is None else parseaddr(settings.smtp.email_from)[0]),
        default=default,
    )
    return PhoneMenu(
        callers, desk.customers, people, inbox, desk.clock, categories=desk.rules.categories, default=default
    )


def changed(
    preferences: dict[str, Any], change: SetOrder | SetLanguage | SetQuiet, known: Collection[str]
) -> dict[str, Any]:
    """Preferences, in the form of their PUT, with one thing changed. `known`: the categories there are."""
    match change:
        case SetLanguage(language):
            return {**preferences, "language": language}
        case SetQuiet("usual"):
            return {name: value for name, value in preferences.items() if name != "quiet_hours"}
        case SetQuiet("none"):
            return {**preferences, "quiet_hours": None}
        case SetQuiet():
            return {**preferences, "quiet_hours": {"start": change.start, "end": change.end}}
        case SetOrder("all", channels):
            categories = {
                name: {field: value for field, value in choice.items() if field != "channels"}
                for name, choice in preferences.get("categories", {}).items()
            }
            kept = {name: choice for name, choice in categories.items() if choice}
            rest = {name: value for name, value in preferences.items() if name != "categories"}
            order = _with_unspoken(channels, preferences.get("channels"))
            return {**rest, "channels": order, **({"categories": kept} if kept else {})}
        case SetOrder(group, channels):
            categories = dict(preferences.get("categories", {}))
            for name in (name for name in GROUPS[group] if name in known):
                choice = categories.get(name, {})
                before = choice.get("channels", preferences.get("channels"))
                categories[name] = {**choice, "channels": _with_unspoken(channels, before)}
            return {**preferences, "categories": categories}


def _with_unspoken(channels: tuple[str, ...], before: list[str] | None) -> list[str]:
    """An order chosen by keys, and after it the channels of the former one that the menu has no words for."""
    return [*channels, *(channel for channel in before or () if channel not in CHANNELS)]


def _speech(move: Move, facts: Facts) -> Speech:
    if move.state is None:
        return Speech(lines=move.said, keys=0)
    lines = (*move.said, *speak(move.state, facts))
    state = msgspec.structs.replace(move.state, borrowed=facts.borrowed)
    return Speech(lines=lines, keys=keys_wanted(state, facts), state=state.written())
