from __future__ import annotations

import time
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.content.filters import Reader
from gateway.content.language import MAX_SOURCE, DataError, Kind, TemplateError, compile_text, variables
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


REFUSED = [
    "{{ 'a' * 10**9 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 'x'.center(99999999) }}",
    "{{ lipsum(n=100000) }}",
    "{{ range(10**9) }}",
    "{% for x in range(10**9) %}{% endfor %}",
    "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a, b in x %}{% endfor %}",
    "{% for a in x if a %}{% endfor %}",
    "{% for a in x recursive %}{% endfor %}",
    "{% for a in [1, 2] %}{% endfor %}",
    "{% for loop in x %}{% endfor %}",
    "{% for a in x | sort %}{% endfor %}",
    "{{ ''.__class__ }}",
    "{{ x.__class__.__mro__ }}",
    "{{ x['__class__'] }}",
    "{{ x[0] }}",
    "{{ x[1:2] }}",
    "{{ _hidden }}",
    "{{ x._hidden }}",
    "{{ cycler() }}",
    "{{ self.block() }}",
    "{{ x.items() }}",
    "{{ x ~ y }}",
    "{{ x + y }}",
    "{{ x - 1 }}",
    "{{ x / 0 }}",
    "{{ x % 2 }}",
    "{{ -x }}",
    "{{ [1, 2] }}",
    "{{ {'a': 1} }}",
    "{{ (x, y) }}",
    "{{ x if y else z }}",
    "{{ x | upper }}",
    "{{ x | safe }}",
    "{{ x | attr('y') }}",
    "{{ x | map('upper') | list }}",
    "{{ x | date | date }}",
    "{{ x | date('tomorrow') }}",
    "{{ x | date(style='long') }}",
    "{{ x | date('long', 'short') }}",
    "{{ x | number(10**9) }}",
    "{{ x | number(99) }}",
    "{{ x | money('euro') }}",
    "{% if x | number > 3 %}{% endif %}",
    "{% if x is divisibleby(3) %}{% endif %}",
    "{% if x in y %}{% endif %}",
    "{% set x = 1 %}",
    "{% set x %}y{% endset %}",
    "{% macro m() %}{% endmacro %}",
    "{% call m() %}{% endcall %}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% from 'x' import y %}",
    "{% extends 'x' %}",
    "{% block b %}{% endblock %}",
    "{% filter upper %}{% endfilter %}",
    "{% with x = 1 %}{% endwith %}",
    "{% autoescape false %}{% endautoescape %}",
    "{% raw %}{{ x }}{% endraw %}",
    "{%- raw -%}x{%- endraw -%}",
    "{% do x %}",
    "{% trans %}x{% endtrans %}",
    "{{ x",
    "{% if x %}",
    "{% endif %}",
    "{{ }}",
    "{{ " + "(" * 5000 + "x" + ")" * 5000 + " }}",
    "{% if " + "not " * 5000 + "x %}{% endif %}",
    "{% if " + " and ".join(["x"] * 5000) + " %}{% endif %}",
    "{{ x" + ".y" * 5000 + " }}",
    "{% if x %}" * 200 + "{% endif %}" * 200,
    "{{ " + "9" * 5000 + " }}",
    "{{ 1e999 }}",
    "{{ true }}",
    "{{ none }}",
    "x" * (MAX_SOURCE + 1),
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_everything_else_is_refused_when_saved(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(TemplateError) as caught:
        compile_text(text, "text")
    assert time.perf_counter() - begun < 2
    assert caught.value.line >= 1
    assert caught.value.remedy


def test_errors_name_the_line() -> None:
    with pytest.raises(TemplateError, match="line 3: There is no filter shout"):
        compile_text("one\ntwo\n{{ name | shout }}", "text")
    with pytest.raises(TemplateError, match="line 2"):
        compile_text("one\n{% raw %}x{% endraw %}", "text")


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
    begun = time.perf_counter()
    with pytest.raises(DataError, match="too much work"):
        render(text, data={"x": [1] * MAX_TURNS, "at": MOMENT})
    assert time.perf_counter() - begun < 2


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


@pytest.mark.parametrize(
    "text",
    [
        "<a href={{ x }}>",
        "<{{ x }}>",
        "<a {{ x }}>",
        "<a {{ x }}='1'>",
        '<a onclick="{{ x }}">',
        '<a style="color:{{ x }}">',
        "<style>{{ x }}</style>",
        "<!-- {{ x }} -->",
        "<script>{{ x }}</script>",
        "<scr{{ x }}ipt>",
        "<{% if x %}script>{{ x }}{% endif %}",
        "<iframe src='x'></iframe>",
        "<a {% if x %}href='{% endif %}{{ x }}'>",
        "<a href='x",
        "<!-- open",
        '<meta http-equiv="refresh" content="{{ x }}">',
    ],
)
def test_html_refuses_values_where_escaping_does_not_help(text: str) -> None:
    with pytest.raises(TemplateError):
        compile_text(text, "html")


@pytest.mark.parametrize("value", ["javascript:alert(1)", "data:text/html,x", " https://x", "//evil", "", "https://a b"])
def test_links_begin_with_a_known_scheme(value: str) -> None:
    text = "<a href='{{ x }}'>x</a>"
    assert compile_text(text, "html").problems({"x": value})[0][0] == "/data/x"
    with pytest.raises(DataError):
        render(text, "html", data={"x": value})


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))


