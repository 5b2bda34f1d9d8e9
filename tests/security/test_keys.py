"""API keys against every operation: who has none, a wrong one, a lapsed one, one of another scope or mode."""

from __future__ import annotations

import re
from collections.abc import Iterable

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.store.api_keys import SCOPES, Scope
from gateway.web.api.table import OPERATIONS
from gateway.web.operations import Operation, Raw
from tests.support.front import Front, status
from tests.support.web_gateway import SETTINGS, settings

EVERY = list(OPERATIONS)


def request(operation: Operation, *authorization: str) -> bytes:
    """A well-formed request of an operation, on things that don't exist."""
    path = re.sub(r"\{\w+\}", "nothing", operation.path)
    kind = operation.body.content_type if isinstance(operation.body, Raw) else "application/json"
    body = b"" if operation.body is None or isinstance(operation.body, Raw) else b'{"no such field": 1}'
    lines = [f"{operation.method} {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Type: {kind}"]
    lines += [f"Content-Length: {len(body)}", *(f"Authorization: {one}" for one in authorization)]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


async def key(gateway: Gateway, scopes: Iterable[Scope], **more: object) -> str:
    wanted: dict[str, object] = {"mode": "live", "expires_at": None, **more}
    _, made = await gateway.api_keys.create("k", wanted["mode"], list(scopes), expires_at=wanted["expires_at"])  # pyright: ignore[reportArgumentType] - of the right types
    return made


async def test_nobody_gets_in_without_a_good_key(door: Front) -> None:
    gateway = door.gateway
    revoked, ended = await key(gateway, SCOPES), await key(gateway, SCOPES, expires_at=gateway.clock.now() - 1)
    await gateway.api_keys.revoke(revoked.split("_")[2])
    good = door.key
    _, mode, name, secret = good.split("_")
    bad = [
        (),
        ("",),
        ("Bearer",),
        ("Bearer ",),
        (good,),
        (f"Basic {good}",),
        (f"Bearer {good}x",),
        (f"Bearer {good[:-1]}",),
        (f"Bearer gw_test_{name}_{secret}",),
        (f"Bearer gw_{mode}_{name}_{'0' * 64}",),
        (f"Bearer gw_{mode}_{'0' * 16}_{secret}",),
        (f"Bearer gw_{mode}_{name}_{secret.upper()}",),
        (f"Bearer {revoked}",),
        (f"Bearer {ended}",),
        (f"Bearer {good},{good}",),
        (f"Bearer gw_{mode}_{name}_\xff\xfe",),
        ("Bearer " + "a" * 8000,),
        (f"Bearer gw_{mode}_*_{secret}",),
    ]  # fmt: skip - a table
    before = await door.stored()
    for operation in EVERY:
        assert status(await door.talk(request(operation))) == 401, operation.name
    for authorization in bad:
        assert status(await door.talk(request(EVERY[0], *authorization))) == 401, authorization
    assert await door.stored() == before
    assert status(await door.talk(request(EVERY[0], f"Bearer {good}"))) == 422, "the good one is let in"


async def test_the_answer_does_not_say_what_was_wrong_with_a_key(door: Front) -> None:
    def told(answer: bytes) -> bytes:
        return re.sub(rb"(?m)^(X-Request-Id|Date):.*$", b"", answer)

    _, mode, name, secret = door.key.split("_")
    wrong = [f"gw_{mode}_{name}_{'0' * 64}", f"gw_{mode}_{'0' * 16}_{secret}", f"gw_test_{name}_{secret}"]
    wrong.append(await key(door.gateway, SCOPES, expires_at=1))
    answers = {told(await door.talk(request(EVERY[0], f"Bearer {one}"))) for one in wrong}
    assert len(answers) == 1


@pytest.mark.parametrize("scope", SCOPES)
async def test_each_scope_opens_its_own_operations_and_admin_all(door: Front, scope: Scope) -> None:
    before, has = await door.stored(), await key(door.gateway, [scope])
    lacks = await key(door.gateway, [one for one in SCOPES if one not in (scope, "admin")])
    before = await door.stored()
    for operation in EVERY:
        opened = scope in (*operation.scopes, "admin")
        found = status(await door.talk(request(operation, f"Bearer {has}")))
        assert (found == 403) != opened, (operation.name, found)
        if operation.scopes == (scope,):
            assert status(await door.talk(request(operation, f"Bearer {lacks}"))) == 403, operation.name
    assert await door.stored() == before


@pytest.mark.parametrize("mode", ["team", "test"])
async def test_other_modes_change_no_customer(door: Front, mode: str) -> None:
    trial = await key(door.gateway, SCOPES, mode=mode)
    before = await door.stored()
    # A reply is a message: it goes in the key's own mode, and changes nothing of the person.
    writing = [one for one in EVERY if one.path.startswith("/v1/customers") and one.method != "GET"]
    writing = [one for one in writing if one.name != "replyToCustomer"]
    assert writing
    for operation in writing:
        assert status(await door.talk(request(operation, f"Bearer {trial}"))) == 403, operation.name
    assert await door.stored() == before


async def test_two_keys_live_side_by_side_while_one_takes_over(door: Front, http: aiohttp.ClientSession) -> None:
    async def asked(text: str) -> int:
        async with http.get(
            f"http://127.0.0.1:{door.port}/v1/keys", headers={"Authorization": f"Bearer {text}"}
        ) as found:
            return found.status

    old, new = await key(door.gateway, ["admin"]), await key(door.gateway, ["admin"])
    assert [await asked(old), await asked(new)] == [200, 200]
    await door.gateway.api_keys.revoke(old.split("_")[2])
    assert [await asked(old), await asked(new)] == [401, 200]


def test_settings_show_no_secret() -> None:
    shown = repr(settings()) + str(settings())
    for name in ("SECRET_KEY", "TWILIO_AUTH_TOKEN", "WECHAT_APP_SECRET", "WECHAT_TOKEN"):
        assert SETTINGS[f"GATEWAY_{name}"] not in shown, name
