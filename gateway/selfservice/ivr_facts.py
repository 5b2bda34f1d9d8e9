"""What is known of somebody who calls: who they are, how we reach them now, and what still waits for their answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import msgspec

from gateway.channels.base import Rendered
from gateway.customer import Customer
from gateway.delivery.answers import closed
from gateway.delivery.desk import Desk
from gateway.delivery.words import Words, unpack
from gateway.message import Mode
from gateway.preferences.consent import ANY, closed_by, of_person, permission, where_said
from gateway.preferences.ranking import rank
from gateway.routing.policy import Category
from gateway.selfservice.ivr_state import CHANNELS, GROUPS, Facts, Group, Question
from gateway.store.customers import ONE_OFF

_NEWEST: Final = 10
_NEVER_READ_OUT: Final = frozenset(("code",))


class Caller(msgspec.Struct, frozen=True):
    """Somebody on the line: their number, and whose it is. `version`: of the customer as they were read.

    `trusted` False: the network proves that the number is borrowed.
    """

    number: str
    customer: Customer | None = None
    version: int = 0
    trusted: bool = True


class Callers:
    """Looks callers up. `company`: what we call ourselves; `usable`: the channels of this installation; `default`: the
    language for people nobody knows; `linked_to`: whom operators said an address is that nobody is known to own.
    """

    def __init__(
        self,
        desk: Desk,
        words: Words,
        linked_to: Callable[[str], Awaitable[str | None]],
        *,
        usable: Collection[str],
        company: str,
        default: str,
    ) -> None:
        self._desk = desk
        self._customers = desk.customers
        self._words = words
        self._linked_to = linked_to
        self._rules = desk.rules
        self._clock = desk.clock
        self._usable = usable
        self._company = company
        self._default = default

    async def who(self, number: str, *, trusted: bool) -> Caller:
        """The one customer whose number it is; of several the one last written to there; of none whoever it was linked to.

        Nobody where it isn't sure.
        """
        if not trusted:
            return Caller(number, trusted=False)
        owners = await self._customers.owners(number)
        people = [name for name in owners if not name.startswith(ONE_OFF)]
        linked = None if people else await self._linked_to(number)
        known = [linked] if linked is not None else people or owners
        name = known[0] if len(known) == 1 else None
        for channel in ("voice", "sms") if len(known) > 1 else ():
            name = name or await self._customers.last_written(number, channel)
        found = await self._customers.load(name) if name is not None else None
        return Caller(number) if found is None else Caller(number, *found)

    async def closed(self, caller: Caller) -> tuple[tuple[str, str], ...]:
        """What that number has closed and may open again: (channel, category) pairs."""
        held = [*await self._customers.bound([caller.number]), *(caller.customer.consents if caller.customer else ())]
        return closed_by(held, self._customers.address_key(caller.number))

    async def facts(self, mode: Mode, caller: Caller) -> Facts:
        """What the menu needs to know."""
        person = caller.customer
        shut = await self.closed(caller)
        if person is None:
            return Facts(
                language=self._default,
                default=self._default,
                company=self._company,
                closed=bool(shut) and caller.trusted,
                borrowed=not caller.trusted,
            )
        quiet = person.preferences.quiet_hours
        own = {address.channel for address in person.addresses}
        ways = self._ways(person)
        return Facts(
            known=True,
            language=person.preferences.language or person.locale or self._default,
            default=self._default,
            company=self._company,
            ways=ways,
            channels=tuple(channel for channel in CHANNELS if channel in own and channel in self._usable),
            quiet=self._rules.quiet_hours if isinstance(quiet, msgspec.UnsetType) else quiet,
            usual=self._rules.quiet_hours,
            closed=bool(shut),
            calls_closed=any(pair in shut for pair in (("voice", ANY), (ANY, ANY))),
            stopped=not any(ways.values()) and self._stopped_elsewhere(person, caller.number),
            unagreed=tuple(group for group, names in GROUPS.items() if any(self._asks(person, one) for one in names)),
            question=await self._question(mode, caller),
        )

    def _stopped_elsewhere(self, person: Customer, number: str) -> bool:
        """Whether they stopped everything by another way than from this number, which alone is opened from here."""
        here = self._customers.address_key(number)
        general = [one for one in of_person(person.consents) if one.channel == one.category == ANY]
        return any(where_said(one) != here for one in general)

    def _ways(self, person: Customer) -> dict[Group, tuple[str, ...]]:
        found: dict[Group, tuple[str, ...]] = {"all": ()}
        for group, names in GROUPS.items():
            name = next((name for name in names if name in self._rules.categories), None)
            if name is not None:
                found[group] = self._order(person, name, self._rules.categories[name])
        return found

    def _asks(self, person: Customer, name: str) -> bool:
        """Whether messages of a category wait for the person's agreement, whichever channel they take."""
        category = self._rules.categories.get(name)
        if category is None or category.consent != "opt_in":
            return False
        found = [
            permission(person.consents, one.channel, name, person.keys.get(one.value), category.consent)
            for one in person.addresses
        ]
        return not any(one.allowed for one in found) and any(one.code == "no_consent" for one in found)

    def _order(self, person: Customer, name: str, category: Category) -> tuple[str, ...]:
        """The channels by which messages of a category reach a person now, in order."""
        now = self._clock.now()
        ranked = rank(person.addresses, person.preferences, name, category.channels, None, self._usable)
        channels: dict[str, None] = {}
        for address, _why in ranked.chosen:
            health = person.health_of(address, now)
            key = person.keys.get(address.value)
            allowed = permission(person.consents, address.channel, name, key, category.consent).allowed
            if allowed and (health is None or health.state != "suppressed"):
                channels[address.channel] = None
        return tuple(channels)

    async def _question(self, mode: Mode, caller: Caller) -> Question | None:
        """The newest message that was sent to this very number and still waits for an answer that keys can give."""
        person = caller.customer
        if person is None:
            return None
        for message_id in (await self._desk.messages.awaiting(mode, person.id))[:_NEWEST]:
            case = await self._desk.reopen(message_id)
            message = case.message if case is not None else None
            if case is None or message is None or message.prompt is None or message.prompt.kind == "text":
                continue
            here = any(attempt.address == caller.number for attempt in message.attempts)
            over = (
                message.answer is not None or message.superseded_by is not None or message.category in _NEVER_READ_OUT
            )
            if not here or over or closed(message, message.prompt, self._clock.now()):
                continue
            raw = await self._desk.messages.body(message)
            if raw is None or message.category not in self._rules.categories:
                continue
            category = self._desk.category(message)
            said = self._words.render(message, unpack(raw), case.customer, category, "voice", in_window=False)
            if isinstance(said, Rendered):
                return Question(
                    message=message.id,
                    language=said.language,
                    speech=said.speech or said.text,
                    asks=said.asks,
                    prompt=message.prompt,
                )
        return None
