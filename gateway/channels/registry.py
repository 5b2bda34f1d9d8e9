"""Every channel there is: a name and where its class stands.

A channel of your own is one class and one line here, or, from another distribution, an entry point of the group
`gateway.channels`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from gateway.channels.base import Channel, Deps
from gateway.settings_types import BadSettings, Settings

GROUP: Final = "gateway.channels"
CHANNELS: Final[dict[str, str]] = {
    "sms": "gateway.channels.sms:Sms",
    "voice": "gateway.channels.voice:Voice",
    "email": "gateway.channels.email:EmailChannel",
    "wechat": "gateway.channels.wechat:WeChatChannel",
}


def plugins() -> dict[str, EntryPoint]:
    """Entry points of channels that other distributions bring, by name. Raises BadSettings when two have one name."""
    found: dict[str, EntryPoint] = {}
    twice: list[str] = []
    for entry in entry_points(group=GROUP):
        if entry.name in CHANNELS:
            twice.append(f"{_whose(entry)} brings a channel named {entry.name}, as a built-in one is: uninstall it")
        elif (other := found.setdefault(entry.name, entry)) != entry:
            twice.append(
                f"{_whose(other)} and {_whose(entry)} both bring a channel {entry.name}: uninstall one of them"
            )
    if twice:
        raise BadSettings(twice)
    return found


def names() -> tuple[str, ...]:
    """Every channel that settings, addresses and preferences may name, whether or not its settings are there.

    Raises BadSettings as `plugins` does.
    """
    return tuple(sorted({*CHANNELS, *plugins()}))


def build(settings: Settings, deps: Deps) -> dict[str, Channel]:
    """Every channel whose settings are there, by name. Raises BadSettings when one can't be loaded or built."""
    classes = {name: _load(place) for name, place in CHANNELS.items()}
    classes |= {name: _load_plugin(entry) for name, entry in plugins().items()}
    built = {name: cls.build(settings, deps) for name, cls in classes.items()}
    return {name: channel for name, channel in built.items() if channel is not None}


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _load_plugin(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as broken:
        # Somebody else's module, which may raise anything while it is imported.
        why = f"{type(broken).__name__}: {broken}".splitlines()[0]
        raise BadSettings(
            [f"{_whose(entry)} brings the channel {entry.name}, which can't be loaded: {why}"]
        ) from broken


def _whose(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value
