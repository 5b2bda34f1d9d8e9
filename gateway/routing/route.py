"""Which addresses a message may be tried on, in which order, and why each other one is not used."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from gateway.customer import Address, Customer, Preferences, QuietHours
from gateway.message import Message, Skipped, Why
from gateway.numbers import country_of, is_costly, is_phone_channel
from gateway.preferences.caps import Counted, SharedCap
from gateway.preferences.consent import permission
from gateway.preferences.ranking import rank
from gateway.routing.policy import Category, caps_of

UNFIT_TEXT = {
    "too_long": "The text is too long for {channel}, and nothing is ever cut.",
    "no_template": "There is no text or template of this message for {channel}.",
    "no_window": "The person has not written there lately, and there is no template for outside that window.",
    "no_voice": "There is no voice for the language of this text.",
    "cannot_prompt": "The question cannot be put on {channel}.",
}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that routing obeys, the same for every message."""

    categories: Mapping[str, Category]
    quiet_hours: QuietHours | None
    time_zone: str
    countries: frozenset[str] | None = None
    prefixes: tuple[str, ...] = ()
    """Numbers that begin so are allowed, whatever their country and kind."""
    team: frozenset[str] = frozenset()
    caps: Mapping[str, SharedCap] = {}
    """Caps over several categories, by name."""

    def caps_of(self, category: str) -> tuple[Counted, ...]:
        """The caps that a message of a category counts against. Raises KeyError for an unknown category."""
        return caps_of(category, self.categories[category], self.caps)


class Candidate(msgspec.Struct, frozen=True):
    """An address that may be tried."""

    address: Address
    why: Why

    @property
    def key(self) -> tuple[str, str]:
        """Channel and address value."""
        return self.address.channel, self.address.value


def candidates(
    message: Message, customer: Customer, category: Category, rules: Rules, known: Collection[str], now: int
) -> tuple[list[Candidate], tuple[Skipped, ...]]:
    """The addresses to try in order, and what was skipped with the reason."""
    addresses = (
        customer.addresses
        if message.addresses is None
        else tuple(Address(channel, value) for channel, value in message.addresses)
    )
    # Who asks for a code at an address wants it there, whatever their order of channels says.
    asked = message.addresses is not None and category.consent == "asked"
    wishes = Preferences() if asked else customer.preferences
    ranked = rank(addresses, wishes, message.category, category.channels, message.reach.channels, known)
    chosen: list[Candidate] = []
    skipped = list(ranked.skipped)
    for address, why in ranked.chosen:
        refusal = _refusal(address, message, customer, category, rules, now)
        if refusal is None:
            chosen.append(Candidate(address, why))
        else:
            skipped.append(Skipped(address.channel, refusal, address.value))
    return chosen, tuple(skipped)


def _refusal(
    address: Address, message: Message, customer: Customer, category: Category, rules: Rules, now: int
) -> Why | None:
    unfit = message.unfit.get(address.channel)
    if unfit is not None:
        return Why(unfit, UNFIT_TEXT[unfit].format(channel=address.channel))
    if message.mode == "team" and address.value not in rules.team:
        return Why("not_in_team", "A team key reaches only the addresses listed in TEAM_ADDRESSES.")
    barred = _barred(address, rules)
    if barred is not None:
        return Why("country", barred)
    health = customer.health_of(address, now)
    if health is not None and health.state == "suppressed" and not message.proves:
        return Why("suppressed_address", f"This address is no longer used: {health.reason}")
    allowed = permission(
        customer.consents, address.channel, message.category, customer.keys.get(address.value), category.consent
    )
    return None if allowed.allowed else Why(allowed.code, allowed.text)


def _barred(address: Address, rules: Rules) -> str | None:
    """Why the settings keep a telephone number from being used; None: they don't."""
    if not is_phone_channel(address.channel) or address.value.startswith(rules.prefixes):
        return None
    country = country_of(address.channel, address.value)
    if rules.countries is not None and country is not None and country not in rules.countries:
        return f"Sending to {country} is not allowed by ALLOWED_COUNTRIES."
    if is_costly(address.value):
        return "A premium-rate, shared-cost or satellite number: its prefix would have to stand in ALLOWED_COUNTRIES."
    return None
