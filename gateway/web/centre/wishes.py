"""Changes of a person's wishes: orders of channels, switches, quiet hours, language."""

from __future__ import annotations

import datetime as dt
from typing import Any

from gateway.people.people import Invalid
from gateway.people.views import preferences_view
from gateway.web.centre import board, standing
from gateway.web.centre.visit import Refused, Visit
from gateway.web.page_texts import languages


def raw(visit: Visit) -> dict[str, Any]:
    """The preferences as a body of their PUT, without names that the settings know no more."""
    tree = preferences_view(visit.customer.preferences)
    gateway = visit.gateway
    if "channels" in tree:
        tree["channels"] = [name for name in tree["channels"] if name in gateway.known_channels] or None
    kept = {name: dict(one) for name, one in tree.get("categories", {}).items() if name in gateway.rules.categories}
    for choice in kept.values():
        if choice.get("channels") is not None:
            choice["channels"] = [name for name in choice["channels"] if name in gateway.known_channels] or None
    tree["categories"] = {name: one for name, one in kept.items() if any(value is not None for value in one.values())}
    return tree


async def put(visit: Visit, tree: dict[str, Any]) -> None:
    """Store preferences for the person. Raises Conflict, Refused."""
    try:
        await visit.gateway.people.put_preferences(visit.customer.id, tree, visit.version, way=standing.PAGE)
    except Invalid as bad:
        raise Refused(visit.texts.page.wrong, bad.problems[0][0]) from None


def _choose(tree: dict[str, Any], kind: str, channels: list[str] | None) -> None:
    """Set the order of a kind, or of all messages."""
    if not kind:
        tree["channels"] = channels
        return
    choice = tree["categories"].setdefault(kind, {})
    choice["channels"] = channels
    if channels is None and choice.get("enabled", True):
        del tree["categories"][kind]


def known_kind(visit: Visit, name: str) -> str:
    """A kind that can be chosen about. Raises Refused."""
    category = visit.gateway.rules.categories.get(name)
    if category is None or category.consent == "asked":
        raise Refused(visit.texts.page.wrong, "kind", 404)
    return name


async def order(visit: Visit) -> str:
    """Move, leave out or take a channel, or set a whole order; the id of the element to go on from. Raises Refused."""
    form = visit.form
    kind = known_kind(visit, form["kind"]) if form.get("kind") else ""
    known = board.known_channels(visit)
    used = [way.name for way in board.order_of(visit, kind).used]
    tree, channel, act = raw(visit), form.get("channel", ""), form.get("do", "")
    if act == "sort":
        wanted = form.get("order", "").split(",")
        if sorted(wanted) != sorted(used):
            raise Refused(visit.texts.page.wrong, "order")
        used = wanted
    elif channel not in known:
        raise Refused(visit.texts.page.wrong, "channel")
    elif act == "use":
        used = [*(name for name in used if name != channel), channel]
    elif channel not in used:
        raise Refused(visit.texts.page.wrong, "channel")
    elif act == "leave":
        used.remove(channel)
        if not used:
            raise Refused(visit.texts.order.last)
    else:
        at = used.index(channel)
        to = max(0, at - 1) if act == "up" else min(len(used) - 1, at + 1)
        used.insert(to, used.pop(at))
    _choose(tree, kind, used)
    if act == "leave" and not kind:
        _leave_everywhere(tree, channel)
    await put(visit, tree)
    return _spot(act, channel, used)


def _leave_everywhere(tree: dict[str, Any], channel: str) -> None:
    """Who won't be called isn't called for any kind of message."""
    for kind, choice in list(tree["categories"].items()):
        if choice.get("channels") is not None and channel in choice["channels"]:
            _choose(tree, kind, [name for name in choice["channels"] if name != channel] or None)


def _spot(act: str, channel: str, used: list[str]) -> str:
    """The button that is pressed next, most likely: the same one, unless there is nothing left for it to do."""
    if act == "up":
        return f"{'down' if used[0] == channel else 'up'}-{channel}"
    if act == "down":
        return f"{'up' if used[-1] == channel else 'down'}-{channel}"
    return {"leave": f"use-{channel}", "use": f"leave-{channel}"}.get(act, "")


async def own_order(visit: Visit, kind: str, *, own: bool) -> None:
    """Give a kind an order of its own, which begins as the general one; or none. Raises Refused."""
    tree = raw(visit)
    _choose(tree, kind, [way.name for way in board.order_of(visit, kind).used] if own else None)
    await put(visit, tree)


async def switch(visit: Visit, kind: str, *, on: bool) -> None:
    """Switch a kind off, which withdraws it, or on, which gives back exactly what had been withdrawn."""
    texts, people = visit.texts, visit.gateway.people
    words = texts.kind_of(kind)
    wording = f"{words.title}. {words.what} [{texts.kind.on if on else texts.kind.off}]"
    customer, version = visit.customer.id, texts.version
    await people.choose(customer, kind, on=on, way=standing.PAGE, wording=wording, version=version)


async def say(visit: Visit, channel: str, category: str, state: str, wording: str, *, way: str = standing.PAGE) -> None:
    """Add what the person says to the ledger. Raises Refused."""
    entry = {
        "channel": channel,
        "category": category,
        "state": state,
        "way": way,
        "wording": wording,
        "version": visit.texts.version,
    }
    try:
        await visit.gateway.people.add_consent(visit.customer.id, entry, by_person=True)
    except Invalid as bad:
        raise Refused(visit.texts.page.wrong, bad.problems[0][0]) from None


async def quiet(visit: Visit) -> None:
    """Set the quiet hours and the time zone. Raises Refused, Conflict."""
    form, tree = visit.form, raw(visit)
    match form.get("quiet"):
        case "own":
            start, end = clock_time(form.get("start", "")), clock_time(form.get("end", ""))
            if start is None or end is None or start == end:
                raise Refused(visit.texts.quiet.bad_times, "quiet")
            tree["quiet_hours"] = {"start": start, "end": end}
        case "none":
            tree["quiet_hours"] = None
        case _:
            tree.pop("quiet_hours", None)
    zone = form.get("zone", "") or None
    if zone != visit.customer.time_zone:
        try:
            changed = await visit.gateway.people.patch(visit.customer.id, {"time_zone": zone}, visit.version)
        except Invalid:
            raise Refused(visit.texts.page.wrong, "zone") from None
        visit.version = changed.version
    await put(visit, tree)


def clock_time(text: str) -> str | None:
    """A time of day as "HH:MM"; browsers may add seconds."""
    try:
        return dt.time.fromisoformat(text.strip().zfill(5)).strftime("%H:%M")
    except ValueError:
        return None


async def language(visit: Visit) -> None:
    """Set the language of messages. Raises Refused, Conflict."""
    wanted, now = visit.form.get("language", ""), visit.customer.preferences.language
    if wanted and wanted != now and wanted not in languages():
        raise Refused(visit.texts.page.wrong, "language")
    tree = raw(visit)
    tree["language"] = wanted or None
    await put(visit, tree)
