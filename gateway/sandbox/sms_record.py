"""What is known of an SMS, and how Twilio writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from .segments import segments
from .twilio_rest import API, E164, bad_callback, compact, rfc2822

MAGIC_TO = {"+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550004": 21610}
MAGIC_TO["+15005550009"] = 21614
MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}


class Sms(Struct, kw_only=True):
    """A message as the account sees it; times in milliseconds."""

    sid: str
    to: str
    sender: str | None
    body: str
    status: str
    direction: str
    created: int
    updated: int
    sent: int | None = None
    service: str | None = None
    callback: str = ""
    error_code: int | None = None
    price: str | None = None
    news: bool = True


def fault(form: Mapping[str, str]) -> int | None:
    """The error code of a bad request to send, in the order Twilio checks."""
    to, sender, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
    if not to:
        return 21604
    if not sender and not form.get("MessagingServiceSid"):
        return 21603
    if not body and not form.get("MediaUrl"):
        return 21602
    if len(body) > 1600:
        return 21617
    if to in MAGIC_TO:
        return MAGIC_TO[to]
    if sender in MAGIC_FROM:
        return MAGIC_FROM[sender]
    if not E164.fullmatch(to):
        return 21211
    if to == sender:
        return 21266
    if form.get("StatusCallback") and bad_callback(form["StatusCallback"]):
        return 21609
    validity = form.get("ValidityPeriod", "1")
    if not validity.isdecimal() or not 1 <= int(validity) <= 36000:
        return 21624
    return None


def resource(message: Sms, account_sid: str) -> dict[str, Any]:
    """The message as Twilio's JSON."""
    uri = f"/{API}/Accounts/{account_sid}/Messages/{message.sid}"
    waiting = message.status in ("accepted", "scheduled")
    return {
        "account_sid": account_sid,
        "api_version": API,
        "body": message.body,
        "date_created": rfc2822(message.created),
        "date_sent": rfc2822(message.sent),
        "date_updated": rfc2822(message.updated),
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None,
        "from": message.sender,
        "messaging_service_sid": message.service,
        "num_media": "0",
        "num_segments": "0" if waiting else str(segments(message.body)),
        "price": message.price,
        "price_unit": "USD",
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": uri + "/Media.json"},
        "to": message.to,
        "uri": uri + ".json",
    }


def news(message: Sms, account_sid: str) -> list[tuple[str, str]]:
    """The parameters of a status callback."""
    code = None if message.error_code is None else str(message.error_code)
    return compact(
        [
            ("MessageSid", message.sid),
            ("SmsSid", message.sid),
            ("MessageStatus", message.status),
            ("SmsStatus", message.status),
            ("ErrorCode", code),
            ("To", message.to),
            ("From", message.sender),
            ("AccountSid", account_sid),
            ("ApiVersion", API),
            ("MessagingServiceSid", message.service),
        ]
    )
