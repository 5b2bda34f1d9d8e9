from __future__ import annotations

import time

import pytest

from gateway.content.filters import Reader
from gateway.content.language import MAX_SOURCE, DataError, TemplateError, compile_text

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
    "{{ x }}" * 501,
    "{{ " + "x" * 9000 + " }}",
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_everything_else_is_refused_when_saved(text: str) -> None:
    begun = time.thread_time()
    with pytest.raises(TemplateError) as caught:
        compile_text(text, "text")
    assert time.thread_time() - begun < 2
    assert caught.value.line >= 1
    assert caught.value.remedy


def test_errors_name_the_line() -> None:
    with pytest.raises(TemplateError, match="line 3: There is no filter shout"):
        compile_text("one\ntwo\n{{ name | shout }}", "text")
    with pytest.raises(TemplateError, match="line 2"):
        compile_text("one\n{% raw %}x{% endraw %}", "text")


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


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "data:text/html,x", " https://x", "//evil", "", "https://a b"]
)
def test_links_begin_with_a_known_scheme(value: str) -> None:
    text = "<a href='{{ x }}'>x</a>"
    assert compile_text(text, "html").problems({"x": value})[0][0] == "/data/x"
    with pytest.raises(DataError):
        compile_text(text, "html").render({"x": value}, Reader("en", "UTC"))
