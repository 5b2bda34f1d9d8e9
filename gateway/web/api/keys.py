"""API keys: make, list, revoke."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.message import Mode
from gateway.store.api_keys import ApiKey, ApiKeys, Scope
from gateway.web.api.types import internal, wire_time, wire_time_or_none
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import invalid, not_found


class KeyIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A key to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=5)]
    mode: Mode = "live"
    rate: Annotated[float, Meta(gt=0, le=100_000, description="Requests per second, in each process.")] | None = None
    expires: Annotated[dt.datetime, Meta(tz=True)] | None = None


class KeyOut(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: str
    name: str
    mode: Mode
    scopes: tuple[Literal["send", "read", "customers", "operate", "admin"], ...]
    rate: float | None
    created_at: dt.datetime
    expires: dt.datetime | None


class KeyMade(KeyOut, frozen=True, kw_only=True):
    """A new key; `key` is seen this once."""

    key: str


class KeyList(msgspec.Struct, frozen=True):
    """Newest first."""

    items: tuple[KeyOut, ...]
    next: str | None = None


def _facts(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "mode": key.mode,
        "scopes": key.scopes,
        "rate": key.rate,
        "created_at": wire_time(key.created_at),
        "expires": wire_time_or_none(key.expires_at),
    }


async def create(call: Call[KeyIn, NoQuery]) -> Answer:
    """Make a key. Its text follows from the request's seed, so a repeat shows it again although it is kept nowhere."""
    asked = call.body
    expires = None if asked.expires is None else internal(asked.expires)
    if expires is not None and expires <= call.gateway.clock.now():
        raise invalid([("/expires", "must lie in the future.")])
    seed = hmac.digest(call.gateway.settings.secret_key, b"api key seed " + call.seed.seed, hashlib.sha256)
    key, text = await call.gateway.api_keys.create(
        asked.name,
        asked.mode,
        asked.scopes,
        expires_at=expires,
        rate=asked.rate,
        text=ApiKeys.new_text(asked.mode, seed),
    )
    return Answer(status=201, body=KeyMade(**_facts(key), key=text))


async def listed(call: Call[None, NoQuery]) -> Answer:
    """Every key that may still be used or has lapsed."""
    keys = await call.gateway.api_keys.listed()
    return Answer(body=KeyList(tuple(KeyOut(**_facts(key)) for key in keys)))


async def revoke(call: Call[None, NoQuery]) -> Answer:
    """End a key."""
    if not await call.gateway.api_keys.revoke(call.path["id"]):
        raise not_found("key")
    return Answer(status=204)


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/v1/keys",
        name="createKey",
        tag="Keys",
        scope="admin",
        handler=create,
        summary="Make a key",
        body=KeyIn,
        creates=True,
        keeps_answer=False,
        answers={201: KeyMade},
        example={"name": "billing", "scopes": ["send", "read"], "mode": "test"},
        description="The only time the key is seen.",
    ),
    Operation(
        method="GET",
        path="/v1/keys",
        name="listKeys",
        tag="Keys",
        scope="admin",
        handler=listed,
        summary="List keys",
        answers={200: KeyList},
    ),
    Operation(
        method="DELETE",
        path="/v1/keys/{id}",
        name="revokeKey",
        tag="Keys",
        scope="admin",
        handler=revoke,
        summary="Revoke a key",
        answers={204: None},
        refuses=(404,),
        description="It is refused everywhere within two seconds.",
    ),
)
