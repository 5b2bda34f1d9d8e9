"""The gateway's settings: read once at the start, checked whole, refused with every problem named at once.

Values come from `GATEWAY_…` variables, else from `gateway.toml` (`GATEWAY_CONFIG` names another file), else from the
defaults below. Relative paths count from the working directory. An empty value is no value.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import msgspec

from gateway import settings_values as values
from gateway.redis_url import parse_redis_url
from gateway.settings_file import EMAIL, PREFIX, TWILIO, WECHAT, Reader
from gateway.settings_key import kept_key, made_key
from gateway.settings_tables import Tables
from gateway.settings_types import (
    BadSettings,
    CaseSettings,
    ChannelSettings,
    Secret,
    SecretBytes,
    Settings,
    SmtpSettings,
    TwilioSettings,
    Voice,
    WeChatSettings,
    WeChatTemplate,
)

__all__ = [
    "BadSettings",
    "CaseSettings",
    "ChannelSettings",
    "Secret",
    "SecretBytes",
    "Settings",
    "SmtpSettings",
    "TwilioSettings",
    "Voice",
    "WeChatSettings",
    "WeChatTemplate",
    "load",
    "with_sandbox",
]

_PORTS: Final = ("HTTP_PORT", "CONSOLE_PORT", "PHONES_PORT", "BOUNCE_PORT")


def load(environ: Mapping[str, str], cwd: Path, *, command: str = "serve", plugins: Collection[str] = ()) -> Settings:
    """Reads and checks every setting.

    `command`: which command asks (`dev` turns the sandbox on by default; `serve` with a REDIS_URL needs SECRET_KEY).
    `plugins`: names of installed channels beside the built-in four, for `[channels.*]`.
    A secret key is made in DATA_DIR at the first start with the embedded Redis.
    Raises BadSettings with all problems.
    """
    reader = Reader(environ, cwd)
    tables = Tables(reader.tables, reader.problems, reader.file)
    get = reader.get
    template = tables.wechat_template()
    twilio, smtp, wechat = _twilio(reader), _smtp(reader), _wechat(reader, template)
    http_host, ports = get("HTTP_HOST", values.host, "127.0.0.1"), _ports(reader)
    data_dir = cwd / get("DATA_DIR", values.text, "var")
    redis_url = get("REDIS_URL", _redis_url, None)
    replicas = get("REDIS_REPLICAS", lambda value: values.integer(value, 0, 16), 0)
    if replicas and not reader.has("REDIS_URL"):
        reader.problems.append(f"{reader.where('REDIS_REPLICAS')}: the embedded Redis has no replicas; set REDIS_URL")
    draft = Settings(
        command=command,
        redis_url=redis_url,
        redis_replicas=replicas,
        redis_replica_timeout=get("REDIS_REPLICA_TIMEOUT", lambda value: values.seconds(value, 0.01, 4), 1.0),
        data_dir=data_dir,
        templates_dir=reader.folder / "templates",
        http_host=http_host,
        http_port=ports[0],
        console_port=ports[1],
        phones_port=ports[2],
        bounce_port=ports[3],
        public_url=get("PUBLIC_URL", values.web_url, None) or local_url(http_host, ports[0]),
        secret_key=get("SECRET_KEY", values.secret_key, SecretBytes()),
        secret_key_old=get("SECRET_KEY_OLD", values.secret_key, None),
        twilio=twilio,
        smtp=smtp,
        wechat=wechat,
        wechat_template=template,
        missing=_missing(twilio, smtp, wechat),
        sandbox=get("SANDBOX", values.boolean, command == "dev"),
        allowed_countries=get("ALLOWED_COUNTRIES", values.countries, None),
        team_addresses=get("TEAM_ADDRESSES", values.team_addresses, ()),
        webhook_allow_private=get("WEBHOOK_ALLOW_PRIVATE", values.boolean, False),
        default_locale=get("DEFAULT_LOCALE", values.locale, "en"),
        default_time_zone=get("DEFAULT_TIME_ZONE", values.time_zone, "UTC"),
        default_quiet_hours=get("DEFAULT_QUIET_HOURS", values.quiet_hours, (21 * 60, 8 * 60)),
        retention_content_days=get("RETENTION_CONTENT_DAYS", values.days, 30),
        retention_message_days=get("RETENTION_MESSAGE_DAYS", values.days, 90),
        retention_timeline_days=get("RETENTION_TIMELINE_DAYS", values.days, 730),
        categories=tables.categories(),
        channels=tables.channels(plugins),
        senders=tables.senders(),
        cases=tables.cases(),
        limits=tables.limits(),
        caps=tables.caps(),
        brand=tables.brand(),
    )
    return _with_key(draft, reader)


def local_url(host: str, port: int) -> str:
    """How this machine itself reaches a listener on `host` and `port`."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _with_key(draft: Settings, reader: Reader) -> Settings:
    """Adds the secret key where it isn't given; nothing is made unless all the rest is good."""
    if reader.has("SECRET_KEY") or reader.problems:
        return _good(draft, reader)
    make = draft.redis_url is None or draft.command == "dev"
    if not make and draft.command == "serve":
        # Hosts that share a Redis must share the key, so a file on one of them won't do.
        found = None
    else:
        try:
            found = made_key(draft.data_dir) if make else kept_key(draft.data_dir)
        except OSError as bad:
            reader.problems.append(
                f"{reader.where('DATA_DIR')}: {draft.data_dir} can't keep the secret key ({bad.strerror}); "
                "name a directory that this user may write"
            )
            return _good(draft, reader)
        except ValueError as bad:
            reader.problems.append(str(bad))
            return _good(draft, reader)
    if found is None:
        reader.problems.append(
            f"{PREFIX}SECRET_KEY: missing, and needed with {reader.where('REDIS_URL')}; make one with "
            'python3 -c "import secrets; print(secrets.token_hex(32))" and give the same to every host and command'
        )
    return _good(msgspec.structs.replace(draft, secret_key=found or SecretBytes()), reader)


