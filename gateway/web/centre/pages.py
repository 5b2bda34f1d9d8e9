"""The first page of the centre, and the pages of a kind of messages, of the quiet hours, of the language."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from aiohttp import web
from babel.core import Locale
from babel.dates import format_date, format_time

from gateway.content.filters import babel_locale
from gateway.customer import QuietHours
from gateway.preferences.quiet_hours import zones
from gateway.routing.view import zones_of
from gateway.web.centre import board, standing, wishes
from gateway.web.centre.visit import Refused, Visit
from gateway.web.centre.zones import choices, city, listed
from gateway.web.page_texts import languages, texts_in

WECHAT: Final = "wechat"
_DATES: Final = {"en": "en-150"}
"""English that is of no country: the day before the month, as most who read it do."""


async def home(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:  # noqa: ARG001 - every page takes it
    """Everything at a glance."""
    stop = standing.everything(visit.customer)
    return visit.page(
        "home.html",
        status=status,
        alert=alert,
        done=_done(visit),
        at=visit.spot(),
        order=board.order_of(visit),
        rows=board.kinds(visit),
        addresses=board.addresses(visit),
        quiet=_quiet_words(visit),
        zone=city(effective_zone(visit), visit.language),
        stopped=None if stop is None else wishes.stopped_words(visit, stop, day(visit, stop.at)),
        day=partial(day, visit),
        ends=day(visit, visit.ends),
        wechat=_offers_wechat(visit),
        name=visit.customer.name,
        speaks=_speaks(visit),
    )


async def first(visit: Visit) -> web.Response:
    """To the first page."""
    return visit.go()


def _done(visit: Visit) -> str:
    """What has just been done, as the page before named it."""
    said = visit.texts.done.get(visit.request.query.get("done", ""))
    kind = visit.request.query.get("kind", "")
    known = kind in visit.gateway.rules.categories
    return "" if said is None else said.format(kind=visit.texts.kind_of(kind).title if known else "")


def _offers_wechat(visit: Visit) -> bool:
    held = any(address.channel == WECHAT for address in visit.customer.addresses)
    return WECHAT in visit.gateway.channels["live"] and not held


def _speaks(visit: Visit) -> str:
    wanted = visit.customer.preferences.language
    if wanted is None:
        return visit.texts.wishes.unset.format(language=_own_language(visit))
    return language_name(wanted, visit.language)


def _own_language(visit: Visit) -> str:
    return language_name(visit.customer.locale or visit.gateway.settings.default_locale, visit.language)


def language_name(tag: str, reader: str) -> str:
    """What a language is called by its own speakers where we have its texts, else by the reader's."""
    if tag in languages():
        return own_name(tag)
    return babel_locale(tag).get_display_name(babel_locale(reader)) or tag


def own_name(tag: str) -> str:
    """What one of the pages' languages calls itself."""
    return texts_in(tag).name


# Kinds


