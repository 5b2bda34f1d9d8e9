"""WeChat: template messages at any time, free text while a person's last message is recent.

`errcode` 0 means that WeChat took it. A template message is reported on afterwards (TEMPLATESENDJOBFINISH); a text never.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final, Self, cast

import aiohttp
import msgspec
import structlog
from redis.asyncio import Redis

from gateway.channels.base import (
    Absent,
    Accepted,
    Callback,
    CannotErase,
    Deps,
    Outbound,
    Reading,
    Refused,
    Traits,
    Unknown,
)
from gateway.channels.faults import ambiguous, fault_of, load_table, row_of
from gateway.channels.wechat_account import Account
from gateway.channels.wechat_callback import CallbackReader
from gateway.channels.wechat_client import ApiAnswer, Client, NoTokenError
from gateway.channels.wechat_fields import template_problem
from gateway.channels.wechat_menu import Menu
from gateway.channels.wechat_token import AccessTokens, TokenRefusedError
from gateway.message import Attempt, Fault
from gateway.settings_types import ChannelSettings, Settings, WeChatSettings

__all__ = ["WeChatChannel", "template_problem"]

_TIMEOUT: Final = 15.0
_WINDOW: Final = 172_800  # 48 hours after the person's message
_REPEAT_MS: Final = 540_000  # WeChat knows a client_msg_id again for ten minutes; one is left for the way
_TEMPLATE_ID_INVALID: Final = 40037
_INVALID_CREDENTIAL: Final = 40001
_LATER: Final = frozenset((Fault.THROTTLED, Fault.UNAVAILABLE, Fault.QUOTA))

log = structlog.get_logger()


class _Code(msgspec.Struct, frozen=True):
    fault: Fault
    ambiguous: bool
    taken: bool
    meaning: str


class WeChatChannel:
    """One official account. Address: the person's openid."""

    name = "wechat"
    traits = Traits(
        proves=frozenset(("accepted", "delivered", "acknowledged")), timeout=_TIMEOUT, window=_WINDOW, finds=True
    )

    def __init__(
        self,
        account: WeChatSettings,
        *,
        session: aiohttp.ClientSession,
        redis: Redis,
        clock: Callable[[], int],
        timeout: float = _TIMEOUT,
    ) -> None:
        """`timeout`: seconds for a whole send, fetching a token included."""
        self.traits = msgspec.structs.replace(self.traits, timeout=timeout)
        self._clock = clock
        self._api = Client(account.api_base, AccessTokens(account, session, redis), session, timeout)
        self.account = Account(account, self._api, session)
        self._callbacks = CallbackReader(token=account.token, app_id=account.app_id, aes_key=account.aes_key)

    @classmethod
    def build(cls, settings: Settings, deps: Deps) -> Self | None:
        """The channel these settings describe; None without an account."""
        if settings.wechat is None:
            return None
        own = settings.channels.get(cls.name, ChannelSettings())
        return cls(
            settings.wechat,
            session=deps.session,
            redis=deps.redis,
            clock=deps.clock,
            timeout=own.timeout or _TIMEOUT,
        )

    async def send(self, out: Outbound) -> Accepted | Refused | Unknown:
        """Free text while the window is open, else the template."""
        template = out.words.wechat
        if _goes_as_text(out):
            result = await self._ask(out)
        elif template is None:
            return Refused(fault=Fault.NO_WINDOW, detail="no template, and the reply window is closed")
        elif (problem := template_problem(template.data)) is not None:
            return Refused(fault=Fault.CONTENT_REFUSED, detail=problem)
        else:
            result = await self._ask(out)
            if isinstance(result, Refused) and result.code == str(_TEMPLATE_ID_INVALID):
                # Said now and then of templates that exist; a second refusal is meant.
                result = await self._ask(out)
        where = log.bind(channel=self.name, message=out.message, attempt=out.attempt)
        if isinstance(result, Refused):
            where.info("wechat_refused", code=result.code, fault=result.fault)
        elif isinstance(result, Unknown):
            where.warning("wechat_answer_lost", why=result.detail)
        return result

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """Ask by repeating: within ten minutes the same client_msg_id gives the first one's msgid and sends nothing new.

        Texts have no such id. Absent: WeChat refuses the repeat for good, so it can't have taken the first one either.
        """
        if _goes_as_text(out) or out.words.wechat is None:
            return Unknown(detail="WeChat can't be asked about texts")
        if self._clock() - attempt.started_at > _REPEAT_MS:
            return Unknown(detail="too late: WeChat knows repeats for ten minutes")
        result = await self._ask(out)
        if isinstance(result, Refused):
            return Unknown(detail=result.detail) if result.fault in _LATER else Absent()
        return result

    async def recall(self, attempt: Attempt) -> None:
        """A WeChat message can't be called back."""

    async def erase(self, attempt: Attempt) -> CannotErase:  # noqa: ARG002 - no message can be
        """What WeChat has can't be deleted."""
        return CannotErase(
            reason="WeChat has no way to delete what it was given; it keeps messages as its own rules say.",
            code="no_way",
        )

    def read(self, call: Callback) -> Reading:
        """Verify, then read a callback. Raises Forged or Malformed."""
        return self._callbacks.read(call)

    async def close(self) -> None:
        """Nothing of its own is open: session and Redis are shared."""

    async def set_menu(self, menu: Menu) -> Accepted | Refused | Unknown:
        """Put a menu below everybody's conversation; the same one again does no harm."""
        return await self._answered(cast("Any", self._api.menu).create(menu))

    async def _ask(self, out: Outbound) -> Accepted | Refused | Unknown:
        return await self._answered(self._call(out))

    async def _answered(self, call: Awaitable[ApiAnswer]) -> Accepted | Refused | Unknown:
        try:
            return _outcome(await call)
        except TokenRefusedError as refused:
            return _token_refused(refused.code)
        except NoTokenError as lost:
            return Refused(fault=Fault.UNAVAILABLE, detail=f"no access token to be had ({lost})")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as lost:
            return Refused(fault=Fault.UNAVAILABLE, detail=f"no connection ({type(lost).__name__})")
        except (aiohttp.ClientError, TimeoutError) as lost:
            return Unknown(detail=type(lost).__name__)

    async def _call(self, out: Outbound) -> ApiAnswer:
        messages, template = self._api.message, out.words.wechat
        if template is None or _goes_as_text(out):
            return await messages.send_free_text(out.to, out.words.text)
        name = hashlib.blake2b(out.token.encode(), digest_size=12).hexdigest()
        return await messages.send_template_once(out.to, template.template_id, template.data, template.url, name)


