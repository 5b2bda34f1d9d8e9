"""The channel `pager`: short notices by the paging network of an invented provider.

Its API: POST /pages queues a page and knows a repeated `ref` again, GET /pages/{ref} says whether it has one. It posts
every change of a page to the `report_to` of that page, signed by HMAC-SHA256 over that URL, a line feed and the body.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Annotated, Any, Final, Self

import aiohttp
import msgspec

from gateway.channels.base import (
    Absent,
    Accepted,
    Callback,
    Deps,
    Forged,
    Inbound,
    Malformed,
    Outbound,
    Reading,
    Refused,
    Traits,
    Unknown,
)
from gateway.message import Attempt, AttemptStatus, Fault, Receipt
from gateway.settings_types import BadSettings, ChannelSettings, Settings

FAULTS: Final[dict[str, Fault]] = {
    "bad_key": Fault.ACCOUNT_SHUT,
    "no_such_pager": Fault.BAD_ADDRESS,
    "opted_out": Fault.OPTED_OUT,
    "out_of_range": Fault.UNREACHABLE,
    "slow_down": Fault.THROTTLED,
    "too_long": Fault.CONTENT_REFUSED,
}
STATUS: Final[dict[str, AttemptStatus]] = {
    "queued": "accepted",
    "sent": "sent",
    "delivered": "delivered",
    "failed": "failed",
}
TIMEOUT: Final = 10.0
PATH: Final = re.compile(r"([A-Za-z0-9_-]{1,128})/([A-Za-z0-9_-]{1,128})")
Word = Annotated[str, msgspec.Meta(pattern="^[a-z_]{1,40}$")]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `[channels.pager]` must say."""

    url: str
    key: str


class Answer(msgspec.Struct, frozen=True):
    """What the API answers: the page's id, or an error."""

    page: str | None = None
    error: Word | None = None


class News(msgspec.Struct, frozen=True):
    """What a callback says; `reply` is what the person typed on the pager `pager`."""

    page: str
    status: Word
    error: Word | None = None
    pager: str = ""
    reply: str | None = None


class Pager:
    """Proves delivery, and acknowledgement by what people reply."""

    name = "pager"
    traits = Traits(proves=frozenset(("accepted", "delivered", "acknowledged")), timeout=TIMEOUT, finds=True)

    def __init__(self, options: Options, session: aiohttp.ClientSession, timeout: float) -> None:
        self.traits = msgspec.structs.replace(self.traits, timeout=timeout)
        self._url, self._key = options.url, options.key
        self._session = session
        self._limits = aiohttp.ClientTimeout(total=timeout, sock_connect=5.0)

    @classmethod
    def build(cls, settings: Settings, deps: Deps) -> Self | None:
        """The channel; None when nothing is said about it. Raises BadSettings."""
        own = settings.channels.get(cls.name, ChannelSettings())
        if not own.options:
            return None
        try:
            options = msgspec.convert(own.options, Options)
        except msgspec.ValidationError as bad:
            raise BadSettings([f"channels.pager: {bad}"]) from None
        return cls(options, deps.session, own.timeout or TIMEOUT)

    async def send(self, out: Outbound) -> Accepted | Refused | Unknown:
        """Queue one page, at most once."""
        report_to = f"{out.callback_base}/callbacks/pager/{out.message}/{out.attempt}"
        page = {"to": out.to, "text": out.words.text, "ref": out.token, "report_to": report_to}
        return await self._ask("POST", "/pages", page)

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """Ask by our own reference."""
        found = await self._ask("GET", f"/pages/{out.token}")
        if isinstance(found, Refused):
            return Absent() if found.code == "no_such_page" else Unknown(detail=found.detail)
        return found

    async def recall(self, attempt: Attempt) -> None:
        """A page can't be called back."""

    def read(self, call: Callback) -> Reading:
        """A change of a page. Raises Forged or Malformed."""
        signed = call.url.encode(errors="replace") + b"\n" + call.body
        ours = hmac.new(self._key.encode(), signed, hashlib.sha256).hexdigest()
        theirs = call.headers.get("x-pager-signature", "")
        if not hmac.compare_digest(ours.encode(), theirs.encode(errors="replace")):
            raise Forged("signature missing or wrong")
        path = PATH.fullmatch(call.path)
        if path is None:
            raise Malformed("no such callback")
        try:
            news = msgspec.json.decode(call.body, type=News)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed("not the JSON it should be") from None
        message, attempt = path.groups()
        replied = Inbound(
            id=f"{news.page}:{news.reply}",
            channel=self.name,
            sender=news.pager,
            text=news.reply or "",
            at=call.now,
            message=message,
            attempt=attempt,
        )
        return Reading(
            receipts=((message, _receipt(news, attempt, call.now)),),
            inbound=() if news.reply is None else (replied,),
        )

    async def close(self) -> None:
        """Nothing of its own is open: the session is shared."""

    async def _ask(self, method: str, path: str, body: Any = None) -> Accepted | Refused | Unknown:
        try:
            async with self._session.request(
                method,
                self._url + path,
                json=body,
                headers={"Authorization": f"Bearer {self._key}"},
                timeout=self._limits,
                allow_redirects=False,
            ) as answer:
                return _outcome(answer.status, await answer.read(), answer.headers.get("Retry-After", ""))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as away:
            return Refused(fault=Fault.UNAVAILABLE, detail=f"no connection ({type(away).__name__})")
        except (aiohttp.ClientError, TimeoutError) as lost:
            return Unknown(detail=type(lost).__name__)


def _outcome(status: int, body: bytes, wait: str) -> Accepted | Refused | Unknown:
    try:
        said = msgspec.json.decode(body, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = Answer()
    if said.error is None and status < 300 and said.page:
        return Accepted(provider_id=said.page)
    if status >= 500 or (said.error is None and status < 300):
        return Unknown(detail=f"HTTP {status}")
    fault = Fault.THROTTLED if status == 429 else FAULTS.get(said.error or "", Fault.UNEXPLAINED)
    later = int(wait[:9]) if wait.isascii() and wait.isdigit() else None
    return Refused(fault=fault, detail=f"HTTP {status}", retry_after=later, code=said.error)


def _receipt(news: News, attempt: str, now: int) -> Receipt:
    status = STATUS.get(news.status, "accepted")  # whatever a new word means, the provider has the page
    fault = FAULTS.get(news.error or "", Fault.UNEXPLAINED) if status == "failed" else None
    return Receipt(
        attempt=attempt,
        at=now,
        status="delivered" if news.reply is not None else status,
        fault=fault if news.reply is None else None,
        provider_id=news.page,
        provider_code=news.error,
    )
