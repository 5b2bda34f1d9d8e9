"""The page that joins a person with their WeChat: a code to be scanned, and a sign-in for those who read it inside WeChat.

The code that is shown stands, signed, in the page's own address, so that looking again shows the same one.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import secrets
from typing import Any, Final, cast

import msgspec
import segno
from aiohttp import web

from gateway.links import BadLink, preference_payload
from gateway.locales import table
from gateway.selfservice.wechat_link import LIVES_S, Invitation, NotLinkedError, TooManyCodes
from gateway.web.centre.frame import notice, shown
from gateway.web.centre.visit import POLICY, Refused, Visit

CODE: Final = "wechat code"
SIGN_IN: Final = "wechat sign-in"
SIGN_IN_S: Final = 600
COOKIE: Final = "wechat_sign_in"
_QUIET: Final = 4
_POLICY: Final = f"{POLICY}; connect-src 'self'"


def _words(visit: Visit) -> dict[str, str]:
    return cast("dict[str, str]", table("wechat_link")[visit.language])


async def page(visit: Visit, *, status: int = 200, alert: str = "", field: str = "") -> web.Response:  # noqa: ARG001 - every page takes it
    """The code; or that WeChat is joined."""
    links, words = _offered(visit), _words(visit)
    standing = links.standing(visit.customer)
    # Who signed in doesn't follow the account yet, and inside WeChat a code is no use but to follow by.
    if standing == "linked" and "code" not in visit.request.query and not _inside(visit):
        return _rendered(visit, words, status, alert, standing=standing)
    invitation = _shown_before(visit)
    if invitation is None and not visit.trial:
        try:
            return visit.go(
                "/wechat", code=_packed(visit, await links.begin(visit.customer.id, visit.customer.created_at))
            )
        except TooManyCodes:
            status, alert = 429, alert or words["too_many"]
        except NotLinkedError:
            status, alert = 503, alert or words["unavailable"]
    if invitation is not None and not await links.waits(invitation.token):
        if standing == "linked":
            return _rendered(visit, words, status, alert, standing=standing)
        # Between a scan and its entry the code stays on the page: with a new one, the page would never say "connected".
        if not await links.taken(invitation.token):
            return visit.go("/wechat")
    return _rendered(visit, words, status, alert, standing=standing, invitation=invitation)


def _rendered(
    visit: Visit, words: dict[str, str], status: int, alert: str, *, standing: str, invitation: Invitation | None = None
) -> web.Response:
    code = visit.request.query.get("code", "")
    response = visit.page(
        "wechat.html",
        status=status,
        alert=alert,
        done="",
        w=words,
        standing=standing,
        inside=_inside(visit),
        qr=None if invitation is None else drawn(invitation.url),
        holds=invitation.url if invitation is not None and visit.gateway.settings.sandbox else "",
        again=visit.url("/wechat", code=code, checked="1"),
        state=visit.url("/wechat/state", code=code),
        unseen=visit.request.query.get("checked") == "1",
    )
    response.headers["Content-Security-Policy"] = _POLICY
    return response


async def state(visit: Visit) -> web.Response:
    """Whether the code of the page still waits, for the page's script."""
    invitation = _shown_before(visit)
    waits = invitation is not None and await _offered(visit).waits(invitation.token)
    return web.json_response({"waits": waits}, headers={"Cache-Control": "no-store"})


