from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from gateway.settings import BadSettings, Secret, Voice, WeChatTemplate, with_sandbox
from gateway.settings_key import made_key
from tests.support.settings_given import loaded, problems

TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "tok-8842"}
EMAIL = {"SMTP_URL": "smtp://user:p%40ss@mail.example.com", "EMAIL_FROM": "Power <notices@example.com>"}
WECHAT = {"WECHAT_APP_ID": "wx1", "WECHAT_APP_SECRET": "sec-8842", "WECHAT_TOKEN": "tok-7731"}


def test_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert (settings.http_host, settings.http_port, settings.console_port) == ("127.0.0.1", 8080, 8081)
    assert (settings.phones_port, settings.bounce_port) == (8082, 8025)
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.data_dir == tmp_path / "var"
    assert (
        settings.redis_url is settings.twilio is settings.smtp is settings.wechat is settings.allowed_countries is None
    )
    assert (settings.default_locale, settings.default_time_zone) == ("en", "UTC")
    assert settings.default_quiet_hours == (1260, 480)
    days = (settings.retention_content_days, settings.retention_message_days, settings.retention_timeline_days)
    assert days == (30, 90, 730)
    assert not settings.sandbox
    assert loaded(tmp_path, command="dev").sandbox
    assert set(settings.missing) == {"sms", "email", "wechat", "voice"}
    assert settings.missing["voice"] == "set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_VOICE_FROM"


def test_everything_given(tmp_path: Path) -> None:
    toml = """
    http_port = 9000
    default_locale = "el_cy"
    team_addresses = ["+30 210 1234567", "Ana@Example.COM", "oABC_def-123"]
    sandbox = false
    [wechat.default_template]
    id = "tpl-1"
    data = { thing1 = "{{ subject }}" }
    [categories.outage]
    step = 120
    [channels.sms]
    messages_per_second = 12.5
    concurrency = 8
    [channels.voice.voices]
    el = "Aspasia"
    zh-Hans = { voice = "Lili", language = "cmn-CN" }
    [channels.pigeon]
    loft = "north"
    [senders]
    code = "MyBank"
    outage = { GR = "+302101234567", "*" = "12345" }
    [cases.complaint]
    escalate_to = "head"
    owner = "care"
    due_in = 86400
    """
    given = {
        **TWILIO,
        **EMAIL,
        **WECHAT,
        "HTTP_PORT": "9100",
        "TWILIO_SMS_FROM": "+1 500 555 0006",
        "TWILIO_API_BASE": "https://api.example.com/",
        "EMAIL_BOUNCE_DOMAIN": "bounces.example.com",
        "WECHAT_AES_KEY": "a" * 42 + "A",
        "ALLOWED_COUNTRIES": "gr, GB,GR",
        "DEFAULT_QUIET_HOURS": "none",
        "PUBLIC_URL": "https://messages.example.com/",
        "WEBHOOK_ALLOW_PRIVATE": "yes",
        "SECRET_KEY": "k" * 32,
        "REDIS_URL": "rediss://u:pw-5520@redis.example.com/3",
        "REDIS_REPLICAS": "2",
        "REDIS_REPLICA_TIMEOUT": "0.5",
    }
    settings = loaded(tmp_path, toml, **given)
    assert settings.http_port == 9100, "the environment wins"
    assert settings.default_locale == "el-CY"
    assert settings.team_addresses == ("+302101234567", "Ana@example.com", "oABC_def-123")
    assert settings.allowed_countries == ("GR", "GB")
    assert settings.default_quiet_hours is None
    assert settings.public_url == "https://messages.example.com"
    assert settings.webhook_allow_private
    assert settings.secret_key == b"k" * 32
    assert (settings.redis_replicas, settings.redis_replica_timeout) == (2, 0.5)
    assert settings.missing == {"voice": "set TWILIO_VOICE_FROM"}
    assert settings.twilio is not None
    assert settings.twilio.sms_from == "+15005550006"
    assert settings.twilio.api_base == "https://api.example.com"
    assert settings.twilio.login == (TWILIO["TWILIO_ACCOUNT_SID"], "tok-8842")
    smtp = settings.smtp
    assert smtp is not None
    assert (smtp.host, smtp.port, smtp.user, smtp.password) == ("mail.example.com", 587, "user", "p@ss")
    assert (smtp.tls, smtp.starttls, smtp.bounce_domain) == (False, "offered", "bounces.example.com")
    assert (smtp.email_from, smtp.from_address) == ("Power <notices@example.com>", "notices@example.com")
    assert settings.wechat is not None
    assert settings.wechat.default_template == WeChatTemplate("tpl-1", {"thing1": "{{ subject }}"})
    assert settings.categories == {"outage": {"step": 120}}
    assert settings.channels["sms"].messages_per_second == 12.5
    assert settings.channels["voice"].voices == {"el": Voice("Aspasia", "el"), "zh-Hans": Voice("Lili", "cmn-CN")}
    assert settings.channels["pigeon"].options == {"loft": "north"}
    assert settings.senders == {"code": {"*": "MyBank"}, "outage": {"GR": "+302101234567", "*": "12345"}}
    assert settings.cases["complaint"].due_in == 86400
    assert settings.cases["complaint"].escalate_to == ("head",)
    assert settings.cases["complaint"].complaint
    shown = repr([settings, settings.twilio, settings.smtp, settings.wechat, settings.secret_key, settings.redis_url])
    for hidden in ("tok-8842", "p@ss", "sec-8842", "tok-7731", "kkkk", "pw-5520", "Ana@"):
        assert hidden not in shown


