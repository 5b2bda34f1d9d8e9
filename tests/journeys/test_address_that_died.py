"""A mailbox dies: Postfix returns the mail, the message is corrected, nobody writes there again until somebody lifts it."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.channels.email import EmailChannel
from gateway.delivery.returns import BounceServer, Returns
from gateway.settings_types import SmtpSettings
from gateway.store.clock import Clock
from tests.support.core import SECRET, Core, core
from tests.support.postfix import MISSING, postfix
from tests.support.running import HOST, kept_port
from tests.support.smtp_relay import Relay, serving
from tests.support.web_client import Api
from tests.support.web_gateway import public
from tests.support.web_parts import bearer

pytestmark = [pytest.mark.mta, pytest.mark.skipif(bool(MISSING), reason=MISSING)]
IMPATIENT = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n"
BOUNCES, MARIA = "bounces.acme.example", "maria@people.example"


def channel(port: int) -> EmailChannel:
    """E-mail by way of the Postfix on that port, as the settings would make it."""
    relay = SmtpSettings(
        host=HOST,
        port=port,
        starttls="never",
        email_from="Acme <no-reply@acme.example>",
        from_address="no-reply@acme.example",
        bounce_domain=BOUNCES,
    )
    return EmailChannel(relay, secret_key=SECRET.encode(), clock=Clock().now, timeout=20)


async def test_the_bounce_comes_back(redis_url: str, tmp_path: Path) -> None:
    with kept_port() as port:
        async with serving(Relay()) as people:
            ways = {"people.example": f"smtp:[{HOST}]:{people.port}", BOUNCES: f"lmtp:inet:{HOST}:{port}"}
            async with postfix(ways, settings=IMPATIENT) as mta, core(redis_url, tmp_path, channel(mta.port)) as gw:
                parts = gw.gateway
                returns = Returns(parts.settings, parts.receipts, parts.messages, parts.customers, parts.metrics)
                server = BounceServer(returns, parts.clock)
                try:
                    await told(gw, people, lambda: server.start(HOST, port, share=True))
                finally:
                    await server.stop()


async def told(gw: Core, people: Relay, listen: Callable[[], Awaitable[None]]) -> None:
    """The story. Until we `listen` the mail server keeps the bounce."""
    gw.work()
    await gw.person("maria", email=MARIA)
    people.script["rcpt"] = deque([f"550 5.1.1 <{MARIA}>: User unknown"])
    first = await gw.send("maria", "service", content={"subject": "News", "text": "The engineer comes at nine."})
    await gw.when(first, lambda m: m.attempts and m.attempts[0].status == "sent")
    await gw.age(first, 900)
    ended = await gw.ended(first)
    assert (ended.verdict.state, ended.verdict.proven) == ("reached", False), "nothing speaks against it yet"
    await listen()
    bounced = await gw.when(first, lambda m: m.attempts[0].status == "failed")
    (attempt,) = bounced.attempts
    assert (attempt.fault, attempt.provider_code) == ("bad_address", "550 5.1.1")
    assert attempt.bounce is not None
    assert (bounced.verdict.state, bounced.verdict.code) == ("unreached", "bounced")
    assert people.mails == []

    async with public(gw.gateway) as session:
        admin = Api(session, await bearer(gw.gateway, "admin"))
        shown = await admin("POST", "/v1/messages?dry_run=true", asked(), status=200)
        assert shown["skipped"][0]["why"] == {
            "code": "suppressed_address",
            "text": "This address is no longer used: The address does not exist on this channel.",
        }
        (listed,) = (await admin("GET", "/v1/addresses?health=suppressed", status=200))["items"]
        assert (listed["address"], listed["customers"]) == (MARIA, ["maria"])
        seen = listed["health"]["evidence"]
        assert (seen["message"], seen["attempt"], seen["bounce"]) == (first.id, "a1", attempt.bounce)
        assert gw.gateway.registry.get_sample_value("gateway_returned_mails_total", {"outcome": "bounced"}) == 1

        lifted = {"channel": "email", "value": MARIA, "reason": "She has opened the mailbox again."}
        assert (await admin("POST", "/v1/addresses/lift", lifted, status=200))["customers"] == ["maria"]
        assert (await admin("GET", "/v1/addresses", status=200))["items"] == []
        await admin("POST", "/v1/messages", asked(), status=202)
    await people.until_taken(1)
    assert people.mails[0].recipient == MARIA


def asked() -> dict[str, object]:
    return {"customer": "maria", "category": "service", "content": {"subject": "News", "text": "At ten, then."}}
