"""Every path of the preference centre."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.web.centre import contacts, entry, pages, record
from gateway.web.centre.frame import by_lapsed, changing, shown

_P: Final = "/p/{token}"
_NAME: Final = "{name:[A-Za-z0-9_-]{22}}"
_REF: Final = "{ref:[a-z0-9_-]{1,80}}"
_KIND: Final = "{kind:[a-z0-9_-]{1,64}}"


def routes() -> list[web.RouteDef]:
    """GET shows, POST changes and leads on to a GET. What each POST asks of an old page, `Visit.repeated` says there."""
    return [
        web.get(_P, shown(pages.home)),
        web.post(f"{_P}/order", changing(pages.order, pages.home)),
        web.post(f"{_P}/switch", changing(pages.switch, pages.home)),
        web.post(f"{_P}/allow", changing(pages.allow, pages.home)),
        web.post(f"{_P}/stop", changing(pages.stop, pages.home)),
        web.post(f"{_P}/resume", changing(pages.resume, pages.home)),
        web.get(f"{_P}/about/{_KIND}", shown(pages.kind)),
        web.post(f"{_P}/about/{_KIND}/own", changing(pages.own, pages.kind)),
        web.post(f"{_P}/about/{_KIND}/order", changing(pages.order, pages.kind)),
        web.post(f"{_P}/about/{_KIND}/agree", changing(pages.agree, pages.kind)),
        web.get(f"{_P}/quiet", shown(pages.quiet)),
        web.post(f"{_P}/quiet", changing(pages.set_quiet, pages.quiet)),
        web.get(f"{_P}/language", shown(pages.language)),
        web.post(f"{_P}/language", changing(pages.set_language, pages.language)),
        web.get(f"{_P}/addresses/add", shown(contacts.add)),
        web.post(f"{_P}/addresses/add", changing(contacts.send_code, contacts.add)),
        web.get(f"{_P}/addresses/code/{_NAME}", shown(contacts.code)),
        web.post(f"{_P}/addresses/code/{_NAME}", changing(contacts.confirm, contacts.code)),
        web.get(f"{_P}/addresses/{_REF}/remove", shown(contacts.removal)),
        web.post(f"{_P}/addresses/{_REF}/remove", changing(contacts.remove, contacts.removal)),
        web.get(f"{_P}/data", shown(record.data)),
        web.get(f"{_P}/export", shown(record.export)),
        web.get(f"{_P}/forget", shown(record.forget)),
        web.post(f"{_P}/forget", changing(record.forgotten, record.forget)),
        web.post(f"{_P}/open", by_lapsed(entry.send)),
        web.get(f"{_P}/open/{_NAME}", by_lapsed(entry.code)),
        web.post(f"{_P}/open/{_NAME}", by_lapsed(entry.enter)),
    ]


def elsewhere() -> list[web.RouteDef]:
    """What is looked for below a link and isn't there, such as a form's own path: it leads to the first page. Comes last."""
    return [web.get(f"{_P}/{{rest:.*}}", shown(pages.first))]