@given(value=st.text(max_size=200), other=st.text(max_size=50))
def test_no_value_can_add_markup(value: str, other: str) -> None:
    text = "<p title=\"{{ a }}\" class='{{ b }}'>{{ a }}</p>{% if a == b %}{{ b }}{% endif %}"
    parser = Tags()
    parser.feed(render(text, "html", data={"a": value, "b": other}))
    parser.close()
    assert [(tag, [name for name, _ in attrs]) for tag, attrs in parser.seen] == [("p", ["title", "class"])]


PIECES = st.sampled_from(
    "{{ }} {% %} if for in else elif endif endfor a b.c loop.index | date number money ( ) ' \" * ** ~ not and or is defined == < > "
    "1 1.5 -2 [ ] . , : set raw x y <a href= > </a> <!-- --> \n".split(" ")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=300, deadline=2000)
@given(
    text=st.lists(PIECES, max_size=30).map(" ".join) | st.text(alphabet="{}%#ab.|'\"() \n<>", max_size=60),
    kind=st.sampled_from(["line", "sms", "text", "html", "speech"]),
    data=st.dictionaries(st.sampled_from(["a", "b", "x", "y"]), JSON, max_size=4),
)
def test_any_text_is_refused_or_renders_within_its_bounds(text: str, kind: Kind, data: dict[str, Any]) -> None:
    try:
        compiled = compile_text(text, kind)
    except TemplateError:
        return
    wrong = compiled.problems(data)
    try:
        out = compiled.render(data, ATHENS)
    except DataError:
        assert wrong
        return
    assert wrong == []
    assert len(out) <= MAX_OUTPUT


STATEMENTS = st.recursive(
    st.sampled_from(["{{ a }}", "{{ b.c }}", "{{ a | number }}", "{{ b | datetime }}", "text ", "{{ i }}"]),
    lambda inner: st.builds(
        lambda head, body, end: head + "".join(body) + end,
        st.just("{% if a is defined and b %}"),
        st.lists(inner, max_size=3),
        st.just("{% endif %}"),
    )
    | st.lists(inner, max_size=3).map(lambda body: "{% for i in b %}" + "".join(body) + "{% endfor %}"),
    max_leaves=8,
)


@settings(max_examples=200, deadline=2000)
@given(text=STATEMENTS, data=st.dictionaries(st.sampled_from(["a", "b", "i"]), JSON, max_size=3))
def test_data_without_problems_always_renders(text: str, data: dict[str, Any]) -> None:
    try:
        compiled = compile_text(text, "text")
    except TemplateError as error:
        assert "two deep" in error.detail
        return
    if compiled.problems(data):
        with pytest.raises(DataError):
            compiled.render(data, ATHENS)
    else:
        compiled.render(data, ATHENS)