async def kind(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:  # noqa: ARG001 - every page takes it
    """One kind of messages: its switch, its order, what was agreed to."""
    name = wishes.known_kind(visit, visit.request.match_info["kind"])
    category = visit.gateway.rules.categories[name]
    return visit.page(
        "kind.html",
        status=status,
        alert=alert,
        done=_done(visit),
        at=visit.spot(),
        row=board.kind_row(visit, name, category),
        order=board.order_of(visit, name),
        general=board.order_of(visit),
        consents=board.consents(visit, name) if category.consent == "opt_in" else [],
        stops=[
            (channel, stop)
            for channel in board.known_channels(visit)
            if (stop := standing.of_kind_on(visit.customer, name, channel)) is not None
        ],
        undo=wishes.start_words(visit, name),
        day=partial(day, visit),
    )


async def order(visit: Visit) -> web.Response:
    """Change an order of channels."""
    spot = await wishes.order(visit)
    of = visit.form.get("kind", "")
    return visit.go(f"/about/{of}" if of else "", done="order", at=spot or "order")


async def switch(visit: Visit) -> web.Response:
    """Switch a kind on or off."""
    name = wishes.known_kind(visit, visit.form.get("kind", ""))
    on = visit.form.get("on") == "1"
    if on and visit.gateway.rules.categories[name].consent == "opt_in":
        raise Refused(visit.texts.page.wrong, "kind")
    if on and standing.everything(visit.customer) is not None:
        raise Refused(visit.texts.kind.stop_all, "kind")
    await wishes.switch(visit, name, on=on)
    path = f"/about/{name}" if visit.form.get("from") == "kind" else ""
    return visit.go(path, done="on" if on else "off", kind=name, at=f"switch-{name}")


async def own(visit: Visit) -> web.Response:
    """Give a kind an order of its own, or none."""
    name = wishes.known_kind(visit, visit.request.match_info["kind"])
    wanted = visit.form.get("order") == "own"
    if not visit.repeated(already=board.order_of(visit, name).own == wanted):
        await wishes.own_order(visit, name, own=wanted)
    return visit.go(f"/about/{name}", done="own" if wanted else "same", at="order")


async def agree(visit: Visit) -> web.Response:
    """Agree to a kind on a channel, or take that back; what is kept are the words that stood there."""
    name = wishes.known_kind(visit, visit.request.match_info["kind"])
    channel, given = visit.form.get("channel", ""), visit.form.get("agree") == "1"
    if channel not in board.known_channels(visit):
        raise Refused(visit.texts.page.wrong, "channel")
    category = visit.gateway.rules.categories[name]
    if category.consent != "opt_in" and not given:
        raise Refused(visit.texts.page.wrong, "channel")
    if given and standing.everything(visit.customer) is not None:
        raise Refused(visit.texts.kind.stop_all, "channel")
    if given and category.consent == "opt_in" and standing.of_channel(visit.customer, channel) is not None:
        raise Refused(visit.texts.kind.channel_first.format(channel=visit.texts.by(channel)), "channel")
    button = visit.texts.kind.agree if given else visit.texts.kind.take_back
    words = f"{board.sentence(visit, name, channel)} [{button}]"
    await wishes.agree(visit, name, channel, words, given=given)
    return visit.go(f"/about/{name}", done="agreed" if given else "taken_back", at=f"agree-{channel}")


# Channels and everything


async def allow(visit: Visit) -> web.Response:
    """Lift the withdrawal of a whole channel. What a phone or WeChat itself has stopped is lifted there."""
    channel = visit.form.get("channel", "")
    stop = standing.of_channel(visit.customer, channel)
    done = visit.go(done="allowed", at=f"leave-{channel}")
    if stop is None and visit.repeated(already=channel in board.known_channels(visit)):
        return done
    if stop is None or stop.remedy != "button":
        raise Refused(visit.texts.page.wrong, "channel")
    words = visit.texts.order.allow_name.format(channel=visit.texts.channel(channel))
    if not visit.repeated(already=False):
        await wishes.say(visit, channel, "*", "granted", words, way=standing.LIFTED_BY_PAGE)
    return done


async def stop(visit: Visit) -> web.Response:
    """Stop everything."""
    words = visit.texts.stop
    if not standing.said_here(standing.everything(visit.customer)):
        await wishes.say(visit, "*", "*", "withdrawn", f"{words.title}. {words.what} [{words.button}]")
    return visit.go(done="stopped", at="resume")


async def resume(visit: Visit) -> web.Response:
    """Lift that: all is as it was set."""
    words = visit.texts.stop
    said = f"{words.resume_what} [{words.resume}]"
    if not visit.repeated(already=standing.everything(visit.customer) is None):
        await wishes.say(visit, "*", "*", "granted", said, way=standing.LIFTED_BY_PAGE)
    return visit.go(done="resumed", at="stop")


# Quiet hours and language


async def quiet(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:
    """The quiet hours and the time zone; what was typed stays."""
    set_to, usual = visit.customer.preferences.quiet_hours, visit.gateway.rules.quiet_hours
    stored = "none" if set_to is None else "own" if isinstance(set_to, QuietHours) else "usual"
    hours = set_to if isinstance(set_to, QuietHours) else usual or QuietHours("21:00", "08:00")
    form, words = visit.form, visit.texts.quiet
    own_zone = visit.customer.time_zone or ""
    return visit.page(
        "quiet.html",
        status=status,
        alert=alert,
        field=field,
        choice=form.get("quiet", stored),
        start=form.get("start", hours.start),
        end=form.get("end", hours.end),
        usual=words.usual_none if usual is None else words.usual.format(hours=_hours(visit, usual)),
        kinds=board.urgent_kinds(visit),
        zones=choices(visit.language),
        other=None if not own_zone or listed(own_zone, visit.language) else (own_zone, city(own_zone, visit.language)),
        zone=form.get("zone", own_zone),
        unset=words.zone_unknown.format(zone=city(_guessed_zone(visit), visit.language)),
    )


async def set_quiet(visit: Visit) -> web.Response:
    """Set them."""
    await wishes.quiet(visit)
    return visit.go(done="quiet", at="quiet")


def effective_zone(visit: Visit) -> str:
    """The zone that counts for the person."""
    return zones_of(visit.customer, None, visit.gateway.rules.time_zone)[0]


def _guessed_zone(visit: Visit) -> str:
    return zones(None, None, "", visit.gateway.rules.time_zone)[0]


def _hours(visit: Visit, hours: QuietHours) -> str:
    return visit.texts.quiet.hours.format(start=hours.start, end=hours.end)


def _quiet_words(visit: Visit) -> str:
    wanted = visit.customer.preferences.quiet_hours
    hours = wanted if isinstance(wanted, QuietHours) or wanted is None else visit.gateway.rules.quiet_hours
    return visit.texts.home.quiet_none if hours is None else _hours(visit, hours)


async def language(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:
    """The language of messages."""
    now = visit.customer.preferences.language
    choices = [(tag, own_name(tag)) for tag in sorted(languages())]
    if now is not None and now not in languages():
        choices.append((now, language_name(now, visit.language)))
    unset = visit.texts.wishes.unset.format(language=_own_language(visit))
    return visit.page(
        "language.html", status=status, alert=alert, field=field, choices=choices, now=now or "", unset=unset
    )


async def set_language(visit: Visit) -> web.Response:
    """Set it; the pages follow unless another was chosen for them."""
    await wishes.language(visit)
    return visit.go(done="language", at="language")


# Times


def reader(visit: Visit) -> Locale:
    """How dates are written: as in the person's own country where the pages are in their language."""
    own = visit.customer.locale or ""
    near = own.partition("-")[0] == visit.language.partition("-")[0] and own != visit.language
    return babel_locale(own if near and not own.startswith("zh") else _DATES.get(visit.language, visit.language))


def day(visit: Visit, at: int) -> str:
    """A day as the person writes it."""
    found = dt.datetime.fromtimestamp(at / 1000, ZoneInfo(effective_zone(visit)))
    return format_date(found, "long", locale=reader(visit))


def moment(visit: Visit, at: int) -> str:
    """A day with its time, in the person's zone."""
    found = dt.datetime.fromtimestamp(at / 1000, ZoneInfo(effective_zone(visit)))
    clock = format_time(found, "short", tzinfo=found.tzinfo, locale=reader(visit))
    return f"{format_date(found, 'medium', locale=reader(visit))}, {clock}"
