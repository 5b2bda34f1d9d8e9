"""SMS by Twilio: send a message, read its status callbacks and what people write back.

Twilio: messaging API, messages resource; track outbound message status; messaging webhooks.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, Self
from xml.sax.saxutils import escape

import phonenumbers
import structlog
from multidict import MultiDict

from gateway.channels.base import (
    Absent,
    Accepted,
    Callback,
    CannotErase,
    Deps,
    Erased,
    Inbound,
    Malformed,
    Outbound,
    Reading,
    Refused,
    Reply,
    Traits,
    Unknown,
)
from gateway.channels.twilio_api import (
    IDS,
    OVERRIDES,
    Account,
    code_in,
    cost_of,
    created_ms,
    fault_for,
)
from gateway.message import Attempt, AttemptStatus, Fault, Receipt
from gateway.settings_types import Settings, TwilioSettings
from gateway.text import clean, segments

_STATUS: Final[dict[str, AttemptStatus]] = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "sent",
    "partially_delivered": "sent",
    "failed": "failed",
    "undelivered": "failed",
    "canceled": "failed",
    "delivered": "delivered",
    "read": "delivered",
}
_LONGEST_VALIDITY: Final = 36_000
# Twilio, advanced opt-out: it has recognised the word and answered it itself.
_OPT_OUT_TYPE: Final[dict[str, Literal["opt_out", "opt_in", "help"]]] = {
    "STOP": "opt_out",
    "START": "opt_in",
    "HELP": "help",
}
_TOLD_ELSEWHERE: Final = frozenset(("AccountSid", "Body", "From", "MessageSid", "SmsMessageSid", "SmsSid", "To"))
_STATUS_PATH: Final = re.compile(rf"status/{IDS}")
_EMPTY_ANSWER: Final = Reply(content_type="text/xml", body='<?xml version="1.0" encoding="UTF-8"?><Response/>')

_log = structlog.get_logger()


class Sms:
    """The channel `sms`."""

    name = "sms"

    def __init__(self, settings: Settings, twilio: TwilioSettings, deps: Deps) -> None:
        self._account = Account(twilio, deps, settings.channels.get(self.name))
        self._twilio = twilio
        self._senders = settings.senders
        self.traits = Traits(
            proves=frozenset(("accepted", "delivered", "acknowledged")), timeout=self._account.timeout, finds=True
        )

    @classmethod
    def build(cls, settings: Settings, deps: Deps) -> Self | None:
        """The channel, or None without an account or a sender."""
        twilio = settings.twilio
        if twilio is None or not (twilio.sms_from or twilio.messaging_service_sid):
            return None
        return cls(settings, twilio, deps)

    async def send(self, out: Outbound) -> Accepted | Refused | Unknown:
        """Hand one message to Twilio, at most once. `valid_for` becomes the ValidityPeriod (1 to 36000 s)."""
        body = clean(out.words.text)
        made: Any = await self._account.ask(
            lambda: self._account.api.messages.create_async(
                to=out.to,
                body=body,
                validity_period=max(1, min(out.valid_for, _LONGEST_VALIDITY)),
                status_callback=f"{out.callback_base}/callbacks/sms/status/{out.message}/{out.attempt}{OVERRIDES}",
                **self._sender(out),
            )
        )
        if isinstance(made, Refused | Unknown):
            return made
        if not made.sid or not isinstance(made.sid, str):
            return Unknown(detail="an answer without an id")
        if _STATUS.get(str(made.status)) == "failed":
            code = code_in(made.error_code)
            return Refused(
                fault=_fault(str(made.status), code), detail=f"made {made.status}", code=str(code) if code else None
            )
        return _accepted(made, body)

    def _sender(self, out: Outbound) -> dict[str, str]:
        """From by category and country where the settings name one, else the Messaging Service, else the number."""
        table = self._senders.get(out.category)
        named = [table.get(_country(out.to), ""), table.get("*", "")] if table else []
        chosen = next((one for one in named if one and "@" not in one), None)
        if chosen is None and self._twilio.messaging_service_sid:
            return {"messaging_service_sid": self._twilio.messaging_service_sid}
        return {"from_": chosen or self._twilio.sms_from or ""}

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """Look among the messages made to that number meanwhile for the one with our text."""
        body = clean(out.words.text)
        made = await self._account.made(self._account.api.messages, out.to, attempt.started_at)
        if isinstance(made, Unknown):
            return made
        ours = [one for one in made if (one.body or "").strip() == body.strip() and one.direction != "inbound"]
        if not ours:
            return Absent()
        return _accepted(min(ours, key=lambda one: abs(created_ms(one) - attempt.started_at)), body)

    async def recall(self, attempt: Attempt) -> None:
        """Does nothing: a message that Twilio has can't be called back."""

    async def erase(self, attempt: Attempt) -> Erased | CannotErase:
        """Delete Twilio's copy of a message."""
        return await self._account.erase(self._account.api.messages, attempt.provider_id)

    def read(self, call: Callback) -> Reading:
        """A status callback or an inbound message. Raises Forged or Malformed."""
        form = self._account.form(call)
        if call.path == "inbound":
            return Reading(inbound=(_inbound(form, call.now),), respond=lambda _out: _EMPTY_ANSWER, say=_answer)
        path = _STATUS_PATH.fullmatch(call.path)
        if path is None:
            raise Malformed("no such callback")
        return Reading(receipts=((path["message"], _receipt(form, path["attempt"], call.now)),))

    async def close(self) -> None:
        """Nothing to give back: the session is shared."""


