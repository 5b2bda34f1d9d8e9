"""What every gateway of these tests is told: its carriers, how long they may take, and a key for its callers."""

from __future__ import annotations

from typing import Final

from gateway.secret_box import purpose_key
from gateway.settings_types import SecretBytes
from gateway.store.api_keys import SCOPES, ApiKeys
from gateway.store.clock import Clock
from gateway.store.connect import connect
from gateway.store.scripts import Scripts
from tests.chaos.rig.carrier import ACCOUNT, AUTH_TOKEN, SENDER

SETTINGS: Final[dict[str, object]] = {
    "DEFAULT_QUIET_HOURS": "none",
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "TWILIO_SMS_FROM": SENDER,
    "EMAIL_FROM": "Power <power@example.org>",
}
"""Settings without their prefix; where the carriers are and the secret key are added."""


def limits(timeout: float) -> str:
    """The settings' file. `timeout`: how long a carrier may take, seconds."""
    return "".join(f"[channels.{channel}]\ntimeout = {timeout}\n" for channel in ("sms", "email"))


async def new_key(url: str, secret: str) -> str:
    """An API key with every scope, for the gateways with this secret key on this Redis."""
    client = await connect(url, max_connections=2, name="chaos")
    scripts = Scripts(client)
    try:
        keys = ApiKeys(scripts, Clock(), purpose_key(SecretBytes(secret.encode()), "api keys"), None)
        return (await keys.create("chaos", "live", SCOPES))[1]
    finally:
        await scripts.close()
        await client.aclose()
