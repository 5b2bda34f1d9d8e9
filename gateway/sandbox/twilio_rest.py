"""What Twilio's two look-alikes share: credentials, errors, ids, dates, pages of a list."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from .behaviour import Behaviour, Carrier, State

E164 = re.compile(r"\+[1-9]\d{6,14}")
API = "2010-04-01"

MESSAGES = {
    20003: (401, "Authenticate"),
    20009: (422, "Cannot delete this resource before it is complete"),
    20404: (404, "The requested resource was not found"),
    20409: (409, "The request could not be completed due to a conflict"),
    20422: (422, "Invalid parameter value"),
    20429: (429, "Too Many Requests"),
    20503: (503, "Service Unavailable"),
    21201: (400, "No 'To' number is specified"),
    21205: (400, "Url parameter is required or invalid."),
    21211: (400, "The 'To' number is not a valid phone number."),
    21212: (400, "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID."),
    21213: (400, "No 'From' number is specified"),
    21214: (400, "'To' phone number cannot be reached"),
    21215: (400, "Account not authorized to call this number. Check your geographic permissions."),
    21216: (400, "Account not allowed to call this number."),
    21217: (400, "Phone number does not appear to be valid"),
    21220: (400, "Call is not in-progress. Cannot redirect."),
    21266: (400, "'To' and 'From' number cannot be the same"),
    21408: (403, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number."),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number provided is not a valid, message-capable Twilio phone number."),
    21609: (400, "The 'StatusCallback' URL is not a valid URL."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21611: (429, "This 'From' number has exceeded the maximum number of queued messages"),
    21612: (400, "The message cannot be sent with the current combination of 'To' and 'From' parameters"),
    21614: (400, "'To' number is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    21624: (400, "The 'ValidityPeriod' is invalid: it must be between 1 and 36000 seconds"),
    30409: (400, "The message cannot be canceled: it has already been processed"),
}


def error(code: int, *, retry_after: int | None = None) -> web.Response:
    """An error answer with Twilio's body of ``code``, ``message``, ``more_info`` and ``status``."""
    status, message = MESSAGES[code]
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return web.json_response(body, status=status, headers=headers)


def drop(request: web.Request) -> web.Response:
    """Ends the connection without an answer; the response returned is never seen."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def gate(request: web.Request, behaviour: Behaviour, carrier: Carrier) -> web.Response | None:
    """Lets a carrier's state speak first: an answer, or None when the request may go on."""
    match behaviour.state(carrier):
        case State.REFUSES:
            return error(20503)
        case State.THROTTLES:
            return error(20429, retry_after=1)
        case State.HANGS:
            await behaviour.while_hanging(carrier)
            return drop(request)
        case _:
            return None


class Credentials:
    """HTTP basic authentication with the account or with an API key."""

    def __init__(self, account_sid: str, auth_token: str, keys: Mapping[str, str]) -> None:
        self.account_sid = account_sid
        self.auth_token = auth_token
        self._secrets = {account_sid: auth_token, **keys}

    def refuse(self, request: web.Request) -> web.Response | None:
        """An error answer unless the request may act for the account in its path."""
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return error(20003)
        secret = self._secrets.get(user)
        if scheme.lower() != "basic" or secret is None:
            return error(20003)
        if not hmac.compare_digest(secret.encode(), password.encode()):
            return error(20003)
        return None if request.match_info["account"] == self.account_sid else error(20404)


def new_sid(prefix: str, random: Random) -> str:
    """A resource id: two letters and 32 hexadecimal digits."""
    return f"{prefix}{random.getrandbits(128):032x}"


def rfc2822(at: int | None) -> str | None:
    """A time in milliseconds as Twilio writes it in resources."""
    return None if at is None else format_datetime(datetime.fromtimestamp(at // 1000, UTC))


def bad_callback(url: str) -> bool:
    """Whether Twilio would refuse a callback address: no scheme, no host, or an underscore in the host."""
    parts = urlsplit(url)
    return parts.scheme not in ("http", "https") or not parts.hostname or "_" in parts.hostname


def time_filter(query: Mapping[str, str], name: str) -> Callable[[int | None], bool]:
    """``DateSent=``, ``DateSent>=`` and ``DateSent<=`` (or StartTime) as a predicate on milliseconds."""
    bounds: list[tuple[str, int, bool]] = []
    for sign in ("", ">", "<"):
        value = query.get(name + sign, "")
        if value:
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            bounds.append((sign, int(moment.timestamp() * 1000), len(value) == len("2026-01-01")))

    def holds(at: int | None) -> bool:
        return all(at is not None and _within(at, sign, bound, whole) for sign, bound, whole in bounds)

    return holds


def _within(at: int, sign: str, bound: int, whole_day: bool) -> bool:  # noqa: FBT001 - private, one caller
    end = bound + (86_400_000 if whole_day else 1000)
    if sign == ">":
        return at >= bound
    return at < end if sign == "<" else bound <= at < end


def page(request: web.Request, name: str, resources: Sequence[dict[str, Any]]) -> web.Response:
    """One page of a list, with Twilio's paging fields; ``PageSize`` 1 to 1000, 50 by default."""
    query = request.query
    size = min(1000, max(1, int(query.get("PageSize", "50") or 50)))
    number = max(0, int(query.get("Page", "0") or 0))
    shown = resources[number * size : (number + 1) * size]

    def uri(index: int) -> str:
        kept = [(key, value) for key, value in query.items() if key not in ("Page", "PageSize", "PageToken")]
        return f"{request.path}?{urlencode([*kept, ('PageSize', str(size)), ('Page', str(index))])}"

    more = len(resources) > (number + 1) * size
    return web.json_response(
        {
            name: shown,
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + max(0, len(shown) - 1),
            "first_page_uri": uri(0),
            "previous_page_uri": uri(number - 1) if number else None,
            "next_page_uri": uri(number + 1) if more else None,
            "uri": request.path_qs,
        }
    )


def compact(pairs: Iterable[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """The parameters that have a value."""
    return [(name, value) for name, value in pairs if value is not None]