def _good(settings: Settings, reader: Reader) -> Settings:
    if reader.problems:
        raise BadSettings(reader.problems)
    return settings


def _redis_url(value: str) -> Secret:
    parse_redis_url(value)
    return Secret(value)


def _ports(reader: Reader) -> tuple[int, ...]:
    ports = {
        name: reader.get(name, values.port, std) for name, std in zip(_PORTS, (8080, 8081, 8082, 8025), strict=True)
    }
    taken: dict[int, str] = {}
    for name, port in ports.items():
        if port and port in taken:
            other = taken[port]
            reader.problems.append(f"{reader.where(name)}: {port} is {reader.where(other)} already; give each its own")
        taken.setdefault(port, name)
    return tuple(ports.values())


def _twilio(reader: Reader) -> TwilioSettings | None:
    get, needed = reader.get, ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN")
    if reader.has("TWILIO_API_KEY") or reader.has("TWILIO_API_SECRET"):
        needed = (*needed, "TWILIO_API_KEY", "TWILIO_API_SECRET")
    api_base = get("TWILIO_API_BASE", values.web_url, "https://api.twilio.com")
    if not reader.complete(TWILIO, needed):
        return None
    return TwilioSettings(
        account_sid=get("TWILIO_ACCOUNT_SID", lambda value: values.sid(value, "AC"), ""),
        auth_token=get("TWILIO_AUTH_TOKEN", values.secret, Secret()),
        api_key=get("TWILIO_API_KEY", lambda value: values.sid(value, "SK"), None),
        api_secret=get("TWILIO_API_SECRET", values.secret, None),
        sms_from=get("TWILIO_SMS_FROM", values.sms_sender, None),
        messaging_service_sid=get("TWILIO_MESSAGING_SERVICE_SID", lambda value: values.sid(value, "MG"), None),
        voice_from=get("TWILIO_VOICE_FROM", values.phone, None),
        api_base=api_base,
    )


