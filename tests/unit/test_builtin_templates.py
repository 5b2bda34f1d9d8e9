from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gateway.channels.base import Rendered
from gateway.content import files
from gateway.content.check import check_folder
from gateway.content.content import Body, LocaleParts, Template, problems, template_problems
from gateway.content.files import BUILT_IN, BadTemplates, built_in, load, read_folder
from gateway.content.links import Links
from gateway.content.phrases import languages, phrases
from gateway.content.preview import preview
from gateway.content.render import render
from gateway.prompts import Option, Prompt
from gateway.text import segments

LOCALES = ["el", "en", "zh-Hans", "zh-Hant"]
IDS = [
    "application-abandoned",
    "auto-heard",
    "auto-help",
    "auto-language",
    "auto-linked",
    "auto-no-address",
    "auto-order",
    "auto-preferences",
    "auto-quiet",
    "auto-start",
    "auto-stop",
    "auto-stop-all",
    "auto-stop-some",
    "auto-unclear",
    "auto-unknown",
    "case-chosen",
    "case-follow-up",
    "case-offer",
    "case-opened",
    "case-reopened",
    "case-resolved-announcement",
    "checkout-abandoned",
    "code",
    "order-delivered",
    "outage-notice",
    "outage-planned",
    "outage-resolved",
    "outage-update",
    "reply",
    "service-notice",
    "survey-invitation",
    "survey-nps",
    "survey-reminder",
    "survey-thanks",
    "welcome",
]
PROMPTS = {
    "outage-notice": Prompt(kind="acknowledge"),
    "survey-nps": Prompt(kind="scale", min=0, max=10),
    "survey-invitation": Prompt(kind="scale", min=0, max=10),
    "case-follow-up": Prompt(kind="yes_no"),
    "order-delivered": Prompt(kind="yes_no"),
    "case-offer": Prompt(kind="choice", options=(Option("money", "20 EUR"), Option("month", "1 month"))),
}
LINKS = Links(message="https://g.example/m/x", answer="https://g.example/a/x")
FOLDER = read_folder(BUILT_IN)
CHANNELS = ("sms", "email", "wechat", "voice")


def words(template: str, channel: str, locale: str, data: dict[str, Any] | None = None) -> Rendered:
    made = render(
        Body(template=built_in()[template], data=FOLDER.samples[template] if data is None else data),
        channel,
        language=locale,
        default_locale="en",
        time_zone="Europe/Athens",
        prompt=PROMPTS.get(template),
        links=LINKS,
        voices=lambda _language: True,
        default_wechat_template=None,
        in_window=True,
        carries_unsubscribe=False,
    )
    assert isinstance(made, Rendered)
    return made


def test_the_set_is_complete() -> None:
    assert FOLDER.problems == ()
    assert sorted(built_in()) == IDS
    assert all(sorted(template.locales) == LOCALES for template in built_in().values())
    assert languages() == frozenset(LOCALES)


@pytest.mark.parametrize("template", IDS)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_template_says_something_on_every_channel(template: str, locale: str) -> None:
    assert problems(Body(template=built_in()[template], data=FOLDER.samples[template])) == []
    email = words(template, "email", locale)
    assert email.language == locale
    assert 3 <= len(email.subject) <= 78
    assert email.html is not None
    assert f'lang="{locale}"' in email.html
    assert words(template, "voice", locale).speech
    assert words(template, "wechat", locale).text
    for text in (email.text, email.html, words(template, "sms", locale).text):
        assert "{{" not in text
        assert "{%" not in text
        assert ".." not in text


