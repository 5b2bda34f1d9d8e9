"""Changes of a person's wishes: orders of channels, switches, quiet hours, language."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from gateway.customer import ConsentEntry
from gateway.people.people import Invalid
from gateway.people.views import preferences_view
from gateway.preferences.consent import where_said
from gateway.selfservice.names import names_in
from gateway.web.centre import board, standing
from gateway.web.centre.visit import Refused, Visit
from gateway.web.page_texts import languages

_DIGITS: Final = 4


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


def stopped_words(visit: Visit, stop: ConsentEntry, day: str) -> str:
    """That everything is stopped, and from where, if it was not here."""
    words, place = visit.texts.stop, where_said(stop)
    if place is None:
        return words.stopped.format(date=day)
    held = next((one for one in board.addresses(visit) if visit.customer.keys.get(one.address.value) == place), None)
    return words.stopped_at.format(address=words.some_phone if held is None else held.name, date=day)


def start_words(visit: Visit, kind: str) -> str:
    """What is texted to get a kind of messages again."""
    names = names_in(visit.language, visit.gateway.settings.default_locale)
    return f"{names.word('start')} {names.word(kind)}"


async def order(visit: Visit) -> str:
    """Move, leave out or take a channel, or set a whole order; the id of the element to go on from.

    Raises Refused, Changed. A channel is left out whatever the person saw.
    """
    form = visit.form
    kind = known_kind(visit, form["kind"]) if form.get("kind") else ""
    used = [way.name for way in board.order_of(visit, kind).used]
    channel, act = form.get("channel", ""), form.get("do", "")
    if act != "sort" and channel not in board.known_channels(visit):
        raise Refused(visit.texts.page.wrong, "channel")
    wanted = _wanted(visit, used, channel, act)
    if act != "leave" and visit.repeated(already=wanted == used):
        return _spot(act, channel, used)
    if not wanted:
        raise Refused(visit.texts.order.last)
    if act == "leave" and channel not in used:
        return _spot(act, channel, used)
    tree = raw(visit)
    _choose(tree, kind, wanted)
    if act == "leave" and not kind:
        _leave_everywhere(tree, channel)
    await put(visit, tree)
    return _spot(act, channel, wanted)


def _wanted(visit: Visit, used: list[str], channel: str, act: str) -> list[str]:
    """The order that a form asks for. Raises Refused, Changed."""
    rest = [name for name in used if name != channel]
    if act == "sort":
        wanted = visit.form.get("order", "").split(",")
        if sorted(wanted) != sorted(used):
            visit.repeated(already=False)
            raise Refused(visit.texts.page.wrong, "order")
        return wanted
    if act == "leave":
        return rest
    if act == "use":
        return used if channel in used and visit.stale else [*rest, channel]
    if channel not in used:
        visit.repeated(already=False)
        raise Refused(visit.texts.page.wrong, "channel")
    # From the place it had where the button was pressed: pressed twice it moves by one.
    place = visit.form.get("place", "")
    at = int(place) - 1 if place.isdecimal() and len(place) < _DIGITS else used.index(channel)
    to = max(0, at - 1) if act == "up" else min(len(used) - 1, at + 1)
    return [*rest[:to], channel, *rest[to:]]


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
    """Switch a kind off, which withdraws it, or on, which gives back exactly what had been withdrawn. Raises Changed."""
    texts, people = visit.texts, visit.gateway.people
    now = board.kind_row(visit, kind, visit.gateway.rules.categories[kind])
    if on and visit.repeated(already=now.switch == "on"):
        return
    if not on and now.switch == "off" and standing.said_here(standing.of_kind_by_name(visit.customer, kind)):
        return
    words = texts.kind_of(kind)
    wording = f"{words.title}. {words.what} [{texts.kind.on if on else texts.kind.off}]"
    customer, version = visit.customer.id, texts.version
    await people.choose(customer, kind, on=on, way=standing.PAGE, wording=wording, version=version)


async def agree(visit: Visit, kind: str, channel: str, wording: str, *, given: bool) -> None:
    """Agree to a kind on a channel, or take that back. Raises Changed, Refused."""
    customer = visit.customer
    shut = standing.of_kind_on(customer, kind, channel)
    asks = visit.gateway.rules.categories[kind].consent == "opt_in"
    open_now = shut is None and (not asks or standing.agreed_on(customer, kind, channel) is not None)
    if given and visit.repeated(already=open_now):
        return
    if given or not (shut is not None and standing.said_here(shut.entry)):
        await say(visit, channel, kind, "granted" if given else "withdrawn", wording)


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
    """Set the quiet hours and the time zone. Raises Refused, Changed, Conflict."""
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
    if visit.repeated(already=zone == visit.customer.time_zone and tree == raw(visit)):
        return
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
    """Set the language of messages. Raises Refused, Changed, Conflict."""
    wanted, now = visit.form.get("language", ""), visit.customer.preferences.language
    if wanted and wanted != now and wanted not in languages():
        raise Refused(visit.texts.page.wrong, "language")
    tree = raw(visit)
    tree["language"] = wanted or None
    if visit.repeated(already=tree == raw(visit)):
        return
    await put(visit, tree)
