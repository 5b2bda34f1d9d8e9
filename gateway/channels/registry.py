"""Every channel there is: a name and where its class stands.

A channel of your own is one class and one line here, or, from another distribution, an entry point of the group
`gateway.channels`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from gateway.channels.base import Channel, Deps
from gateway.settings_types import Settings

GROUP: Final = "gateway.channels"
CHANNELS: Final[dict[str, str]] = {
    "sms": "gateway.channels.sms:Sms",
    "voice": "gateway.channels.voice:Voice",
    "email": "gateway.channels.email:EmailChannel",
    "wechat": "gateway.channels.wechat:WeChatChannel",
}


def plugins() -> dict[str, Any]:
    """Entry points of channels that other distributions bring, by name."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """Every channel that settings, addresses and preferences may name, whether or not its settings are there."""
    return tuple(sorted({*CHANNELS, *plugins()}))


def build(settings: Settings, deps: Deps) -> dict[str, Channel]:
    """Every channel whose settings are there, by name."""
    classes: dict[str, Any] = {name: _load(place) for name, place in CHANNELS.items()}
    classes.update((name, entry.load()) for name, entry in plugins().items())
    built = {name: cls.build(settings, deps) for name, cls in classes.items()}
    return {name: channel for name, channel in built.items() if channel is not None}


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
