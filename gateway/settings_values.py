"""One parser per kind of setting: text in, typed value out, ValueError with what is wrong and what to write instead."""

from __future__ import annotations

import base64
import binascii
import re
from difflib import get_close_matches
from email.utils import parseaddr
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

import babel
import phonenumbers
from babel.core import parse_locale
from email_validator import EmailNotValidError, validate_email

from gateway.settings_types import Secret, SecretBytes, StartTls

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*\.?"
)
_OPENID: Final = re.compile(r"[A-Za-z0-9_-]{6,64}")
_SHORT_CODE: Final = re.compile(r"[0-9]{3,8}")
_SENDER_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}")
_PREFIX: Final = re.compile(r"\+[1-9][0-9]{0,14}")
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_YES: Final = ("true", "yes", "on", "1")
_NO: Final = ("false", "no", "off", "0")


def meant(word: str, known: list[str]) -> str:
    """A hint to append to a complaint about an unknown word: `; did you mean …?`, or nothing."""
    close = get_close_matches(word.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    return f"; did you mean {next(name for name in known if name.lower() == close[0])}?" if close else ""


def text(value: str) -> str:
    """Any text without line breaks or control characters."""
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("contains control characters: write it on one line")
    return value


def secret(value: str) -> Secret:
    """As `text`, masked."""
    return Secret(text(value))


def secret_key(value: str) -> SecretBytes:
    """A signing key of at least 8 characters (`gateway check` warns below 32)."""
    if len(value) < 8:
        raise ValueError('is too short: make one with python3 -c "import secrets; print(secrets.token_hex(32))"')
    return SecretBytes(value.encode())


def boolean(value: str) -> bool:
    """`true` or `false`, and the words people write for them."""
    if value.lower() in _YES:
        return True
    if value.lower() in _NO:
        return False
    raise ValueError(f"must be true or false, not {value!r}")


def integer(value: str, low: int, high: int) -> int:
    """A whole number between `low` and `high`."""
    if not re.fullmatch(r"[+-]?[0-9]{1,12}", value) or not low <= int(value) <= high:
        raise ValueError(f"must be a whole number from {low} to {high}, not {value!r}")
    return int(value)


def seconds(value: str, low: float, high: float) -> float:
    """A time in seconds between `low` and `high`."""
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) or not low <= float(value) <= high:
        raise ValueError(f"must be seconds from {low:g} to {high:g}, not {value!r}")
    return float(value)


def port(value: str) -> int:
    """A TCP port; 0 takes any free one."""
    return integer(value, 0, 65535)


def days(value: str) -> int:
    """A retention in days, at most a hundred years."""
    return integer(value, 1, 36500)


def host(value: str) -> str:
    """A host name or an IP address, without a port."""
    try:
        return str(ip_address(value.strip("[]")))
    except ValueError:
        if _HOST.fullmatch(value):
            return value
    raise ValueError(f"must be a host name or an IP address without a port, not {value!r}")


def web_url(value: str) -> str:
    """An http or https URL without query; a slash at the end is dropped."""
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.query or parts.fragment or parts.username is not None or re.search(r"\s", value):
        raise ValueError("must be a URL such as https://messages.example.com, without user, query or fragment")
    return value.rstrip("/")


def words(value: str) -> tuple[str, ...]:
    """A list written with commas; empty parts are dropped, repeats too."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def countries(value: str) -> tuple[str, ...]:
    """Countries, and beginnings of numbers: `GR,+4420`."""
    return tuple(prefix(word) if word.startswith("+") else country(word) for word in words(value.upper()))


def country(code: str) -> str:
    """An ISO 3166 two-letter code that has a telephone numbering plan."""
    if code in phonenumbers.SUPPORTED_REGIONS:
        return code
    hint = "GB is the United Kingdom, GR is Greece" if code in ("UK", "EL") else "write two-letter ISO 3166 codes"
    raise ValueError(f"{code!r} is no country code: {hint}, as in GR,GB")


def prefix(value: str) -> str:
    """What numbers in international form begin with."""
    if not _PREFIX.fullmatch(value):
        raise ValueError(f"{value!r} begins no number: write + and digits, the country code first, as in +4420")
    return value


def phone(value: str) -> str:
    """A telephone number in international form; returned in E.164."""
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise ValueError(f"must be a number in international form such as +302101234567, not {value!r}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def sms_sender(value: str) -> str:
    """What an SMS may come from: a number, a short code, or a name of at most 11 characters."""
    if value.startswith("+"):
        return phone(value)
    if _SHORT_CODE.fullmatch(value) or _SENDER_NAME.fullmatch(value):
        return value
    raise ValueError(
        f"must be a number such as +302101234567, a short code, or a name of 1 to 11 letters, not {value!r}"
    )


def sid(value: str, prefix: str) -> str:
    """One of Twilio's identifiers, told apart by its first two letters."""
    if not value.startswith(prefix) or not value.isalnum():
        raise ValueError(f"must be an identifier that begins with {prefix}; Twilio's console shows it")
    return value


