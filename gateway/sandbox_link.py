"""Joins the settings to the sandbox: its look-alikes use the credentials the settings made up for them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from gateway.sandbox.app import SandboxConfig
from gateway.sandbox.people import Sample
from gateway.settings_types import Settings

TEST_SPEED: Final = 0.2
"""How fast the look-alikes for test keys live: a fifth of real delays."""


def sandbox_config(
    settings: Settings,
    *,
    public_url: str,
    phones_port: int | None,
    people: Sequence[Sample] = (),
    bounce: tuple[str, int] | None = None,
    time_scale: float = TEST_SPEED,
) -> SandboxConfig:
    """What the look-alikes need to know. `settings` must have all channels, as `with_sandbox` makes them."""
    twilio, wechat, smtp = settings.twilio, settings.wechat, settings.smtp
    if twilio is None or wechat is None or smtp is None:
        raise ValueError("sandbox settings need all channels")
    return SandboxConfig(
        account_sid=twilio.account_sid,
        auth_token=twilio.auth_token,
        number=twilio.sms_from or twilio.voice_from or "",
        wechat_app_id=wechat.app_id,
        wechat_secret=wechat.app_secret,
        wechat_token=wechat.token,
        wechat_aes_key=wechat.aes_key or "",
        smtp_login=(smtp.user, smtp.password) if smtp.user and smtp.password else None,
        public_url=public_url,
        bounce=bounce,
        phones_port=phones_port,
        people=people,
        time_scale=time_scale,
        # Ids differ from those of earlier runs: the store remembers them, and would take new callbacks for repeats.
        seed=secrets.randbits(32),
    )
