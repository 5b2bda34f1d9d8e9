"""The shape of the settings: plain frozen values that any module may read. `gateway/settings.py` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec

StartTls = Literal["required", "never", "offered"]
Role = Literal["api", "worker", "callbacks", "console"]
ROLES: Final[tuple[Role, ...]] = ("api", "worker", "callbacks", "console")
"""What a process can be there for; by default all of it."""


class Secret(str):
    """Text that `repr` masks, so that it never reaches a log, a traceback or a test report by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SecretBytes(bytes):
    """Bytes that `repr` masks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'***'"


class TwilioSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Twilio's account. SMS exists with `sms_from` or `messaging_service_sid`, voice with `voice_from`."""

    account_sid: str
    auth_token: Secret
    api_key: str | None = None
    api_secret: Secret | None = None
    sms_from: str | None = None
    messaging_service_sid: str | None = None
    voice_from: str | None = None
    api_base: str = "https://api.twilio.com"

    @property
    def login(self) -> tuple[str, Secret]:
        """User and password for the REST API: the API key where there is one, else account and token."""
        if self.api_key is not None and self.api_secret is not None:
            return self.api_key, self.api_secret
        return self.account_sid, self.auth_token


class SmtpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The mail relay. `tls`: from the first byte (smtps); else `starttls` says what happens in the open."""

    host: str
    port: int
    user: str | None = None
    password: Secret | None = None
    tls: bool = False
    starttls: StartTls = "offered"
    email_from: str
    """As given: `Name <box@host>` or `box@host`."""
    from_address: str
    """The bare address of `email_from`."""
    bounce_domain: str | None = None
    """Where VERP return paths live; None: returns go to `from_address` and aren't read."""


class WeChatTemplate(msgspec.Struct, frozen=True):
    """The template used outside the reply window for messages that name none: field -> template text."""

    id: str
    data: dict[str, str]


class WeChatSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The WeChat official account. Without `aes_key` callbacks come in plain mode."""

    app_id: str
    app_secret: Secret
    token: Secret
    aes_key: Secret | None = None
    api_base: str = "https://api.weixin.qq.com"
    default_template: WeChatTemplate | None = None


class Voice(msgspec.Struct, frozen=True):
    """A provider's voice and the language code to speak with it."""

    voice: str
    language: str


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may say about a channel. None: the channel's own default. Times in seconds."""

    messages_per_second: float | None = None
    concurrency: int | None = None
    timeout: float | None = None
    connect_timeout: float | None = None
    voices: dict[str, Voice] = {}
    options: dict[str, Any] = {}
    """Whatever else stands in the table of a plug-in's channel; its secrets too, so `repr` names the keys alone."""
    sandbox: dict[str, Any] = {}
    """What takes the place of `options` in the sandbox and for test keys, so that nothing leaves for real."""

    def __repr__(self) -> str:
        fields = ((name, getattr(self, name)) for name in self.__struct_fields__ if name not in ("options", "sandbox"))
        told = [f"{name}={value!r}" for name, value in fields if value]
        return f"ChannelSettings({', '.join([*told, f'options={sorted(self.options)}'])})"


class CaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns new cases of a kind, and within how many seconds they are due.

    `escalate_to`: who gets them one after the other, each `escalate_after` seconds after the one before (None: an hour),
    from the due time on. `complaint`: surveys to the customer wait while one is under way.
    """

    owner: str | None = None
    due_in: int | None = None
    escalate_to: tuple[str, ...] = ()
    escalate_after: int | None = None
    complaint: bool = True


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many texts and calls may begin in any 24 hours. None, or not named: without limit."""

    per_customer_per_day: int | None = None
    per_address_per_day: int | None = None
    per_prefix_per_day: dict[str, int] = {}
    """Beginning of numbers (`+44`) -> how many; each that fits a number counts."""
    per_country_per_day: dict[str, int] = {}
    """ISO 3166 code -> how many; `*`: how many for each country that isn't named."""

    def __bool__(self) -> bool:
        return self != LimitSettings()


class BrandSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who the public pages speak for. None: nothing is said of it.

    `colour`: "#rrggbb" for buttons and links; `contact`: an e-mail address, a telephone number or a web address.
    """

    name: str | None = None
    colour: str | None = None
    privacy_url: str | None = None
    contact: str | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, checked. Its `repr` names where and what, never a secret or an address."""

    command: str
    redis_url: Secret | None
    """None: the embedded Redis under `data_dir`."""
    redis_replicas: int = 0
    """How many replicas must have what a caller is told has been accepted; 0: nobody waits for any."""
    redis_replica_timeout: float = 1.0
    """Seconds to wait for them; less than the margin of an attempt's lease, which begins before."""
    data_dir: Path
    templates_dir: Path
    """`templates` beside gateway.toml; need not exist."""
    http_host: str
    http_port: int
    console_port: int
    phones_port: int
    bounce_port: int
    public_url: str
    """Without a slash at the end."""
    secret_key: SecretBytes
    secret_key_old: SecretBytes | None = None
    twilio: TwilioSettings | None = None
    smtp: SmtpSettings | None = None
    wechat: WeChatSettings | None = None
    wechat_template: WeChatTemplate | None = None
    missing: dict[str, str]
    """Built-in channels that don't exist -> which settings would make them."""
    sandbox: bool
    allowed_countries: tuple[str, ...] | None
    """ISO 3166 codes, and beginnings of numbers such as +4420; None: every country."""
    team_addresses: tuple[str, ...]
    """E.164 numbers, normalised e-mail addresses, WeChat openids."""
    webhook_allow_private: bool
    default_locale: str
    default_time_zone: str
    default_quiet_hours: tuple[int, int] | None
    """Start and end in minutes after local midnight; may cross it."""
    retention_content_days: int
    retention_message_days: int
    retention_timeline_days: int
    categories: dict[str, dict[str, Any]]
    channels: dict[str, ChannelSettings]
    senders: dict[str, dict[str, str]]
    """Category -> country (or `*`) -> sender."""
    cases: dict[str, CaseSettings]
    limits: LimitSettings = LimitSettings()
    caps: dict[str, dict[str, Any]] = {}
    """Name -> a frequency cap over several categories, unread."""
    brand: BrandSettings = BrandSettings()

    def __repr__(self) -> str:
        redis = "embedded" if self.redis_url is None else "by URL"
        return (
            f"Settings(command={self.command!r}, redis={redis!r}, data_dir={str(self.data_dir)!r}, "
            f"public_url={self.public_url!r}, sandbox={self.sandbox}, missing={sorted(self.missing)})"
        )


class BadSettings(Exception):
    """The settings can't be used. `problems`: one clear line each, with the remedy."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
