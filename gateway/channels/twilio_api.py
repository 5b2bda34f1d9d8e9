"""What Twilio's two channels share: the account they use, what its answers mean, and the proof of its callbacks.

A request ends in one of three ways: the resource it asked for, `Refused` when Twilio has definitely not carried it out,
`Unknown` when it may have. Creating a message or a call has no idempotency key, so nothing here repeats a request.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from importlib.resources import files
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import aiohttp
import msgspec
import structlog
from multidict import MultiDict
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from gateway.channels.base import Callback, CannotErase, Deps, Erased, Forged, Malformed, Refused, Unknown
from gateway.channels.faults import Row, ambiguous, fault_of, load_table, row_of
from gateway.channels.twilio_http import Exchange, PooledClient, Unreadable, exchange
from gateway.message import Cost, Fault
from gateway.settings_types import ChannelSettings, TwilioSettings

T = TypeVar("T")

OVERRIDES: Final = "#rc=3&rp=all"
"""Makes Twilio repeat a callback up to three times on any failure (webhooks: connection overrides); never sent, never signed."""
IDS: Final = r"(?P<message>[A-Za-z0-9_-]{1,128})/(?P<attempt>[A-Za-z0-9_-]{1,128})"
CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0
SKEW_MS: Final = 10_000
"""How far Twilio's clock, which counts seconds, may be from ours when an attempt is looked for."""
_MAX_FIELDS: Final = 200
_MAX_FORM: Final = 65_536
"""Bytes; a form is taken apart before its signature can be checked, and that takes time."""
_PAGE: Final = 100
_PAGES: Final = 5
_NOT_FOUND: Final = 404
_WELL_BEFORE_MS: Final = 3_600_000

_log = structlog.get_logger()


class _Default(msgspec.Struct, frozen=True, rename={"low": "from", "high": "to", "cls": "class"}):
    low: int
    high: int
    cls: str
    retry: str
    fallback: str
    suppress: str
    meaning: str


class _Defaults(msgspec.Struct, frozen=True):
    default_for_unknown_code: list[_Default]
    default_for_http_status: dict[str, Fault]


class _File(msgspec.Struct, frozen=True):
    meta: _Defaults = msgspec.field(name="_meta")


_ROWS: Final[dict[int, Row]] = {int(raw["code"]): row_of(raw) for raw in load_table("twilio_errors")}
_DEFAULTS: Final = msgspec.json.decode(
    (files("gateway.channels") / "tables" / "twilio_errors.json").read_bytes(), type=_File
).meta


def row_for(code: int) -> Row | None:
    """How a Twilio code behaves; a code the table doesn't know is reported and judged by its range, else None."""
    if (row := _ROWS.get(code)) is not None:
        return row
    _log.warning("new_provider_code", provider="twilio", code=code)
    for one in _DEFAULTS.default_for_unknown_code:
        if one.low <= code <= one.high:
            return Row(one.cls, one.retry, one.fallback, one.suppress, one.meaning)
    return None


def fault_for(code: int) -> Fault:
    """The fault a code in a status callback stands for."""
    row = row_for(code)
    return Fault.UNEXPLAINED if row is None else fault_of(row)


def code_in(value: object) -> int | None:
    """A code as Twilio writes it, a number or its digits; None for anything else and for 0."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        value = int(value)
    return value if isinstance(value, int) and value > 0 else None


def outcome(status: int, code: object, wait: int | None = None) -> Refused | Unknown:
    """What an error answer says about the request.

    A server error, and a code the table calls ambiguous, leave open whether the request was carried out.
    """
    number = code_in(code)
    if number == status:
        number = None  # the SDK puts the HTTP status where the body had no code
    if status >= 500 or status == 408:
        return Unknown(detail=f"HTTP {status}" + (f", code {number}" if number else ""))
    row = row_for(number) if number is not None else None
    if row is not None and ambiguous(row):
        return Unknown(detail=f"HTTP {status}, code {number}")
    by_status = _DEFAULTS.default_for_http_status.get(str(status))
    if row is not None and (number in _ROWS or by_status not in (Fault.THROTTLED, Fault.ACCOUNT_SHUT)):
        fault, detail = fault_of(row), row.meaning
    else:
        fault, detail = by_status or (Fault.MISCONFIGURED if status < 400 else Fault.UNEXPLAINED), f"HTTP {status}"
    return Refused(fault=fault, detail=detail, retry_after=wait, code=None if number is None else str(number))


def cost_of(price: object, unit: object) -> Cost | None:
    """What Twilio says it charged: it writes a price as a negative amount, and none before it knows."""
    if not isinstance(price, str | float | int) or not isinstance(unit, str) or price in ("", "null"):
        return None
    return Cost(str(price).removeprefix("-"), unit.upper(), "provider")


def created_ms(resource: Any) -> int:
    """When Twilio made a message or a call, ms; 0 where it doesn't say."""
    at = resource.date_created
    return int(at.timestamp() * 1000) if isinstance(at, datetime) else 0