FAULTS = [
    ({"HTTP_PROT": "1"}, "GATEWAY_HTTP_PROT: there is no such setting; did you mean GATEWAY_HTTP_PORT?"),
    ({"QQQQQ": "1"}, "GATEWAY_QQQQQ: there is no such setting; remove it"),
    ({"HTTP_PORT": "80a"}, "GATEWAY_HTTP_PORT: must be a whole number from 0 to 65535, not '80a'"),
    ({"HTTP_PORT": "65536"}, "whole number from 0 to 65535"),
    ({"CONSOLE_PORT": "8080"}, "GATEWAY_CONSOLE_PORT: 8080 is GATEWAY_HTTP_PORT already"),
    ({"HTTP_HOST": "127.0.0.1:80"}, "GATEWAY_HTTP_HOST: must be a host name or an IP address without a port"),
    ({"PUBLIC_URL": "messages.example.com"}, "GATEWAY_PUBLIC_URL: must be a URL such as https://"),
    ({"PUBLIC_URL": "https://x.example/?a=1"}, "without user, query or fragment"),
    ({"PUBLIC_URL": "https://[bad"}, "GATEWAY_PUBLIC_URL: must be a URL"),
    ({"SANDBOX": "maybe"}, "GATEWAY_SANDBOX: must be true or false, not 'maybe'"),
    ({"ALLOWED_COUNTRIES": "GR,UK"}, "GATEWAY_ALLOWED_COUNTRIES: 'UK' is no country code: GB is the United Kingdom"),
    ({"TEAM_ADDRESSES": "2101234567"}, "'2101234567' is neither a number such as +302101234567"),
    ({"TEAM_ADDRESSES": "a@@b"}, "GATEWAY_TEAM_ADDRESSES: isn't an e-mail address"),
    ({"DEFAULT_LOCALE": "klingon"}, "GATEWAY_DEFAULT_LOCALE: must be a language tag"),
    ({"DEFAULT_TIME_ZONE": "Europe/Athen"}, "not 'Europe/Athen'; did you mean Europe/Athens?"),
    ({"DEFAULT_TIME_ZONE": "Europe"}, "GATEWAY_DEFAULT_TIME_ZONE: must be an IANA time zone"),
    ({"DEFAULT_TIME_ZONE": "../etc/passwd"}, "GATEWAY_DEFAULT_TIME_ZONE: must be an IANA time zone"),
    ({"DEFAULT_QUIET_HOURS": "21:00-21:00"}, "GATEWAY_DEFAULT_QUIET_HOURS: must be two different times"),
    ({"DEFAULT_QUIET_HOURS": "24:00-08:00"}, "two different times such as 21:00-08:00"),
    ({"RETENTION_CONTENT_DAYS": "0"}, "GATEWAY_RETENTION_CONTENT_DAYS: must be a whole number from 1"),
    ({"SECRET_KEY": "short"}, "GATEWAY_SECRET_KEY: is too short: make one with"),
    ({"REDIS_URL": "redis://h"}, "GATEWAY_SECRET_KEY: missing, and needed with GATEWAY_REDIS_URL"),
    ({"REDIS_URL": "http://h"}, "GATEWAY_REDIS_URL: must begin with one of redis://"),
    ({"REDIS_REPLICAS": "1"}, "GATEWAY_REDIS_REPLICAS: the embedded Redis has no replicas; set REDIS_URL"),
    ({"REDIS_REPLICAS": "-1"}, "GATEWAY_REDIS_REPLICAS: must be a whole number from 0 to 16"),
    ({"REDIS_REPLICA_TIMEOUT": "0"}, "GATEWAY_REDIS_REPLICA_TIMEOUT: must be seconds from 0.01 to 4"),
    ({"REDIS_REPLICA_TIMEOUT": "nan"}, "must be seconds from 0.01 to 4, not 'nan'"),
    ({"CONFIG": "none.toml"}, "GATEWAY_CONFIG: there is no file"),
    ({"TWILIO_ACCOUNT_SID": "AC1"}, "GATEWAY_TWILIO_AUTH_TOKEN: missing, though GATEWAY_TWILIO_ACCOUNT_SID is set"),
    ({"TWILIO_SMS_FROM": "+15005550006"}, "GATEWAY_TWILIO_ACCOUNT_SID: missing, though GATEWAY_TWILIO_SMS_FROM is set"),
    ({**TWILIO, "TWILIO_API_KEY": "SK1"}, "GATEWAY_TWILIO_API_SECRET: missing, though"),
    ({**TWILIO, "TWILIO_ACCOUNT_SID": "SK1"}, "GATEWAY_TWILIO_ACCOUNT_SID: must be an identifier that begins with AC"),
    ({**TWILIO, "TWILIO_VOICE_FROM": "12345"}, "GATEWAY_TWILIO_VOICE_FROM: must be a number in international form"),
    ({**TWILIO, "TWILIO_SMS_FROM": "much too long a name"}, "GATEWAY_TWILIO_SMS_FROM: must be a number such as"),
    ({"SMTP_URL": "smtp://h"}, "GATEWAY_EMAIL_FROM: missing, though GATEWAY_SMTP_URL is set"),
    ({**EMAIL, "SMTP_URL": "http://h"}, "GATEWAY_SMTP_URL: must be an SMTP URL"),
    ({**EMAIL, "SMTP_URL": "smtp://u@h"}, "GATEWAY_SMTP_URL: has a user without a password"),
    ({**EMAIL, "SMTP_URL": "smtp://h?starttls=perhaps"}, "GATEWAY_SMTP_URL: has an option that isn't known"),
    ({**EMAIL, "SMTP_URL": "smtps://h?starttls=never"}, "encrypted from the start: remove ?starttls"),
    ({**EMAIL, "SMTP_URL": "smtp://u:pw:pw@h:x"}, "GATEWAY_SMTP_URL: can't be read"),
    ({**EMAIL, "EMAIL_FROM": "nobody"}, "GATEWAY_EMAIL_FROM: isn't an e-mail address"),
    ({"WECHAT_APP_ID": "wx"}, "GATEWAY_WECHAT_APP_SECRET: missing, though GATEWAY_WECHAT_APP_ID is set"),
    ({**WECHAT, "WECHAT_AES_KEY": "abc"}, "GATEWAY_WECHAT_AES_KEY: must be the 43 letters and digits"),
]


