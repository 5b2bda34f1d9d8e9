"""What people wish and what they agreed to: preferences and the consent ledger."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.web.api import customer_types as types
from gateway.web.api.changes import ETAG, done, expected, shown
from gateway.web.api.ids import known_id
from gateway.web.api.types import ConsentIn, wire_time
from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import invalid, not_found


async def preferences(call: Call[None, NoQuery]) -> Answer:
    """The wishes of a person."""
    return shown(await call.gateway.people.preferences(known_id(call, "customer")))


async def put_preferences(call: Call[types.PreferencesIO, NoQuery]) -> Answer:
    """Replace the wishes."""
    customer = known_id(call, "customer")
    return shown(await done(call.gateway.people.put_preferences(customer, call.tree, await expected(call))))


async def check(call: Call[types.PreferencesIO, NoQuery], _spoilt: Collection[str]) -> list[tuple[str, str]]:
    """What is wrong with preferences beyond their types."""
    return call.gateway.people.preference_problems(call.tree)


async def consents(call: Call[None, Page]) -> Answer:
    """A page of the ledger, and how things stand."""
    try:
        found = await call.gateway.people.consents(known_id(call, "customer"), call.query.limit, call.query.cursor)
    except ValueError as bad:
        raise invalid([("?cursor", str(bad))]) from None
    if found is None:
        raise not_found("customer")
    return Answer(body=found)


async def add_consent(call: Call[ConsentIn, NoQuery]) -> Answer:
    """Append to the ledger. Without a time of its own an entry gets the request's, so a repeat is the same entry."""
    entry = {"at": wire_time(call.seed.at).isoformat(), **{k: v for k, v in call.tree.items() if v is not None}}
    return Answer(status=201, body=await done(call.gateway.people.add_consent(known_id(call, "customer"), entry)))


_WISHES: Final = {
    "channels": ["wechat", "sms", "voice"],
    "categories": {"outage": {"channels": ["sms", "voice"]}, "survey": {"enabled": False}},
    "quiet_hours": {"start": "21:00", "end": "08:00"},
    "language": "zh-Hans",
}
_CONSENT: Final = {
    "channel": "email",
    "category": "marketing",
    "state": "granted",
    "way": "form",
    "wording": "Yes, send me offers by e-mail.",
}  # fmt: skip - an example

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/customers/{id}/preferences",
        name="getPreferences",
        tag="Customers",
        scope="customers",
        handler=preferences,
        summary="Read the preferences",
        answers={200: types.PreferencesIO},
        answer_headers=ETAG,
        refuses=(404,),
    ),
    Operation(
        method="PUT",
        path="/v1/customers/{id}/preferences",
        name="putPreferences",
        tag="Customers",
        scope="customers",
        handler=put_preferences,
        check=check,
        summary="Replace the preferences",
        body=types.PreferencesIO,
        live_only=True,
        if_match=True,
        answers={200: types.PreferencesIO},
        answer_headers=ETAG,
        refuses=(404,),
        example=_WISHES,
        description="`quiet_hours` null: none; left out: the default. Switching a category off is a withdrawal.",
    ),
    Operation(
        method="GET",
        path="/v1/customers/{id}/consents",
        name="getConsents",
        tag="Customers",
        scope="customers",
        handler=consents,
        summary="Read the consent ledger",
        query=Page,
        answers={200: types.ConsentsOut},
        refuses=(404,),
    ),
    Operation(
        method="POST",
        path="/v1/customers/{id}/consents",
        name="addConsent",
        tag="Customers",
        scope="customers",
        handler=add_consent,
        summary="Record consent or its withdrawal",
        body=ConsentIn,
        live_only=True,
        creates=True,
        answers={201: types.ConsentOut},
        refuses=(404,),
        example=_CONSENT,
        description="Append-only. A grant lifts the person's own withdrawal only with `proof`.",
    ),
)
