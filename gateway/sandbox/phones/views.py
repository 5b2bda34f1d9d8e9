"""What the page is told: one line per person for the wall, everything for the phone that is open."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.sandbox.behaviour import Behaviour, Carrier
from gateway.sandbox.items import Call, Chat, Device, Item, Mail, Text
from gateway.sandbox.world import World

PREVIEW = 90
LATEST = 2


def summary(device: Device) -> dict[str, Any]:
    """A person on the wall."""
    latest = [item for item in reversed(device.items) if not isinstance(item, Call) or item.over][:LATEST]
    return {
        **msgspec.to_builtins(device.person),
        "unread": device.unread,
        "touched": device.touched,
        "hands_on": device.hands_on,
        "following": device.following,
        "call": call.status if (call := live_call(device)) else None,
        "latest": [preview(item) for item in latest],
        "total": len(device.items),
    }


def preview(item: Item) -> dict[str, Any]:
    """The newest thing on a device, in a few words."""
    match item:
        case Text():
            kind, words, mine = "sms", item.body, item.mine
        case Call():
            spoken = next((line.text for line in item.lines if line.kind == "say"), "")
            kind, words, mine = "voice", spoken or item.status, item.mine
        case Mail():
            kind, words, mine = "email", item.subject, False
        case Chat():
            values = " · ".join(value for _, value in item.fields)
            kind, words, mine = "wechat", item.text or values, item.mine
    return {"kind": kind, "text": words[:PREVIEW], "mine": mine, "at": item.at}


def live_call(device: Device) -> Call | None:
    """The call that rings or runs, if any."""
    return next((item for item in reversed(device.items) if isinstance(item, Call) and not item.over), None)


def detail(device: Device) -> dict[str, Any]:
    """Everything on a device; a mail's HTML is fetched apart."""
    items: list[dict[str, Any]] = []
    for item in device.items:
        plain: dict[str, Any] = msgspec.to_builtins(item)
        if isinstance(item, Mail):
            plain["html"] = bool(item.html)
        items.append(plain)
    return {**summary(device), "items": items}


def carriers(world: World, behaviour: Behaviour) -> dict[str, Any]:
    """The control bar: states, counters and the latest complaints."""
    return {
        "carriers": {
            carrier.value: {"state": behaviour.state(carrier).value, "accepted": world.accepted[carrier]}
            for carrier in Carrier
        },
        "problems": [msgspec.to_builtins(problem) for problem in list(world.problems)[-8:]],
    }
