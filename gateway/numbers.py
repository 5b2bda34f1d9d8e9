"""Addresses in their normal form: telephone numbers, e-mail addresses, openids; the country and the time zones of a number.

Nothing here asks the network: an address is judged by how it looks.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import phonenumbers
from babel.core import get_global
from email_validator import EmailNotValidError, ValidatedEmail, validate_email
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

_PHONE_CHANNELS: Final = frozenset(("sms", "voice"))
_COSTLY: Final = frozenset((PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST))
_OPENID: Final = re.compile(r"[A-Za-z0-9_-]{6,128}")
_DIALLED: Final = re.compile(r"[+0-9 ().\-/\u00a0\u2010-\u2015]{1,40}")
_PLAIN_LOCAL: Final = re.compile(r"(?=.{1,64}\Z)[a-z0-9]+(?:[._+-][a-z0-9]+)*")
_PLAIN_MOST: Final = 200
_LONGEST: Final = 400
"""Nothing longer is looked at; an e-mail address has at most 254 characters (RFC 5321)."""
_EXAMPLE: Final = "write it with the country code, such as +302101234567"
_WRONG: Final = {
    ValidationResult.TOO_SHORT: "has too few digits",
    ValidationResult.TOO_LONG: "has too many digits",
    ValidationResult.INVALID_LENGTH: "has a number of digits that its country doesn't use",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks its area code",
    ValidationResult.INVALID_COUNTRY_CODE: "begins with a country code that doesn't exist",
}


def is_phone_channel(channel: str) -> bool:
    """True for the channels whose addresses are telephone numbers."""
    return channel in _PHONE_CHANNELS


def normalise(channel: str, value: str, default_country: str | None = None) -> str:
    """The address as it is stored and compared: E.164, an e-mail address with an ASCII domain, an openid.

    `default_country` (ISO 3166) is the country of numbers written without their country code. Addresses of other
    channels are kept as they are, but for blanks around them. Raises ValueError with a sentence that says what is wrong
    and what to write instead. Doing it twice changes nothing.
    """
    if len(value) > _LONGEST:
        raise ValueError(f"is too long for an address: at most {_LONGEST} characters")
    return _normal(channel, value, default_country)


@lru_cache(maxsize=65536)
def _normal(channel: str, value: str, default_country: str | None) -> str:
    if is_phone_channel(channel):
        return _phone(value, default_country)
    if channel == "email":
        return _email(value)
    if channel == "wechat":
        return _openid(value)
    return _other(value)


@lru_cache(maxsize=65536)
def country_of(channel: str, value: str) -> str | None:
    """The country (ISO 3166) of a normalised telephone number; None for other addresses.

    A number outside every known range counts for the main country of its code (+1: US), so that a list of allowed
    countries still judges it. "001" stands for the codes that belong to no country.
    """
    if not is_phone_channel(channel):
        return None
    number = _parsed(value)
    if number is None:
        return None
    return phonenumbers.region_code_for_number(number) or phonenumbers.region_code_for_country_code(
        number.country_code or 0
    )


@lru_cache(maxsize=65536)
def is_costly(value: str) -> bool:
    """True for premium-rate and shared-cost numbers, and those of no country: satellites, international networks.

    They are what toll fraud lives by, and nobody is reached there.
    """
    number = _parsed(value)
    if number is None:
        return False
    return (
        phonenumbers.number_type(number) in _COSTLY
        or phonenumbers.region_code_for_country_code(number.country_code or 0)
        == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
    )


@lru_cache(maxsize=65536)
def zones_of(value: str) -> tuple[str, ...]:
    """The IANA time zones a normalised telephone number may be in; () when nothing is known about it.

    Only where the country is certain are the zones of its neighbours under the same code left out (+7: Kazakhstan).
    """
    from phonenumbers import timezone  # noqa: PLC0415 - its tables take 50 ms to load, and few commands need them

    number = _parsed(value)
    if number is None:
        return ()
    found = timezone.time_zones_for_number(number)
    if timezone.UNKNOWN_TIMEZONE in found:
        return ()
    country = phonenumbers.region_code_for_number(number)
    if country is None or country == phonenumbers.region_code_for_country_code(number.country_code or 0):
        return tuple(found)
    territories = get_global("zone_territories")
    return tuple(zone for zone in found if territories.get(zone) == country) or tuple(found)


def _parsed(value: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(value, None)
    except NumberParseException:
        return None


def _phone(value: str, default_country: str | None) -> str:
    text = unicodedata.normalize("NFKC", value).strip()
    if not _DIALLED.fullmatch(text):
        raise ValueError(f"isn't a telephone number: {_EXAMPLE}")
    if text.startswith("00"):
        text = "+" + text[2:]
    if default_country is not None and default_country not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{default_country!r} is no country: write two letters, such as GR")
    try:
        number = phonenumbers.parse(text, default_country)
    except NumberParseException as bad:
        if bad.error_type == NumberParseException.INVALID_COUNTRY_CODE:
            raise ValueError(f"has no country code, or one that doesn't exist: {_EXAMPLE}") from None
        raise ValueError(f"isn't a telephone number: {_EXAMPLE}") from None
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != ValidationResult.IS_POSSIBLE:
        raise ValueError(f"{_WRONG.get(reason, 'is no telephone number')}: {_EXAMPLE}")
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if len(written) > 16:
        raise ValueError(f"has more than 15 digits: {_EXAMPLE}")
    # Reading strips one trunk prefix at a time (+32 00… has two), and the normal form must be its own normal form.
    return written if written == text else _phone(written, None)


def _email(value: str) -> str:
    text = value.strip()
    local, _, domain = text.partition("@")
    if _PLAIN_LOCAL.fullmatch(local) and len(text) <= _PLAIN_MOST:
        # Nothing about such a name depends on its domain, and most domains stand in many addresses.
        return f"{local}@{_domain(domain)}"
    found = _validated(text)
    return f"{found.local_part}@{found.ascii_domain}"


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str:
    return str(_validated(f"a@{domain}").ascii_domain)


def _validated(text: str) -> ValidatedEmail:
    try:
        return validate_email(
            text,
            check_deliverability=False,
            # .test is reserved for tests (RFC 6761); the sandbox and sample customers live there.
            test_environment=text.lower().rstrip(".").endswith(".test"),
        )
    except EmailNotValidError as bad:
        raise ValueError(f"isn't an e-mail address such as name@example.com: {bad}") from None


def _openid(value: str) -> str:
    text = value.strip()
    if not _OPENID.fullmatch(text):
        raise ValueError("isn't a WeChat openid: 6 to 128 letters, digits, - and _, as WeChat gives it to your account")
    return text


def _other(value: str) -> str:
    text = value.strip()
    if not 1 <= len(text) <= 256 or not text.isprintable():
        raise ValueError("isn't an address: 1 to 256 printable characters on one line")
    return text
