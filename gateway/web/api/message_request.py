"""From a message as it is asked for to what the intake takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from gateway import settings_values
from gateway.customer import Address, ConsentEntry
from gateway.delivery.request import NewMessage, Recipient
from gateway.numbers import normalise
from gateway.prompts import Option, Prompt
from gateway.web.api.types import AddressIn, ConsentIn, MessageIn, PromptIn, RecipientIn, internal

Faults = list[tuple[str, str]]


def new_message(asked: MessageIn, tree: dict[str, Any], now: int) -> tuple[NewMessage, Faults]:
    """The request, and what is wrong with it beyond its types. `tree`: the JSON it came from. `now` in ms."""
    faults: Faults = []
    message = NewMessage(
        category=asked.category,
        customer=asked.customer,
        recipient=None if asked.recipient is None else _recipient(asked.recipient, faults, now),
        template=asked.template,
        data=asked.data,
        content=cast("dict[str, Any] | None", tree.get("content")),
        reach=reach_given(tree),
        priority=asked.priority,
        prompt=None if asked.prompt is None else prompt_given(asked.prompt),
        thread=asked.thread,
        send_at=None if asked.send_at is None else internal(asked.send_at),
        send_at_local=asked.send_at_local,
        expires_at=None if asked.expires_at is None else internal(asked.expires_at),
        reference=asked.reference,
        metadata=asked.metadata,
    )
    return message, faults


def reach_given(tree: dict[str, Any]) -> dict[str, Any]:
    """What the caller said of the reach contract; nulls say nothing."""
    given = cast("dict[str, Any]", tree.get("reach") or {})
    return {name: value for name, value in given.items() if value is not None}


def addresses(given: tuple[AddressIn, ...], at: str, faults: Faults) -> tuple[Address, ...]:
    """Normalised addresses; wrong ones and repeats go into `faults`."""
    found: list[Address] = []
    seen: set[tuple[str, str]] = set()
    for number, one in enumerate(given):
        try:
            value = normalise(one.channel, one.value)
        except ValueError as wrong:
            faults.append((f"{at}/{number}/value", str(wrong)))
            continue
        if (one.channel, value) in seen:
            faults.append((f"{at}/{number}", f"stands twice under {one.channel}: give each address once."))
        seen.add((one.channel, value))
        found.append(Address(one.channel, value, one.label))
    return tuple(found)


def consent(given: ConsentIn, now: int) -> ConsentEntry:
    """A line for the ledger; without `at` it counts from `now` (ms)."""
    at = now if given.at is None else min(now, internal(given.at))
    return ConsentEntry(
        channel=given.channel,
        category=given.category,
        state=given.state,
        way=given.way,
        wording=given.wording,
        at=at,
        proof=given.proof,
        version=given.version,
    )


def _recipient(given: RecipientIn, faults: Faults, now: int) -> Recipient:
    return Recipient(
        addresses=addresses(given.addresses, "/recipient/addresses", faults),
        locale=_checked(given.locale, settings_values.locale, "/recipient/locale", faults),
        time_zone=_checked(given.time_zone, settings_values.time_zone, "/recipient/time_zone", faults),
        consent=None if given.consent is None else consent(given.consent, now),
    )


def _checked(value: str | None, check: Callable[[str], str], pointer: str, faults: Faults) -> str | None:
    try:
        return None if value is None else check(value)
    except ValueError as wrong:
        faults.append((pointer, str(wrong)))
        return None


def prompt_given(given: PromptIn) -> Prompt:
    """The question as the intake takes it."""
    return Prompt(
        kind=given.kind,
        question=given.question,
        min=given.min,
        max=given.max,
        options=tuple(Option(option.id, option.label) for option in given.options),
        closes_in=given.closes_in,
    )