def _answer(words: str) -> Reply:
    """Words that Twilio sends back as a message (TwiML for messaging: Message)."""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response><Message>{escape(clean(words))}</Message></Response>'
    return Reply(content_type="text/xml", body=body)


def _country(number: str) -> str:
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number, None)) or ""
    except phonenumbers.NumberParseException:
        return ""


def _accepted(made: Any, body: str) -> Accepted:
    status = _STATUS.get(str(made.status), "accepted")
    # With a Messaging Service the count is 0 until a sender is chosen; the rule of counting is a standard.
    return Accepted(
        provider_id=str(made.sid),
        status=status if status in ("sent", "delivered") else "accepted",
        units=code_in(made.num_segments) or segments(body).units,
        cost=cost_of(made.price, made.price_unit),
    )


def _fault(status: str, code: int | None) -> Fault:
    if code is not None:
        return fault_for(code)
    return Fault.CANCELED if status == "canceled" else Fault.UNEXPLAINED


def _receipt(form: MultiDict[str], attempt: str, now: int) -> Receipt:
    said = form.get("MessageStatus") or form.get("SmsStatus", "")
    status = _STATUS.get(said)
    if status is None:
        _log.warning("new_provider_status", provider="twilio", resource="message", status=clean(said)[:32])
        status = "accepted"  # whatever it means, Twilio has the message
    code = code_in(form.get("ErrorCode")) if status == "failed" else None
    return Receipt(
        attempt=attempt,
        at=now,
        status=status,
        engagement="read" if said == "read" else "none",
        fault=_fault(said, code) if status == "failed" else None,
        provider_id=form.get("MessageSid") or form.get("SmsSid") or None,
        provider_code=None if code is None else str(code),
        units=code_in(form.get("NumSegments")),
        cost=cost_of(form.get("Price"), form.get("PriceUnit")),
    )


def _inbound(form: MultiDict[str], now: int) -> Inbound:
    sid, sender = form.get("MessageSid") or form.get("SmsSid"), form.get("From")
    if not sid or not sender:
        raise Malformed("an inbound message without id or sender")
    return Inbound(
        id=sid,
        channel=Sms.name,
        sender=sender,
        kind=_OPT_OUT_TYPE.get(form.get("OptOutType", "").upper(), "text"),
        text=clean(form.get("Body", "")),
        to=form.get("To", ""),
        at=now,
        raw={name: value for name, value in form.items() if name not in _TOLD_ELSEWHERE},
    )