@pytest.mark.parametrize("given,expected", FAULTS, ids=[text[:60] for _, text in FAULTS])
def test_each_fault_names_the_setting_and_the_remedy(tmp_path: Path, given: dict[str, str], expected: str) -> None:
    found = problems(tmp_path, **given)
    assert any(expected in line for line in found), found
    assert not any("\n" in line for line in found)
    assert not (tmp_path / "var").exists(), "nothing is made for bad settings"


def test_all_problems_come_at_once_and_show_no_secret(tmp_path: Path) -> None:
    given = {"HTTP_PORT": "x", "SANDBOX": "x", "TWILIO_AUTH_TOKEN": "hid-1", "SMTP_URL": "smtp://u:hid-2@h:x"}
    found = problems(tmp_path, "nonsense = 1", **given)
    assert len(found) == 6
    assert "hid-" not in "\n".join(found)


def test_empty_values_are_none_and_the_file_may_have_another_name(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("http_port = 7000\n")
    assert loaded(tmp_path, CONFIG="other.toml", HTTP_PORT="", TWILIO_ACCOUNT_SID=" ").http_port == 7000
    (tmp_path / "other.toml").write_text("[senders]\ncode = 5\n")
    assert problems(tmp_path, CONFIG="other.toml")[0].startswith("senders.code in other.toml: ")


def test_a_secret_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = loaded(tmp_path).secret_key
    path = tmp_path / "var" / "secret_key"
    assert len(first) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["secret_key"]
    assert loaded(tmp_path).secret_key == first == made_key(path.parent)
    # Beside a gateway that uses REDIS_URL, commands find the key of `dev`; `serve` insists on a shared one.
    assert loaded(tmp_path, command="keys", REDIS_URL="redis://h").secret_key == first
    assert "SECRET_KEY: missing" in problems(tmp_path, REDIS_URL="redis://h")[0]
    path.write_text("")
    assert problems(tmp_path)[0].startswith(f"{path}: holds no key")


def test_a_command_with_a_redis_of_its_own_needs_the_key(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="GATEWAY_SECRET_KEY: missing"):
        loaded(tmp_path, command="keys", REDIS_URL="redis://h")
    assert len(loaded(tmp_path, command="dev", REDIS_URL="redis://h").secret_key) == 64


def test_a_data_dir_that_cannot_be_made_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "GATEWAY_DATA_DIR: " in problems(tmp_path, DATA_DIR="file/var")[0]


@pytest.mark.parametrize(
    "host,url", [("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80"), ("gw.example", "http://gw.example:80")]
)
def test_the_public_url_without_one(tmp_path: Path, host: str, url: str) -> None:
    assert loaded(tmp_path, HTTP_HOST=host, HTTP_PORT="80").public_url == url


@pytest.mark.parametrize(
    "url,port,tls,starttls",
    [
        ("smtp://h", 25, False, "offered"),
        ("smtp://u:p@h?starttls=required", 587, False, "required"),
        ("smtp://h:2525/?starttls=never", 2525, False, "never"),
        ("smtps://u:p@h", 465, True, "offered"),
    ],
)
def test_mail_relays(tmp_path: Path, url: str, port: int, tls: bool, starttls: str) -> None:
    smtp = loaded(tmp_path, SMTP_URL=url, EMAIL_FROM="a@example.com").smtp
    assert smtp is not None
    assert (smtp.port, smtp.tls, smtp.starttls) == (port, tls, starttls)


def test_the_sandbox_replaces_every_credential(tmp_path: Path) -> None:
    real = loaded(tmp_path, **TWILIO, **EMAIL, **WECHAT, SANDBOX="true")
    made = with_sandbox(
        real, twilio_base="http://127.0.0.1:1", wechat_base="http://x:2/", smtp_url="smtp://127.0.0.1:3"
    )
    assert made.missing == {}
    assert made.twilio is not None
    assert made.smtp is not None
    assert made.wechat is not None
    assert made.twilio.api_base == "http://127.0.0.1:1"
    assert re.fullmatch("AC[0-9a-f]{32}", made.twilio.account_sid)
    assert made.twilio.account_sid != TWILIO["TWILIO_ACCOUNT_SID"]
    assert made.wechat.aes_key is not None
    assert len(made.wechat.aes_key) == 43
    assert (made.wechat.api_base, made.smtp.port, made.smtp.password) == ("http://x:2", 3, None)
    again = with_sandbox(
        real, twilio_base="http://127.0.0.1:1", wechat_base="http://x:2", smtp_url="smtp://127.0.0.1:3"
    )
    assert again == made, "every process of a gateway makes the same"


def test_secrets_are_masked_but_usable() -> None:
    assert (repr(Secret("abc")), f"{Secret('abc')}", Secret("abc") + "d") == ("'***'", "abc", "abcd")
