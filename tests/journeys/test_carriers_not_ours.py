"""`gateway serve`, set up by environment variables alone, against a provider and a mail server that are not ours."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.support.commands import Served, serving
from tests.support.other_twilio import NUMBER, SID, TOKEN, OtherTwilio, other_twilio
from tests.support.running import ask, until
from tests.support.smtp_relay import Relay
from tests.support.smtp_relay import serving as relaying

PHONE: Final = "+306912345678"
CUSTOMER: Final = (
    '{"id": "c-1", "locale": "en", "addresses": [{"channel": "sms", "value": "+306912345678"}, {"channel": "email", '
    '"value": "c@people.example"}, {"channel": "voice", "value": "+306912345678"}], '
    '"preferences": {"channels": ["sms", "email", "voice"]}}\n'
)
NOTICE: Final[dict[str, Any]] = {
    "category": "outage",
    "template": "outage-notice",
    "data": {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"},
    "prompt": {"kind": "acknowledge"},
    "reach": {"step": 1, "within": 60},
}


async def test_a_notice_by_text_mail_and_call(tmp_path: Path) -> None:
    async with other_twilio() as twilio, relaying(Relay()) as relay:
        twilio.fails.add(PHONE)
        settings = {
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_SMS_FROM": NUMBER,
            "TWILIO_VOICE_FROM": NUMBER,
            "TWILIO_API_BASE": twilio.url,
            "SMTP_URL": f"smtp://127.0.0.1:{relay.port}?starttls=never",
            "EMAIL_FROM": "Power <power@utility.example>",
        }
        async with serving(tmp_path, "serve", **settings) as served, aiohttp.ClientSession() as http:
            await _live(served, http, twilio, relay)
            await _test_keys(served, http, twilio, relay)


async def _live(served: Served, http: aiohttp.ClientSession, twilio: OtherTwilio, relay: Relay) -> None:
    (served.folder / "people.ndjson").write_text(CUSTOMER)
    assert (await served.command("customers", "import", "people.ndjson")).status == 0
    key = await served.key()
    sent = await ask(http, served.url, key, "POST", "/v1/messages", {"customer": "c-1", **NOTICE})
    assert sent.status == 202, sent

    told = await _ended(http, served, key, sent.body["id"])

    assert (told["verdict"]["state"], told["verdict"]["channel"]) == ("reached", "voice"), (told, served.log())
    assert [(one["channel"], one["status"], one["engagement"]) for one in told["attempts"]] == [
        ("sms", "failed", "none"),
        ("email", "sent", "none"),
        ("voice", "delivered", "acknowledged"),
    ]
    assert told["attempts"][0]["provider_code"] == "30003"
    assert [kind for kind, _ in twilio.asked] == ["Messages", "Calls"]
    assert all(status == 200 for _, status, _ in twilio.answered), twilio.answered
    [mail] = relay.mails
    read = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert read["Subject"] == "Outage in Kypseli"
    assert read["From"] == "Power <power@utility.example>"
    assert mail.recipient == "c@people.example"


async def _test_keys(served: Served, http: aiohttp.ClientSession, twilio: OtherTwilio, relay: Relay) -> None:
    """With a test key nothing leaves: the fate is in the last four digits."""
    key = await served.key("test")
    before = len(twilio.asked), len(relay.mails)
    fates: dict[tuple[str, str], tuple[str, str | None]] = {
        ("sms", "+447400001234"): ("reached", None),
        ("sms", "+447400000001"): ("unreached", "no_receipt"),
        ("sms", "+447400000002"): ("unreached", "all_failed"),
        ("sms", "+447400000004"): ("unreached", "all_failed"),
        ("voice", "+447400000005"): ("unreached", "no_receipt"),
    }
    ids: dict[tuple[str, str], str] = {}
    for channel, number in fates:
        them = {"addresses": [{"channel": channel, "value": number}], "locale": "en"}
        body = {
            "recipient": them,
            "category": "outage",
            "content": {"text": "Hello."},
            "reach": {"step": 2, "within": 8},
        }
        sent = await ask(http, served.url, key, "POST", "/v1/messages", body)
        assert sent.status == 202, sent
        assert sent.body["mode"] == "test"
        ids[channel, number] = sent.body["id"]
    for place, (state, code) in fates.items():
        told = await _ended(http, served, key, ids[place])
        assert (told["verdict"]["state"], told["verdict"]["code"]) == (state, code), (place, told)
    assert (len(twilio.asked), len(relay.mails)) == before
    live = await served.key()
    hidden = await ask(http, served.url, live, "GET", f"/v1/messages/{ids['sms', '+447400001234']}")
    assert hidden.status == 404, "another mode's id is unknown"


async def _ended(http: aiohttp.ClientSession, served: Served, key: str, message_id: str) -> dict[str, Any]:
    last: dict[str, Any] = {}

    async def done() -> bool:
        last.update((await ask(http, served.url, key, "GET", f"/v1/messages/{message_id}")).body)
        return last["status"] == "done"

    await until(done, 60.0, lambda: (last, served.log()))
    return last