def _smtp(reader: Reader) -> SmtpSettings | None:
    if not reader.complete(EMAIL, ("SMTP_URL", "EMAIL_FROM")):
        return None
    relay = reader.get("SMTP_URL", values.smtp_url, None)
    sender = reader.get("EMAIL_FROM", values.mailbox, None)
    bounces = reader.get("EMAIL_BOUNCE_DOMAIN", values.host, None)
    return None if relay is None or sender is None else _relay_settings(relay, sender, bounces)


def _relay_settings(relay: values.MailRelay, sender: tuple[str, str], bounces: str | None) -> SmtpSettings:
    return SmtpSettings(
        host=relay.host,
        port=relay.port,
        user=relay.user,
        password=relay.password,
        tls=relay.tls,
        starttls=relay.starttls,
        email_from=sender[0],
        from_address=sender[1],
        bounce_domain=bounces,
    )


def _wechat(reader: Reader, template: WeChatTemplate | None) -> WeChatSettings | None:
    get = reader.get
    api_base = get("WECHAT_API_BASE", values.web_url, "https://api.weixin.qq.com")
    if not reader.complete(WECHAT, ("WECHAT_APP_ID", "WECHAT_APP_SECRET", "WECHAT_TOKEN")):
        return None
    return WeChatSettings(
        app_id=get("WECHAT_APP_ID", values.text, ""),
        app_secret=get("WECHAT_APP_SECRET", values.secret, Secret()),
        token=get("WECHAT_TOKEN", values.secret, Secret()),
        aes_key=get("WECHAT_AES_KEY", values.aes_key, None),
        api_base=api_base,
        default_template=template,
    )


def _missing(twilio: TwilioSettings | None, smtp: SmtpSettings | None, wechat: WeChatSettings | None) -> dict[str, str]:
    account = "" if twilio else "TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and "
    missing: dict[str, str] = {}
    if twilio is None or not (twilio.sms_from or twilio.messaging_service_sid):
        missing["sms"] = f"set {account}TWILIO_SMS_FROM or TWILIO_MESSAGING_SERVICE_SID"
    if smtp is None:
        missing["email"] = "set SMTP_URL and EMAIL_FROM"
    if wechat is None:
        missing["wechat"] = "set WECHAT_APP_ID, WECHAT_APP_SECRET and WECHAT_TOKEN"
    if twilio is None or not twilio.voice_from:
        missing["voice"] = f"set {account}TWILIO_VOICE_FROM"
    return missing


def with_sandbox(settings: Settings, *, twilio_base: str, wechat_base: str, smtp_url: str) -> Settings:
    """The settings with all four channels pointed at the look-alikes at these addresses.

    Real credentials are replaced whole, so none can reach a look-alike. The look-alikes' own are derived from the
    secret key: the same for every process of one gateway, and useless for forging callbacks to another. A channel
    that isn't built in is given its `[channels.*.sandbox]` in place of its options, so that it can't send for real.
    """

    def made(purpose: str) -> bytes:
        return hmac.digest(settings.secret_key, f"sandbox {purpose}".encode(), hashlib.sha256)

    twilio = TwilioSettings(
        account_sid="AC" + made("account").hex()[:32],
        auth_token=Secret(made("auth token").hex()[:32]),
        sms_from="+15005550006",
        voice_from="+15005550006",
        api_base=values.web_url(twilio_base),
    )
    wechat = WeChatSettings(
        app_id="wx" + made("app id").hex()[:16],
        app_secret=Secret(made("app secret").hex()[:32]),
        token=Secret(made("token").hex()[:32]),
        aes_key=Secret(base64.b64encode(made("aes key")).decode().rstrip("=")),
        api_base=values.web_url(wechat_base),
        default_template=settings.wechat_template or WeChatTemplate("sandbox-notice", {"thing1": "{{ subject }}"}),
    )
    sender = ("Gateway sandbox <gateway@sandbox.test>", "gateway@sandbox.test")
    smtp = _relay_settings(values.smtp_url(smtp_url), sender, "bounces.sandbox.test")
    own = {name: msgspec.structs.replace(said, options=said.sandbox) for name, said in settings.channels.items()}
    return msgspec.structs.replace(
        settings, sandbox=True, twilio=twilio, smtp=smtp, wechat=wechat, missing={}, channels=own
    )