def _goes_as_text(out: Outbound) -> bool:
    return out.in_window and bool(out.words.text.strip())


def _outcome(answer: ApiAnswer) -> Accepted | Refused | Unknown:
    """What an answer means: WeChat says no with HTTP 200, so the body decides."""
    if answer.status == 429:
        return Refused(fault=Fault.THROTTLED, detail="HTTP 429", code="429", retry_after=answer.retry_after)
    if answer.status >= 500 or 300 <= answer.status < 400 or (answer.status == 200 and answer.errcode is None):
        return Unknown(detail=f"HTTP {answer.status} without a readable answer")
    if answer.status != 200:
        return Refused(fault=Fault.MISCONFIGURED, detail=f"HTTP {answer.status}", code=str(answer.status))
    if not answer.errcode:
        return Accepted(provider_id=answer.msgid)
    code = _codes().get(answer.errcode)
    if code is None:
        return Refused(fault=Fault.UNEXPLAINED, detail="an error code that no table knows", code=str(answer.errcode))
    if code.taken:
        return Accepted(provider_id=answer.msgid)
    if code.ambiguous:
        return Unknown(detail=f"errcode {answer.errcode}: {code.meaning}")
    return Refused(fault=code.fault, detail=code.meaning, code=str(answer.errcode), retry_after=answer.retry_after)


def _token_refused(errcode: int | None) -> Refused:
    if errcode is None:
        return Refused(fault=Fault.UNAVAILABLE, detail="unreadable answer of the token endpoint")
    code = _codes().get(errcode)
    fault = code.fault if code else Fault.MISCONFIGURED
    # There it means a wrong AppSecret: nothing will go out until it is mended.
    fault = Fault.ACCOUNT_SHUT if errcode == _INVALID_CREDENTIAL else fault
    return Refused(fault=fault, detail=f"no access token: {code.meaning if code else 'unknown'}", code=str(errcode))


@cache
def _codes() -> dict[int, _Code]:
    found: dict[int, _Code] = {}
    for raw in load_table("wechat_errcodes"):
        row = row_of(raw)
        fault = Fault(raw["fault"]) if "fault" in raw else fault_of(row)
        found[raw["errcode"]] = _Code(fault, ambiguous(row), bool(raw.get("taken")), row.meaning)
    return found
