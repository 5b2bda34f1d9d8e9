from __future__ import annotations

import contextlib
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.content.filters import Reader
from gateway.content.language import DataError, Kind, TemplateError, compile_text
from gateway.content.run import MAX_OUTPUT

ATHENS = Reader("en", "Europe/Athens")


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
    parser.feed(compile_text(text, "html").render({"a": value, "b": other}, ATHENS))
    parser.close()
    assert [(tag, [name for name, _ in attrs]) for tag, attrs in parser.seen] == [("p", ["title", "class"])]


PIECES = st.sampled_from(
    [
        "{{",
        "}}",
        "{%",
        "%}",
        "if",
        "for",
        "in",
        "else",
        "elif",
        "endif",
        "endfor",
        "a",
        "b.c",
        "loop.index",
        "|",
        "date",
        "number",
        "money",
        "(",
        ")",
        "'",
        '"',
        "*",
        "**",
        "~",
        "not",
        "and",
        "or",
        "is",
        "defined",
        "==",
        "<",
        ">",
        "1",
        "1.5",
        "-2",
        "[",
        "]",
        ".",
        ",",
        ":",
        "set",
        "raw",
        "x",
        "y",
        "<a",
        "href=",
        ">",
        "</a>",
        "<!--",
        "-->",
        "\n",
    ]
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


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body = st.lists(inner, max_size=3).map("".join)
    conditions = body.map(lambda text: "{% if a is defined and b %}" + text + "{% endif %}")
    return conditions | body.map(lambda text: "{% for i in b %}" + text + "{% endfor %}")


PLACES = ["{{ a }}", "{{ b.c }}", "{{ a | number }}", "{{ b | datetime }}", "text ", "{{ i }}"]
STATEMENTS: st.SearchStrategy[str] = st.recursive(st.sampled_from(PLACES), wrapped, max_leaves=8)


@settings(max_examples=200, deadline=2000)
@given(text=STATEMENTS, data=st.dictionaries(st.sampled_from(["a", "b", "i"]), JSON, max_size=3))
def test_data_without_problems_always_renders(text: str, data: dict[str, Any]) -> None:
    if "for" in text and text.count("{% for") > 2:
        return
    compiled = compile_text(text, "text")
    if compiled.problems(data):
        with pytest.raises(DataError):
            compiled.render(data, ATHENS)
    else:
        compiled.render(data, ATHENS)


BLANKS = " " * 60_000


@pytest.mark.parametrize("kind", ["line", "sms", "text", "html", "speech"])
@pytest.mark.parametrize("value", [f"a\t{BLANKS}b", f"a\n{BLANKS}b", "\n \t" * 20_000, "\u00a0" * 60_000])
def test_runs_of_blanks_take_no_time(kind: Kind, value: str) -> None:
    begun = time.thread_time()
    compile_text("{{ a }}", kind).render({"a": value}, ATHENS)
    compile_text(value, kind).render({}, ATHENS)
    assert time.thread_time() - begun < 1


@pytest.mark.parametrize(
    "text",
    [
        "{{" * 32_000,
        "{%" * 32_000,
        "{# " * 20_000,
        "{{ a }}" * 9_000,
        "{{ a }}" * 500,
        "{{ a" + " | date" * 1_000 + " }}",
        "{% if a %}" * 6_000,
        "<" * 65_000,
        "<a " + "b" * 60_000 + '"',
        "<a " + "b=" * 30_000 + '"',
        "<" + BLANKS,
        "</body" + BLANKS,
        "{%" + BLANKS + "rw %}",
        "{{ a" + " | date" * 9_000 + " }}",
    ],
    ids=lambda text: text[:12],
)
def test_compiling_takes_little_time(text: str) -> None:
    for kind in ("text", "html"):
        begun = time.thread_time()
        with contextlib.suppress(TemplateError):
            compile_text(text, kind)
        assert time.thread_time() - begun < 1
