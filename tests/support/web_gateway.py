"""The real gateway on a test's own Redis, and its public application; nothing is sent, no worker runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from gateway.app import Gateway
from gateway.settings import load
from gateway.settings_types import Settings
from gateway.web.server import build_public_app
from tests.support.web_parts import SECRET, served

SETTINGS = {
    "GATEWAY_SECRET_KEY": SECRET,
    "GATEWAY_PUBLIC_URL": "https://gateway.example.com",
    "GATEWAY_TWILIO_ACCOUNT_SID": "AC" + "0123456789abcdef" * 2,
    "GATEWAY_TWILIO_AUTH_TOKEN": "an-auth-token-of-the-tests",
    "GATEWAY_TWILIO_SMS_FROM": "+15005550006",
    "GATEWAY_TWILIO_VOICE_FROM": "+15005550006",
    "GATEWAY_TWILIO_API_BASE": "http://127.0.0.1:9",
    "GATEWAY_SMTP_URL": "smtp://127.0.0.1:9",
    "GATEWAY_EMAIL_FROM": "Gateway <gateway@example.com>",
    "GATEWAY_DEFAULT_QUIET_HOURS": "none",
    "GATEWAY_WECHAT_APP_ID": "wx0123456789abcdef",
    "GATEWAY_WECHAT_APP_SECRET": "an-app-secret",
    "GATEWAY_WECHAT_TOKEN": "atoken",
    "GATEWAY_WECHAT_API_BASE": "http://127.0.0.1:9",
}


def settings() -> Settings:
    """Settings with all four channels, whose providers can't be reached."""
    return load(SETTINGS, Path("/nowhere"), command="check")


@asynccontextmanager
async def gateway_on(redis_url: str) -> AsyncGenerator[Gateway]:
    """The gateway, connected."""
    made = await Gateway.open(settings(), redis_url)
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def public(gateway: Gateway) -> AsyncGenerator[aiohttp.ClientSession]:
    """A client of its public application."""
    async with served(build_public_app(gateway)) as session:
        yield session
