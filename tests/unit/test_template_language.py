from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.content.filters import Reader
from gateway.content.language import DataError, Kind, compile_text, variables
from gateway.content.run import MAX_OUTPUT, MAX_TURNS

ATHENS = Reader("en", "Europe/Athens")
MOMENT = "2026-11-22T16:30:00Z"
DATA: dict[str, Any] = {
    "name": "Ana",
    "markup": "<b onclick='x'>&\"",
    "lines": "one\r\ntwo\x00\u2028three",
    "amount": 1234.5,
    "count": 3,
    "whole": 2.0,
    "at": MOMENT,
    "day": "2026-11-22",
    "empty": "",
    "null": None,
    "yes": True,
    "items": [{"label": "tea", "price": "2.50"}, {"label": "bread", "price": "1"}],
    "rows": [[1, 2], [3]],
    "nothing": [],
    "person": {"name": {"first": "Ana"}, "age": 41},
    "price": {"amount": "12.50", "currency": "EUR"},
    "link": "https://example.com/?a=1&b=2",
}


def render(text: str, kind: Kind = "text", reader: Reader = ATHENS, data: dict[str, Any] = DATA) -> str:
    return compile_text(text, kind).render(data, reader)


@pytest.mark.parametrize(
    "text,expected",
    [
        ("no place at all", "no place at all"),
        ("Hello {{ name }}!", "Hello Ana!"),
        ("{{ person.name.first }} {{ person.age }}", "Ana 41"),
        ("{{ amount }} {{ whole }} {{ count }}", "1234.5 2 3"),
        ("{{ 'as it is' }} {{ 3 }}", "as it is 3"),
        ("{# not seen #}seen", "seen"),
        ("{% if count > 2 %}many{% else %}few{% endif %}", "many"),
        ("{% if count == 1 %}a{% elif count == 3 %}b{% else %}c{% endif %}", "b"),
        ("{% if 1 < count <= 3 and not empty %}in{% endif %}", "in"),
        ("{% if count >= -1 or missing %}short{% endif %}", "short"),
        ("{% if missing is defined and missing %}{{ missing }}{% else %}gone{% endif %}", "gone"),
        ("{% if missing is not defined %}gone{% endif %}", "gone"),
        ("{% if person.name.last is undefined %}gone{% endif %}", "gone"),
        ("{% if name == 'Ana' and name != 'Bo' and name < 'B' %}Ana{% endif %}", "Ana"),
        ("{% if yes %}on{% endif %}{% if null %}off{% endif %}", "on"),
        ("{% for i in items %}{{ i.label }}{% if not loop.last %}, {% endif %}{% endfor %}", "tea, bread"),
        ("{% for i in items %}{{ loop.index }}{% if loop.first %}!{% endif %}{% endfor %}", "1!2"),
        ("{% for i in nothing %}x{% else %}nothing{% endfor %}", "nothing"),
        ("{% for r in rows %}{% for x in r %}{{ x }}{% endfor %};{% endfor %}", "12;3;"),
        ("{% for name in rows %}.{% endfor %}{{ name }}", "..Ana"),
        ("a\n\n{% if empty %}x{% endif %}\n\n\nb  \nc", "a\n\nb\nc"),
    ],
)
def test_what_the_language_can_say(text: str, expected: str) -> None:
    assert render(text) == expected
    assert compile_text(text, "text").problems(DATA) == []


@pytest.mark.parametrize(
    "text,locale,zone,expected",
    [
        ("{{ at | datetime }}", "en", "Europe/Athens", "Nov 22, 2026, 6:30 PM"),
        ("{{ at | datetime }}", "en-GB", "America/New_York", "22 Nov 2026, 11:30"),
        ("{{ at | datetime }}", "zh-Hans", "Asia/Shanghai", "2026年11月23日 00:30"),
        ("{{ at | date }}", "el", "Europe/Athens", "22 Νοε 2026"),
        ("{{ at | date('long') }}", "zh-Hant", "Asia/Hong_Kong", "2026年11月23日"),
        ("{{ day | date }}", "en", "Pacific/Auckland", "Nov 22, 2026"),
        ("{{ at | time }}", "el", "Europe/Athens", "6:30 μ.μ."),
        ("{{ amount | number }}", "el", "UTC", "1.234,5"),
        ("{{ amount | number(2) }}", "en", "UTC", "1,234.50"),
        ("{{ count | number(0) }}", "en", "UTC", "3"),
        ("{{ amount | money('EUR') }}", "el", "UTC", "1.234,50 €"),
        ("{{ price | money }}", "en", "UTC", "€12.50"),
        ("{{ '12.5' | money(price.currency) }}", "en", "UTC", "€12.50"),
        ("{{ amount | number }}", "xx-unknown", "UTC", "1,234.5"),
    ],
)
def test_filters_speak_the_readers_language_and_zone(text: str, locale: str, zone: str, expected: str) -> None:
    assert render(text, reader=Reader(locale, zone)) == expected