async def sign_in(visit: Visit) -> web.Response:
    """On to WeChat's sign-in, which comes back to `signed_in`."""
    if visit.trial:
        raise Refused(visit.texts.page.trial, status=403)
    nonce, links, settings = secrets.token_hex(8), _offered(visit), visit.gateway.settings
    signed = visit.gateway.links.sign(SIGN_IN, _bound(visit, nonce), SIGN_IN_S)
    back = f"{settings.public_url}{visit.base}/wechat/oauth"
    # WeChat brings back letters and digits only.
    to = links.sign_in_url(back, signed.encode().hex())
    response = web.Response(
        status=302, headers={"Location": to, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    )
    response.set_cookie(
        COOKIE,
        nonce,
        max_age=SIGN_IN_S,
        path=f"{visit.base}/wechat",
        httponly=True,
        secure=settings.public_url.startswith("https:"),
        samesite="Lax",
    )
    return response


async def signed_in(visit: Visit) -> web.Response:
    """Back from WeChat: join whoever signed in, if it was this browser that set out."""
    words = _words(visit)
    if visit.trial or not _set_out_here(visit):
        return notice(visit.request, 403, words["failed"], title=words["title"])
    try:
        asked, person = visit.request.query, visit.customer
        await _offered(visit).signed_in(person.id, asked.get("code", ""), person.created_at, state=asked["state"])
    except NotLinkedError:
        return notice(visit.request, 422, words["failed"], title=words["title"])
    response = visit.go("/wechat")
    response.del_cookie(COOKIE, path=f"{visit.base}/wechat")
    return response


class Picture(msgspec.Struct, frozen=True):
    """A QR code as one path over a square of `size` units, its quiet zone included (ISO/IEC 18004: four units)."""

    size: int
    path: str


def drawn(url: str) -> Picture:
    """A QR code to be drawn by the page itself: nothing is fetched, nothing is styled inline."""
    made = segno.make(url, error="m", micro=False)
    rows = [[bool(module) for module in row] for row in made.matrix]
    runs: list[str] = []
    for y, row in enumerate(rows, _QUIET):
        x = _QUIET
        for dark, squares in itertools.groupby(row):
            width = len(list(squares))
            if dark:
                runs.append(f"M{x} {y}h{width}v1h-{width}z")
            x += width
    return Picture(len(rows) + 2 * _QUIET, "".join(runs))


def _offered(visit: Visit) -> Any:
    links = visit.gateway.wechat_links
    if not links.offered:
        raise Refused(_words(visit)["none"], status=404)
    return links


def _inside(visit: Visit) -> bool:
    """Whether the page is read in WeChat's own browser."""
    return "MicroMessenger" in visit.request.headers.get("User-Agent", "")


def _packed(visit: Visit, invitation: Invitation) -> str:
    payload = f"{_whose(visit)}\n{invitation.token}\n{invitation.url}"
    return visit.gateway.links.sign(CODE, payload, LIVES_S)


def _shown_before(visit: Visit) -> Invitation | None:
    """The code that the page's address holds, if it is this person's and still good."""
    try:
        customer, token, url = visit.gateway.links.read(CODE, visit.request.query.get("code", "")).split("\n")
    except (BadLink, ValueError):
        return None
    return Invitation(token, url) if customer == _whose(visit) else None


def _whose(visit: Visit) -> str:
    return preference_payload("live", visit.customer.id, visit.customer.created_at)


def _bound(visit: Visit, nonce: str) -> str:
    """What a sign-in is bound to: the person, and the browser that sets out."""
    return hashlib.blake2b(f"{_whose(visit)}\n{nonce}".encode(), digest_size=10).hexdigest()


def _set_out_here(visit: Visit) -> bool:
    try:
        token = bytes.fromhex(visit.request.query.get("state", "")).decode("ascii")
        bound = visit.gateway.links.read(SIGN_IN, token)
    except (BadLink, ValueError):
        return False
    return hmac.compare_digest(bound, _bound(visit, visit.request.cookies.get(COOKIE, "")))


def routes() -> list[web.RouteDef]:
    """All by GET: nothing here changes what the person set, and WeChat comes back by GET."""
    at = "/p/{token}/wechat"
    return [
        web.get(at, shown(page)),
        web.get(f"{at}/state", shown(state)),
        web.get(f"{at}/sign-in", shown(sign_in)),
        web.get(f"{at}/oauth", shown(signed_in)),
    ]
