"""The settings file: whatever is wrong with it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.settings_given import problems

TOML_FAULTS = [
    ("http_prot = 1", "http_prot in gateway.toml: there is no such setting; did you mean http_port?"),
    ("HTTP_PORT = 1", "HTTP_PORT in gateway.toml: there is no such setting; did you mean http_port?"),
    ("http_port = 1.5", "http_port in gateway.toml: must be text, a whole number"),
    ("allowed_countries = []", "allowed_countries in gateway.toml: must be text"),
    ("categories = 1", "categories in gateway.toml: must be a table"),
    ("[categories]\noutage = 1", "categories.outage in gateway.toml: must be a table"),
    ("[channels.smss]", "channels.smss in gateway.toml: there is no such channel; did you mean sms?"),
    ("[channels.fax]", "there is no such channel; known are sms, email, wechat, voice, pigeon"),
    (
        "[channels.sms]\nconcurency = 1",
        "channels.sms.concurency in gateway.toml: there is no such setting; did you mean",
    ),
    ("[channels.sms]\nconcurrency = true", "channels.sms.concurrency in gateway.toml: must be a whole number above 0"),
    ("[channels.sms]\nconcurrency = 1.5", "must be a whole number above 0, not 1.5"),
    ("[channels.sms]\nmessages_per_second = nan", "must be a number above 0"),
    ("[channels.sms]\ntimeout = 0", "channels.sms.timeout in gateway.toml: must be a number above 0"),
    (
        "[channels.voice.voices]\nxx-yy-zz-q = 'A'",
        "channels.voice.voices.xx-yy-zz-q in gateway.toml: must be a language",
    ),
    ("[channels.voice.voices]\nel = {}", "channels.voice.voices.el.voice in gateway.toml: missing"),
    ("[senders]\ncode = 5", "senders.code in gateway.toml: must be text"),
    ("[senders.code]\nGreece = 'X'", "senders.code.Greece in gateway.toml: 'Greece' is no country code"),
    ("[senders]\ncode = 'much too long a name'", "senders.code in gateway.toml: must be a number such as"),
    (
        "[cases.complaint]\ndue = 5",
        "cases.complaint.due in gateway.toml: there is no such setting; did you mean due_in?",
    ),
    (
        "[cases.complaint]\nescalate_to = ['', 3]",
        "cases.complaint.escalate_to in gateway.toml: must be a text that isn't empty, or a list of such",
    ),
    ("[cases.complaint]\ncomplaint = 1", "cases.complaint.complaint in gateway.toml: must be true or false, not 1"),
    (
        "[cases.complaint]\nescalate_after = 0",
        "cases.complaint.escalate_after in gateway.toml: must be a whole number above 0, not 0",
    ),
    ("[cases.complaint]\nowner = ''", "cases.complaint.owner in gateway.toml: must be a text that isn't empty"),
    ("[wechat]\ntoken = 'x'", "wechat.token in gateway.toml: there is no such setting; known are default_template"),
    ("[wechat.default_template]\nid = 'x'", "wechat.default_template.data in gateway.toml: must be a table of texts"),
    ("[wechat.default_template]\ndata = {}", "wechat.default_template.id in gateway.toml: missing"),
    ("http_port = ", "gateway.toml: isn't valid TOML"),
]


@pytest.mark.parametrize("toml,expected", TOML_FAULTS, ids=[text[:40] for text, _ in TOML_FAULTS])
def test_each_fault_in_the_file_is_named(tmp_path: Path, toml: str, expected: str) -> None:
    found = problems(tmp_path, toml)
    assert any(expected in line for line in found), found