def made_within(resource: Any, started_at: int, timeout: float) -> bool:
    """True when a resource was made while the request of an attempt was under way."""
    return started_at - SKEW_MS <= created_ms(resource) <= started_at + int(timeout * 1000) + SKEW_MS


class Account:
    """One Twilio account: its REST API and the signature of its callbacks."""

    def __init__(self, settings: TwilioSettings, deps: Deps, channel: ChannelSettings | None) -> None:
        self.timeout = (channel.timeout if channel else None) or TOTAL_SECONDS
        connect = min((channel.connect_timeout if channel else None) or CONNECT_SECONDS, self.timeout)
        http = PooledClient(deps, settings.api_base, aiohttp.ClientTimeout(total=self.timeout, connect=connect))
        user, password = settings.login
        # A non-empty environment keeps the SDK from reading the process's own (edge and region would move the host).
        aloof = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}
        self._sid = settings.account_sid
        self._validator: Any = RequestValidator(settings.auth_token)
        self.api: Any = Client(
            user, password, settings.account_sid, http_client=http, environment=aloof
        ).api.v2010.account

    async def ask(self, request: Callable[[], Awaitable[T]]) -> T | Refused | Unknown:
        """Make one request of the SDK and say how it ended; only bugs and cancellation raise."""
        exchange.set(Exchange())
        try:
            return await request()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as away:
            return Refused(fault=Fault.UNAVAILABLE, detail=f"no connection: {type(away).__name__}")
        except (TwilioRestException, TwilioServiceException) as refused:
            seen = exchange.get()
            result = outcome(seen.status or refused.status, refused.code, seen.retry_after)
            _log.info(
                "provider_refused",
                provider="twilio",
                outcome=type(result).__name__,
                detail=result.detail,
                request=seen.request_id,
            )
            return result
        except (aiohttp.ClientError, TimeoutError, Unreadable, TwilioException) as lost:
            return Unknown(detail=type(lost).__name__)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as odd:
            if not 200 <= (exchange.get().status or 0) < 300:
                raise
            # The SDK stumbled over a field of a success: whatever it was, Twilio has carried the request out.
            return Unknown(detail=f"unreadable answer: {type(odd).__name__}")

    async def made(self, resources: Any, to: str, started_at: int) -> list[Any] | Unknown:
        """The messages or calls to a number that were made while the request of an attempt was under way.

        Lists by number alone and compares the time of making here: the lists' own time filters look at the time of
        sending, which a resource in Twilio's queue does not have yet. Lists run from the newest to the oldest.
        """
        found: list[Any] = []
        page: Any = None
        for _ in range(_PAGES):
            page = await self.ask(
                page.next_page_async if page else lambda: resources.page_async(to=to, page_size=_PAGE)
            )
            records = [] if page is None or isinstance(page, Refused | Unknown) else list(page)
            if isinstance(page, Refused | Unknown):
                return Unknown(detail=page.detail)
            found += [one for one in records if made_within(one, started_at, self.timeout)]
            if page is None or any(0 < created_ms(one) < started_at - _WELL_BEFORE_MS for one in records):
                return found
        return found or Unknown(detail="too many to that number")

    async def erase(self, resources: Any, sid: str | None) -> Erased | CannotErase:
        """Delete a message or a call with all that hangs on it. What Twilio hasn't finished with can't be deleted yet.

        Twilio: messages resource, calls resource, "delete"; error 20009. Its back-ups keep texts for up to 30 days.
        """
        if not sid:
            return CannotErase(reason="Twilio's id of it is not known.", code="no_id")
        done = await self.ask(resources(sid).delete_async)
        if exchange.get().status == _NOT_FOUND:
            return Erased()
        if isinstance(done, Unknown):
            return CannotErase(reason=f"Twilio could not be asked: {done.detail}.", later=True)
        if isinstance(done, Refused):
            return CannotErase(reason=f"Twilio refused: {done.detail}.", code=done.code, later=True)
        return Erased()

    def form(self, call: Callback) -> MultiDict[str]:
        """The parameters of a genuine callback, repeated names kept. Raises Forged or Malformed.

        The signature is Twilio's X-Twilio-Signature (security: validating requests) over the public URL and every
        parameter. It joins names and values without a separator, so the account is compared as well.
        """
        signature = call.headers.get("x-twilio-signature")
        if not signature:
            raise Forged("no signature")
        pairs = MultiDict(_pairs(call))
        try:
            genuine = self._validator.validate(call.url, pairs, signature)
        except ValueError:
            raise Malformed("a URL or parameters that can't be signed") from None
        if not genuine:
            raise Forged("wrong signature")
        accounts = pairs.getall("AccountSid", [])
        if not accounts or not all(hmac.compare_digest(one.encode(), self._sid.encode()) for one in accounts):
            raise Forged("another account")
        return pairs


def _pairs(call: Callback) -> Iterable[tuple[str, str]]:
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Malformed("not a form")
    if len(call.body) > _MAX_FORM:
        raise Malformed("longer than 64 KB")
    try:
        return parse_qsl(
            call.body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
            separator="&",
        )
    except ValueError:
        raise Malformed("a form that can't be read") from None
