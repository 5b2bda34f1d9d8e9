"""What is wrong with a broadcast as asked for: every bad field at once."""

from __future__ import annotations

import re
from typing import Final

from gateway.broadcasts.audiences import where_problems
from gateway.broadcasts.nouns import Audience, NewBroadcast
from gateway.delivery.request import NewMessage, Problem

ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
CUSTOMER: Final = re.compile(r"~?[A-Za-z0-9._:@-]{1,128}")
MOST_RATE: Final = 100_000.0
MOST_ROUNDS: Final = 10
MOST_SHOWN: Final = 100


def message_of(new: NewBroadcast) -> NewMessage:
    """The message that everybody gets, as it would be asked for."""
    return NewMessage(
        category=new.category,
        template=new.template,
        data=new.data,
        content=new.content,
        reach=new.reach,
        priority=new.priority,
        prompt=new.prompt,
        thread=new.thread,
        send_at=new.send_at,
        expires_at=new.expires_at,
        reference=new.reference,
        metadata=new.metadata,
    )


def problems(new: NewBroadcast) -> list[Problem]:
    """What can be said of it, its message left out, without asking Redis."""
    found: list[Problem] = []
    if new.id is not None and not ID.fullmatch(new.id):
        found.append(("/id", "must be 1 to 128 letters, digits or . _ : @ -"))
    found += audience_problems(new.audience)
    if new.rate is not None and not 0.01 <= new.rate <= MOST_RATE:
        found.append(("/rate", f"must be 0.01 to {MOST_RATE:g} messages per second."))
    if not 1 <= new.priority_rounds <= MOST_ROUNDS:
        found.append(("/priority_rounds", f"must be 1 to {MOST_ROUNDS}."))
    return found


def audience_problems(audience: Audience, at: str = "/audience") -> list[Problem]:
    """What is wrong with an audience."""
    given = [one for one in (audience.customers, audience.where, audience.group, audience.standing) if one is not None]
    if len(given) != 1:
        return [(at, "Give exactly one of customers, where and group.")]
    if audience.customers is not None:
        return people_problems(audience.customers, f"{at}/customers")
    return [] if audience.where is None else where_problems(audience.where, f"{at}/where")


def people_problems(people: tuple[str, ...], at: str) -> list[Problem]:
    """What is wrong with a list of ids."""
    if not people:
        return [(at, "needs at least one customer.")]
    bad = (n for n, one in enumerate(people) if not CUSTOMER.fullmatch(one))
    return [(f"{at}/{n}", "can't be a customer's id.") for n, _ in zip(bad, range(MOST_SHOWN), strict=False)]