@pytest.mark.parametrize(
    "text,pointer,says",
    [
        ("{{ area }}", "/data/area", "needs area"),
        ("{{ person.name.last }}", "/data/person/name/last", "needs person.name.last"),
        ("{% for i in items %}{{ i.size }}{% endfor %}", "/data/items/0/size", "needs i.size"),
        ("{{ name | date }}", "/data/name", "RFC 3339"),
        ("{{ day | time }}", "/data/day", "RFC 3339"),
        ("{{ day | datetime }}", "/data/day", "RFC 3339"),
        ("{{ name | number }}", "/data/name", "number"),
        ("{{ yes | number }}", "/data/yes", "number"),
        ("{{ amount | money }}", "/data/amount", "currency"),
        ("{{ null }}", "/data/null", "null"),
        ("{{ yes }}", "/data/yes", "true or false"),
        ("{{ items }}", "/data/items", "list"),
        ("{{ person }}", "/data/person", "object"),
        ("{% for i in name %}x{% endfor %}", "/data/name", "list"),
        ("{% if name > 3 %}x{% endif %}", "/data/name", "compared"),
        ("{% if area %}x{% endif %}", "/data/area", "needs area"),
    ],
)
def test_bad_data_is_named(text: str, pointer: str, says: str) -> None:
    with pytest.raises(DataError) as caught:
        render(text)
    assert caught.value.pointer == pointer
    assert says in caught.value.detail
    found = compile_text(text, "text").problems(DATA)
    assert found[0] == (pointer, caught.value.detail)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-22",
        "2026-11-22T18:00:00",
        "2026-13-22T18:00:00Z",
        "2026-11-22T25:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "2026-W47-7T00:00:00Z",
        "20261122T180000Z",
        1_700_000_000,
        "",
        [],
        True,
    ],
)
def test_only_rfc_3339_is_a_moment(value: object) -> None:
    ((pointer, _),) = compile_text("{{ x | datetime }}", "text").problems({"x": value})
    assert pointer == "/data/x"


def test_every_bad_value_is_listed_at_once() -> None:
    text = "{{ a }}{{ b | date }}{{ c.d }}{% for x in e %}{{ x }}{% endfor %}{% if f > 1 %}{% endif %}"
    found = compile_text(text, "text").problems({"b": "soon", "c": {}, "e": [1, None], "f": "text"})
    assert [pointer for pointer, _ in found] == ["/data/a", "/data/b", "/data/c/d", "/data/e/1", "/data/f"]


def test_loops_share_one_budget() -> None:
    text = "{% for a in x %}{% for b in x %}.{% endfor %}{% endfor %}"
    assert render(text, data={"x": [1] * 9}) == "." * 81
    with pytest.raises(DataError, match=str(MAX_TURNS)):
        render(text, data={"x": [1] * 10})
    assert compile_text(text, "text").problems({"x": [1] * 10})[0][0] == "/data/x"


def test_output_is_bounded() -> None:
    text = "{{ big }}" * 20
    data = {"big": "x" * (MAX_OUTPUT // 10)}
    with pytest.raises(DataError, match="longer than"):
        render(text, data=data)
    assert compile_text(text, "text").problems(data)[0][0] == "/data"


def test_work_is_bounded() -> None:
    text = "{% for a in x %}" + "{{ at | datetime }}" * 60 + "{% endfor %}"
    begun = time.thread_time()
    with pytest.raises(DataError, match="too much work"):
        render(text, data={"x": [1] * MAX_TURNS, "at": MOMENT})
    assert time.thread_time() - begun < 2


def test_variables() -> None:
    text = "{{ a }}{{ b.c | date }}{% for i in d %}{{ i.e }}{{ loop.index }}{{ f }}{% endfor %}"
    assert variables(text) == {"a", "b", "d", "f"}
    assert variables("{% if a is defined and a %}{{ a }}{% endif %}{% if b > 1 %}{% endif %}") == {"b"}
    assert variables("{{ '12' | money(currency) }}") == {"currency"}


@pytest.mark.parametrize(
    "kind,expected",
    [
        ("html", "one\ntwo\u2028three"),
        ("text", "one\ntwo\u2028three"),
        ("line", "one two three"),
        ("sms", "one two three"),
        ("speech", "one two three"),
    ],
)
def test_values_carry_no_control_characters(kind: Kind, expected: str) -> None:
    assert render("{{ lines }}", kind) == expected


def test_authors_line_breaks_stay_in_an_sms_but_not_in_a_subject_or_in_speech() -> None:
    text = "a\r\nb\tc\x07"
    assert render(text, "sms") == "a\nb c"
    assert render(text, "line") == "a b c"
    assert render(text, "speech") == "a b c"


def test_html_is_escaped_and_text_is_not() -> None:
    assert render("{{ markup }}", "html") == "&lt;b onclick=&#39;x&#39;&gt;&amp;&#34;"
    assert render("{{ '<i>' }}", "html") == "&lt;i&gt;"
    assert render("{{ markup }}", "text") == DATA["markup"]
    assert render('<a href="{{ link }}">x</a>', "html") == '<a href="https://example.com/?a=1&amp;b=2">x</a>'