@pytest.mark.parametrize("template", IDS)
@pytest.mark.parametrize("locale", LOCALES)
def test_an_sms_stays_short_with_its_question(template: str, locale: str) -> None:
    counted = segments(words(template, "sms", locale).text)
    assert counted.units <= (2 if locale == "en" else 3)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    "template,data",
    [
        ("outage-notice", {"area": "Kypseli"}),
        ("outage-notice", {"area": "Kypseli", "restored_by": None}),
        ("outage-update", {"area": "Kypseli"}),
        ("code", {"code": "1234"}),
        ("welcome", {"link": "https://g.example/p/x"}),
        ("survey-nps", {}),
        ("survey-invitation", {}),
        ("survey-reminder", {}),
        ("survey-thanks", {}),
        ("case-opened", {"subject": "x"}),
        ("case-offer", {"subject": "x"}),
        ("case-follow-up", {"subject": "x"}),
        ("case-reopened", {}),
        ("case-resolved-announcement", {"said": "x", "done": "y"}),
        ("outage-resolved", {}),
        ("outage-resolved", {"area": "Kypseli"}),
        ("checkout-abandoned", {}),
        ("application-abandoned", {}),
        ("order-delivered", {}),
    ],
)
def test_what_may_be_left_out_can_be(template: str, data: dict[str, Any], locale: str) -> None:
    assert problems(Body(template=built_in()[template], data=data)) == []
    for channel in ("sms", "email", "voice", "wechat"):
        assert words(template, channel, locale, data)


def test_missing_data_is_named_once() -> None:
    found = problems(Body(template=built_in()["outage-notice"], data={"restored_by": "tonight"}))
    assert sorted(pointer for pointer, _ in found) == ["/data/area", "/data/restored_by"]
    assert all("outage-notice" in detail for _, detail in found)


def test_all_phrases_have_their_places() -> None:
    for locale in LOCALES:
        found = phrases(locale, "en")
        for text in (found.reply.scale, found.keys.scale, found.keys.two_digits, found.page.scale):
            assert "0" in text.format(min=0, max=10)
            assert "10" in text.format(min=0, max=10)
        assert "A" in found.keys.option.format(number=7, label="A")
        assert "7" in found.keys.option.format(number=7, label="A")
        for line in (found.page.confirm_line, found.page.answer_line, found.page.whole_line, found.page.files_line):
            assert "L!" in line.format(link="L!")
    assert phrases("zh-HK", "en") is phrases("zh-Hant", "en")
    assert phrases("fr", "el") is phrases("el", "en")
    assert phrases("fr", "de") is phrases("en", "en")


def test_the_check_finds_nothing_in_our_own() -> None:
    report = check_folder(BUILT_IN, CHANNELS)
    assert report.findings == ()
    assert report.faults == 0
    assert len(report.rows) == len(IDS) * len(LOCALES)
    assert all(row.sampled for row in report.rows)


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_check_names_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, "good/en.toml", 'text = "Hello {{ name }}, {{ town }}"\n')
    write(tmp_path, "good/el.toml", f'text = "Γεια σας {{{{ name }}}} {"α" * 300}"\n')
    write(tmp_path, "loud/en.toml", 'subject = "x"\ntext = "{{ name | shout }}"\n')
    write(tmp_path, "broken/en.toml", "text = \n")
    write(tmp_path, "unknown/en.toml", 'body = "x"\n')
    write(tmp_path, "tag/english.toml", 'text = "x"\n')
    write(tmp_path, "sampled/en.toml", 'sms = "{{ at | time }}"\n')
    write(tmp_path, "sampled/sample.toml", 'at = "noon"\n')
    write(tmp_path, "empty/sample.toml", "")
    write(tmp_path, "bytes/en.toml", "")
    (tmp_path / "bytes" / "en.toml").write_bytes(b"\xff\xfe")
    report = check_folder(tmp_path, CHANNELS)
    faults = {(one.template, one.locale): one.text for one in report.findings if one.severity == "fault"}
    assert set(faults) == {
        ("loud", "en"),
        ("broken", "en"),
        ("unknown", "en"),
        ("tag", "english"),
        ("sampled", "en"),
        ("empty", None),
        ("bytes", "en"),
    }
    assert report.faults == len(faults)
    assert "no filter shout" in faults["loud", "en"]
    assert "/data/at" in faults["sampled", "en"]
    warnings = [(one.template, one.locale, one.text) for one in report.findings if one.severity == "warning"]
    assert ("good", "el", "town isn't used here, but in others.") in warnings
    assert ("sampled", "el", "There is no el.toml.") in warnings
    row = next(row for row in report.rows if (row.template, row.locale) == ("good", "el"))
    assert (row.needs, row.sampled, row.encoding, row.units) == (("name",), False, "UCS-2", 5)


