from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.content.content import Content
from gateway.content.links import Links
from gateway.content.words import Rendered
from gateway.prompts import Option, Prompt, PromptKind, read_key
from tests.support.words import (
    ACKNOWLEDGE,
    CHOICE,
    DEFAULT,
    NPS,
    OUTAGE,
    TEXT,
    YES_NO,
    made,
    unfit,
    words,
)


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.language = ""
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        if tag == "a":
            self.links.append(found.get("href") or "")
        if tag == "html":
            self.language = found.get("lang") or ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page(mail: Rendered) -> Page:
    assert mail.html is not None
    return Page(mail.html)


def test_an_email_of_a_plain_text_gets_a_page() -> None:
    content = Content(subject="News <now>", text="One & two\nthree\n\nSee https://x.example/?a=1&b=2.", language="en")
    mail = words(content, "email", prompt=ACKNOWLEDGE, carries_unsubscribe=True)
    shown = page(mail)
    assert mail.subject == "News <now>"
    assert shown.language == "en"
    assert shown.links == [
        "https://x.example/?a=1&b=2",
        "https://g.example/a/tok?v=1",
        "https://g.example/m/tok",
        "https://g.example/p/tok",
        "https://g.example/u/tok",
    ]
    assert shown.tags.count("p") == 3
    assert "One & two" in shown.words
    assert "now" not in shown.tags
    assert mail.text == (
        "One & two\nthree\n\nSee https://x.example/?a=1&b=2.\n\n"
        "Confirm here: https://g.example/a/tok?v=1\n\n"
        "-- \nHow we reach you: https://g.example/p/tok\nUnsubscribe: https://g.example/u/tok\n"
    )


def test_an_email_carries_unsubscribe_only_where_the_category_does() -> None:
    mail = words(Content(subject="S", text="T"), "email")
    assert "https://g.example/u/tok" not in mail.text + (mail.html or "")
    bare = words(Content(subject="S", text="T"), "email", links=Links(message="https://g.example/m/t"))
    assert bare.text == "T\n"


@pytest.mark.parametrize("kind", ["acknowledge", "yes_no", "scale", "choice"])
def test_every_button_leads_to_the_page_with_that_answer_chosen(kind: PromptKind) -> None:
    prompt = {"acknowledge": ACKNOWLEDGE, "yes_no": YES_NO, "scale": NPS, "choice": CHOICE}[kind]
    shown = page(words(Content(subject="S", text="T"), "email", prompt=prompt))
    keys = [link.partition("?v=")[2] for link in shown.links if link.startswith("https://g.example/a/")]
    values = [read_key(prompt, key) for key in keys]
    assert (
        values
        == {
            "acknowledge": [True],
            "yes_no": [True, False],
            "scale": list(range(11)),
            "choice": ["money", "month"],
        }[kind]
    )


def test_wide_scales_and_texts_get_one_button() -> None:
    for prompt in (Prompt(kind="scale", min=0, max=50), TEXT):
        mail = words(Content(subject="S", text="T"), "email", prompt=prompt)
        assert page(mail).links[0] == "https://g.example/a/tok"
        assert "Answer here: https://g.example/a/tok" in mail.text


def test_an_email_cannot_ask_without_an_answer_page() -> None:
    links = Links(message="https://g.example/m/tok")
    assert unfit(Content(text="T"), "email", links=links, prompt=YES_NO) == "cannot_prompt"
    assert unfit(OUTAGE, "wechat", links=links, prompt=YES_NO, in_window=False, default_wechat_template=DEFAULT) == (
        "cannot_prompt"
    )


def test_ones_own_html_keeps_its_page_and_gets_the_question() -> None:
    html = '<html lang="en"><body class="x"><p>Hi</p></BODY></html>'
    mail = words(Content(subject="S", text="T", html=html), "email", prompt=YES_NO)
    assert mail.html is not None
    assert mail.html.startswith('<html lang="en"><body class="x"><p>Hi</p><div')
    assert mail.html.endswith("</div></BODY></html>")
    assert "Is it solved?" in mail.html
    fragment = words(Content(subject="S", text="T", html="<p>Hi</p>"), "email").html
    assert fragment is not None
    assert fragment.startswith("<!DOCTYPE html>")


def test_a_missing_subject_is_the_texts_first_line() -> None:
    assert words(Content(text="First line\nsecond"), "email").subject == "First line"
    long = words(Content(text="word " * 60), "email").subject
    assert len(long) <= 78
    assert long.endswith("…")


def test_right_to_left_languages_are_set_so() -> None:
    html = words(Content(subject="S", text="T", language="ar"), "email").html
    assert html is not None
    assert 'lang="ar" dir="rtl"' in html


@settings(deadline=None)  # the first mail of all compiles the page
@given(text=st.text(min_size=1, max_size=300), subject=st.text(max_size=80), label=st.text(min_size=1, max_size=30))
def test_no_text_can_add_markup_to_the_page(text: str, subject: str, label: str) -> None:
    prompt = Prompt(kind="choice", question=subject, options=(Option("a", label), Option("b", "B")))
    mail = made(Content(text=f"x{text}", subject=subject), "email", prompt=prompt)
    assert isinstance(mail, Rendered)
    allowed = {"html", "head", "meta", "title", "style", "body", "table", "tr", "td", "h1", "p", "br", "a", "div"}
    shown = page(mail)
    assert set(shown.tags) <= allowed
    assert all(link.startswith(("https://", "http://")) for link in shown.links)
    assert "\n" not in mail.subject
