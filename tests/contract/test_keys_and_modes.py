"""Keys, scopes and modes: who may do what, and what is kept apart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.client import Api
from tests.contract.waiting import eventually
from tests.contract.world import World, fresh, in_time

CONSENT = {"channel": "sms", "category": "survey", "state": "granted", "way": "form", "wording": "x"}
# What needs which scope: method, path, body.
MATRIX: list[tuple[str, str, Any, str]] = [
    ("POST", "/v1/messages", {}, "send"),
    ("POST", "/v1/messages/batch", {}, "send"),
    ("POST", "/v1/messages/{message}/cancel", None, "send"),
    ("POST", "/v1/messages/{message}/acknowledge", None, "send"),
    ("POST", "/v1/messages/{message}/retry", None, "send"),
    ("GET", "/v1/messages", None, "read"),
    ("GET", "/v1/messages/{message}", None, "read"),
    ("GET", "/v1/channels", None, "read"),
    ("GET", "/v1/customers/{customer}", None, "customers"),
    ("PUT", "/v1/customers/{customer}", {"zzz": 1}, "customers"),
    ("PATCH", "/v1/customers/{customer}", {"zzz": 1}, "customers"),
    ("GET", "/v1/customers/{customer}/export", None, "customers"),
    ("GET", "/v1/customers/{customer}/preferences", None, "customers"),
    ("PUT", "/v1/customers/{customer}/preferences", {"zzz": 1}, "customers"),
    ("GET", "/v1/customers/{customer}/consents", None, "customers"),
    ("POST", "/v1/customers/{customer}/consents", {}, "customers"),
    ("PUT", "/v1/templates/none", {}, "operate"),
    ("POST", "/v1/channels/sms/pause", {}, "operate"),
    ("POST", "/v1/channels/sms/resume", {"zzz": 1}, "operate"),
    ("POST", "/v1/addresses/lift", {}, "admin"),
    ("GET", "/v1/keys", None, "admin"),
    ("POST", "/v1/keys", {}, "admin"),
    ("DELETE", "/v1/keys/none", None, "admin"),
]


@pytest.mark.parametrize("scope", ["send", "read", "customers", "operate", "admin"])
async def test_each_scope_opens_its_own_and_admin_all(w: World, scope: str) -> None:
    api, person = await w.key(scope), await w.person("sms")
    wrong: list[Any] = []
    for method, path, body, needs in MATRIX:
        message = await w.send(person, send_at=in_time(days=1)) if "{message}" in path else {"id": ""}
        target = path.format(message=message["id"], customer=person.id)
        answer = await api(method, target, body)
        allowed = scope in {needs, "admin"}
        if allowed == (answer.status in {401, 403}):
            wrong.append((method, path, needs, answer.status))
    assert wrong == []


async def test_addresses_are_masked_for_read_and_shown_to_customers(w: World) -> None:
    person = await w.person("sms", "email", "wechat")
    message = await w.send(person, reach={"step": 600, "within": 900})
    await w.twilio.text(person.number)
    reader, both = await w.key("read"), await w.key("read", "customers")
    masked = await reader("GET", f"/v1/messages/{message['id']}")
    for secret in (person.number, person.email, person.openid):
        assert secret not in masked.text
    assert person.number not in (await reader("GET", "/v1/messages", customer=person.id)).text
    assert person.number in (await both("GET", f"/v1/messages/{message['id']}")).text


async def test_an_expired_key_is_401(w: World) -> None:
    api = await w.key("read", expires=in_time(seconds=2))
    assert (await api("GET", "/v1/channels")).status == 200
    await eventually(lambda: refused(api), 20)


async def refused(api: Api) -> bool:
    return (await api("GET", "/v1/channels")).status == 401


async def test_a_revoked_key_is_401(w: World) -> None:
    api = await w.key("read")
    assert (await api("GET", "/v1/channels")).status == 200
    name = (api.key or "").split("_")[2]
    assert (await w.api("DELETE", f"/v1/keys/{name}")).status in {200, 204}
    await eventually(lambda: refused(api), 10)
    assert (await w.api("DELETE", f"/v1/keys/{name}")).status == 404


async def test_a_listed_key_shows_no_secret(w: World) -> None:
    api = await w.key("read")
    _, _, name, secret = (api.key or "").split("_")
    listed = await w.api("GET", "/v1/keys")
    assert name in listed.text
    assert secret not in listed.text


async def test_a_rate_is_429_with_retry_after(w: World) -> None:
    api = await w.key("read", rate=1)
    answers = [await api("GET", "/v1/channels") for _ in range(6)]
    over = [one for one in answers if one.status == 429]
    assert over
    assert int(over[0].headers["Retry-After"]) >= 1
    assert over[0].headers["Content-Type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    "bad, pointer",
    [
        ({"scopes": ["send"]}, "/name"), ({"name": "x", "scopes": ["fly"]}, "/scopes/0"), ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["read"], "mode": "dead"}, "/mode"), ({"name": "x", "scopes": ["read"], "rate": 0}, "/rate"),
        ({"name": "x", "scopes": ["read"], "expires": "2001-01-01T00:00:00Z"}, "/expires"),
    ],
)  # fmt: skip
async def test_bad_keys_are_422(w: World, bad: Any, pointer: str) -> None:
    answer = await w.api("POST", "/v1/keys", bad)
    assert answer.status == 422, answer
    assert pointer in answer.pointers


async def test_another_modes_id_is_404(w: World, trial: Api) -> None:
    person = await w.person("sms")
    live, test = await w.send(person, send_at=in_time(days=1)), await w.send(person, api=trial, send_at=in_time(days=1))
    assert (live["mode"], test["mode"]) == ("live", "test")
    for api, message in ((w.api, test), (trial, live)):
        assert (await api("GET", f"/v1/messages/{message['id']}")).status == 404
        for action in ("cancel", "acknowledge", "retry"):
            assert (await api("POST", f"/v1/messages/{message['id']}/{action}")).status == 404
    for api, message in ((w.api, live), (trial, test)):
        items = (await api("GET", "/v1/messages", customer=person.id)).body["items"]
        assert [one["id"] for one in items] == [message["id"]]


async def test_team_reaches_the_team_alone(w: World) -> None:
    team = await w.key(mode="team")
    mate = await w.person("sms", number="+306947777777")
    message = await w.send(mate, "Team text", api=team)
    assert (await w.twilio.text(mate.number)).form["Body"].startswith("Team text")
    assert message["mode"] == "team"
    other = await w.person("sms")
    done = await w.done(await w.send(other, api=team), api=team)
    assert [one["why"]["code"] for one in done["skipped"] if one["channel"] == "sms"] == ["not_in_team"]
    assert w.twilio.count(other.number) == 0


# Endings of numbers and the attempt's promised fate: status, who answered.
FATES: list[tuple[str, str, str, set[str], str | None]] = [
    ("sms", "0001", "unreached", {"accepted", "sent"}, None),
    ("sms", "0002", "unreached", {"failed"}, None),
    ("sms", "0004", "unreached", {"failed"}, None),
    ("sms", "0007", "unreached", {"unknown"}, None),
    ("sms", "4321", "reached", {"delivered"}, None),
    ("voice", "0005", "unreached", {"sent"}, "machine"),
    ("voice", "0006", "unreached", {"failed"}, None),
    ("voice", "4321", "reached", {"delivered"}, "human"),
    ("wechat", "0002", "unreached", {"failed"}, None),
    ("wechat", "4321", "reached", {"delivered"}, None),
]


@pytest.mark.parametrize("channel, ending, state, statuses, answered", FATES)
async def test_magic_endings(
    w: World, trial: Api, channel: str, ending: str, state: str, statuses: set[str], answered: str | None
) -> None:
    number = fresh()[:-4] + ending
    value = f"oTest{number[1:]}" if channel == "wechat" else number
    content = {"text": "x", "wechat": {"template_id": "t", "data": {"thing1": {"value": "x"}}}}
    given = {
        "recipient": {"addresses": [{"channel": channel, "value": value}]}, "category": "outage", "content": content,
        "reach": {"step": 2, "within": 8},
    }  # fmt: skip
    answer = await trial("POST", "/v1/messages", given)
    assert answer.status == 202, answer
    done = await w.done(answer.body, api=trial)
    assert done["verdict"]["state"] == state, done
    assert {one["status"] for one in done["attempts"]} <= statuses, done["attempts"]
    assert done["attempts"][0]["answered_by"] == answered
    assert w.twilio.count(number) == 0
    assert not [one for one in w.wechat.sent if one["touser"] == value]


async def test_a_temporary_refusal_of_a_test_key_shows_as_one(w: World, trial: Api) -> None:
    number = fresh()[:-4] + "0003"
    recipient = {
        "addresses": [{"channel": "sms", "value": number}, {"channel": "voice", "value": number[:-4] + "4321"}]
    }
    given = {"recipient": recipient, "category": "outage", "content": {"text": "x"}, "reach": {"step": 3, "within": 60}}
    answer = await trial("POST", "/v1/messages", given)
    done = await w.done(answer.body, api=trial)
    assert done["verdict"]["channel"] == "voice"
    assert done["attempts"][0]["status"] == "failed"


@pytest.mark.parametrize("ending, expected", [("0002", {"failed"}), ("4321", {"accepted", "sent", "delivered"})])
async def test_mail_of_a_test_key_goes_by_the_local_part(w: World, trial: Api, ending: str, expected: set[str]) -> None:
    value = f"test{fresh()[1:]}{ending}@example.org"
    given = {
        "recipient": {"addresses": [{"channel": "email", "value": value}]}, "category": "outage",
        "content": {"subject": "s", "text": "x"}, "reach": {"step": 1, "within": 4},
    }  # fmt: skip
    done = await w.done((await trial("POST", "/v1/messages", given)).body, api=trial)
    assert {one["status"] for one in done["attempts"]} <= expected
    assert not [one for one in w.mail.taken if one[1] == value]


async def test_an_opt_out_of_a_test_key_binds_no_live_message(w: World, trial: Api) -> None:
    """Their answers change nothing."""
    number = fresh()[:-4] + "0004"
    person = await w.person("sms", number=number)
    assert (await w.done(await w.send(person, api=trial), api=trial))["verdict"]["state"] == "unreached"
    await w.send(person)
    await w.twilio.text(number)