def test_ones_own_folder_replaces_a_whole_template(tmp_path: Path) -> None:
    write(tmp_path, "outage-notice/en.toml", 'text = "Ours: {{ area }}"\n')
    write(tmp_path, "ours/en.toml", 'text = "Hello"\n[wechat]\ntemplate_id = "T"\ndata = { thing1 = "{{ area }}" }\n')
    found = load(tmp_path)
    assert set(found) == {*IDS, "ours"}
    assert list(found["outage-notice"].locales) == ["en"]
    assert found["outage-notice"].version == 0
    assert load(None) == load(tmp_path / "absent") == built_in()
    write(tmp_path, "ours/el.toml", 'text = "{% set x = 1 %}"\n')
    with pytest.raises(BadTemplates, match=r"ours/el\.toml: text: line 1: {% set %} is not part"):
        load(tmp_path)


def test_templates_are_checked_when_saved() -> None:
    assert template_problems({}) == [("/locales", "A template needs at least one locale.")]
    found = dict(
        template_problems(
            {
                "en": LocaleParts(subject="{{ x"),
                "xx-english": LocaleParts(text="x"),
                "el": LocaleParts(text="{{ a() }}", html="<a href={{ a }}>"),
            }
        )
    )
    assert set(found) == {
        "/locales/en",
        "/locales/en/subject",
        "/locales/xx-english",
        "/locales/el/text",
        "/locales/el/html",
    }


def test_preview_shows_every_channel_with_segments() -> None:
    seen = preview(
        built_in()["outage-notice"],
        FOLDER.samples["outage-notice"],
        "zh-HK",
        channels=CHANNELS,
        time_zone="Asia/Hong_Kong",
    )
    assert set(seen.channels) == set(CHANNELS)
    sms = seen.channels["sms"]
    assert sms.segments is not None
    assert (sms.language, sms.segments.encoding, sms.segments.units) == ("zh-Hant", "UCS-2", 1)
    assert seen.channels["email"].html is not None
    assert seen.channels["voice"].speech is not None
    assert preview(built_in()["outage-notice"], {}, "en", channels=CHANNELS).problems[0][0] == "/data/area"
    speechless = Template(id="t", locales={"en": LocaleParts(html="<p>x</p>")})
    assert preview(speechless, {}, "en", channels=CHANNELS).channels["voice"].unfit is not None


def test_files_are_found_beside_the_package() -> None:
    assert files.BUILT_IN.name == "templates"
    assert (files.BUILT_IN / "outage-notice" / "zh-Hant.toml").is_file()


def test_the_page_of_templates_names_them_all_with_their_data_and_length() -> None:
    page = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
    rows = {
        row[0]: row[1:] for row in re.findall(r"^\| `([a-z-]+)` \| .* \| (.*) \| ([\d ·]+) \|$", page, re.MULTILINE)
    }
    report = check_folder(BUILT_IN, CHANNELS)
    units = {(row.template, row.locale): row.units for row in report.rows}
    for template in (one for one in IDS if not one.startswith("auto-")):
        data, counted = rows.pop(template)
        assert [int(one) for one in counted.split("·")] == [
            units[template, locale] for locale in ("en", "zh-Hans", "zh-Hant", "el")
        ]
        needs = next(row.needs for row in report.rows if row.template == template)
        assert set(needs) == set(re.findall(r"`(\w+)`", data)), "what has no question mark must be given"
        assert set(FOLDER.samples[template]) <= set(re.findall(r"`(\w+)\??`", data))
    assert rows == {}
    assert all(f"`{one}`" in page for one in IDS)