def email(value: str) -> str:
    """A bare e-mail address, normalised; deliverability isn't asked."""
    try:
        return validate_email(value, check_deliverability=False, globally_deliverable=False).normalized
    except EmailNotValidError as bad:
        raise ValueError(f"isn't an e-mail address: {bad}") from None


def mailbox(value: str) -> tuple[str, str]:
    """A From line: `box@host` or `Name <box@host>`. Returns it as given, and its bare address."""
    return text(value), email(parseaddr(value)[1] or value)


def team_addresses(value: str) -> tuple[str, ...]:
    """Numbers, e-mail addresses and WeChat openids, each in its normal form."""
    return tuple(dict.fromkeys(_team_address(part) for part in words(value)))


def _team_address(value: str) -> str:
    if value.startswith("+"):
        return phone(value)
    if "@" in value:
        return email(value)
    if value.isdigit() or not _OPENID.fullmatch(value):
        raise ValueError(
            f"{value!r} is neither a number such as +302101234567, nor an e-mail address, nor a WeChat openid"
        )
    return value


def locale(value: str) -> str:
    """A BCP 47 tag that Babel knows, in its canonical letter case: `zh-Hans`, `el-CY`."""
    tag = value.replace("_", "-")
    try:
        language, territory, script, *_ = parse_locale(tag, sep="-")
        babel.Locale.parse(tag, sep="-")
    except (ValueError, babel.UnknownLocaleError):
        raise ValueError(f"must be a language tag such as en, el or zh-Hans, not {value!r}") from None
    return "-".join(part for part in (language, script, territory) if part)


def time_zone(value: str) -> str:
    """An IANA time zone that this machine knows."""
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, KeyError):
        hint = meant(value, sorted(available_timezones()))
        raise ValueError(f"must be an IANA time zone such as Europe/Athens, not {value!r}{hint}") from None


def quiet_hours(value: str) -> tuple[int, int] | None:
    """`21:00-08:00` as minutes after midnight, or `none`."""
    if value.lower() == "none":
        return None
    start, _, end = value.partition("-")
    first, last = _CLOCK.fullmatch(start.strip()), _CLOCK.fullmatch(end.strip())
    if first is None or last is None or first[0] == last[0]:
        raise ValueError(f"must be two different times such as 21:00-08:00, or none, not {value!r}")
    return int(first[1]) * 60 + int(first[2]), int(last[1]) * 60 + int(last[2])


def aes_key(value: str) -> Secret:
    """WeChat's EncodingAESKey: 43 characters of base64 for 32 bytes."""
    try:
        good = len(value) == 43 and len(base64.b64decode(value + "=", validate=True)) == 32
    except (binascii.Error, ValueError):
        good = False
    if not good:
        raise ValueError("must be the 43 letters and digits that WeChat's console calls EncodingAESKey")
    return Secret(value)


class MailRelay(NamedTuple):
    """`SMTP_URL`, taken apart."""

    host: str
    port: int
    user: str | None
    password: Secret | None
    tls: bool
    starttls: StartTls


def smtp_url(value: str) -> MailRelay:
    """`smtp://user:pass@host:587?starttls=required|never` or `smtps://…`.

    Without a port: 465 for smtps, 587 with a user (RFC 6409), else 25. Messages never repeat the URL: it has a password.
    """
    remedy = "write smtp://user:password@host:587 or smtps://user:password@host, with special characters as %XX"
    try:
        parts = urlsplit(value)
        name, given = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"can't be read: {remedy}") from None
    if parts.scheme not in ("smtp", "smtps") or not name or parts.path.strip("/") or parts.fragment:
        raise ValueError(f"must be an SMTP URL: {remedy}")
    if bool(parts.username) != bool(parts.password):
        raise ValueError(f"has a user without a password, or the reverse: {remedy}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    starttls = options.pop("starttls", "offered")
    tls = parts.scheme == "smtps"
    if options or starttls not in ("required", "never", "offered"):
        raise ValueError("has an option that isn't known: only ?starttls=required and ?starttls=never are")
    if tls and "starttls" in parts.query:
        raise ValueError("asks for STARTTLS on smtps://, which is encrypted from the start: remove ?starttls")
    fallback = 465 if tls else 587 if parts.username else 25
    return MailRelay(
        host=host(name),
        port=given or fallback,
        user=text(unquote(parts.username)) if parts.username else None,
        password=secret(unquote(parts.password)) if parts.password else None,
        tls=tls,
        starttls=starttls,
    )
