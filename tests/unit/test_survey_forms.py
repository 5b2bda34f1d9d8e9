"""What a survey may ask, and how a response goes on: rules without a store."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.filters import Reader
from gateway.prompts import Option, validate
from gateway.surveys import steps, words
from gateway.surveys.forms import filled, problems
from gateway.surveys.nouns import Alert, Form, Given, Invitation, Put, Question, Response, Words, possible, prompt_of
from gateway.surveys.onward import left_of
from gateway.surveys.tally import Asked, Figures, period_of
from gateway.surveys.tally import steps as counted

NPS = Question(id="nps", kind="nps", text="How likely?")
EASY = Question(id="easy", kind="ces", text="Easy?")
WHY = Question(id="why", kind="text", text="Why?")
PICK = Question(id="pick", kind="choice", text="Which?", options=(Option("a", "Tea"), Option("b", "Coffee")))
FORM = Form(questions=(NPS, EASY, PICK, WHY), alerts=(Alert(question="nps", at_most=6, owner="anna"),))


def pointers(form: Form) -> list[str]:
    return [pointer for pointer, _ in problems(form)]


def test_a_good_form_has_no_problems() -> None:
    assert problems(FORM) == []


def test_every_fault_is_named_at_once() -> None:
    bad = Form(
        questions=(
            Question(id="a", kind="nps", text=" "),
            Question(id="a", kind="choice", text="Which?", options=(Option("x", "One"),)),
            Question(id="c", kind="text", text={"xx-nowhere": "Why?", "en": ""}, options=(Option("x", "One"),)),
            Question(id="d", kind="csat", text="{{ name | shell }}"),
            Question(id="e", kind="yes_no", text={}),
        ),
        alerts=(
            Alert(question="nobody", at_most=1, owner="anna"),
            Alert(question="c", at_most=1, owner="anna"),
            Alert(question="a", at_most=10, owner="anna"),
            Alert(question="d", at_most=0, owner="anna"),
        ),
    )
    assert set(pointers(bad)) >= {
        "/questions/0/text",
        "/questions/1/id",
        "/questions/1/options",
        "/questions/2/text/xx-nowhere",
        "/questions/2/text/en",
        "/questions/2/options",
        "/questions/3/text",
        "/questions/4/text",
        "/alerts/0/question",
        "/alerts/1/question",
        "/alerts/3/at_most",
    }


@pytest.mark.parametrize("question", FORM.questions)
def test_every_question_can_be_put(question: Question) -> None:
    assert validate(prompt_of(question, 604_800)) == []
    assert possible(question)


def test_texts_are_filled_in_once_from_the_invitations_data() -> None:
    form = Form(
        questions=(Question(id="a", kind="csat", text={"en": "How was {{ who }}?", "el": "Πώς ήταν ο {{ who }};"}),)
    )
    made, wrong = filled(form, {"who": "Nikos"}, "en", "UTC")
    assert wrong == []
    assert made.questions[0].text == {"en": "How was Nikos?", "el": "Πώς ήταν ο Nikos;"}
    assert filled(form, {}, "en", "UTC")[1][0][0] == "/data/who"


def test_data_is_never_read_as_a_template() -> None:
    form = Form(questions=(Question(id="a", kind="csat", text="How was {{ who }}?"),))
    made, _ = filled(form, {"who": "{{ secret }}"}, "en", "UTC")
    assert made.questions[0].text == "How was {{ secret }}?"


def test_the_words_before_speak_the_questions_language() -> None:
    assert words.before({"el": "Γιατί;", "zh-TW": "為什麼？", "fr": "Pourquoi ?"})["text"] == {
        "el": "Σας ευχαριστούμε.",
        "zh-TW": "謝謝您。",
        "fr": "Thank you.",
    }
    assert set(words.before("Why?")["text"]) == set(words.LANGUAGES)


@pytest.mark.parametrize(
    "day, by, start",
    [("2026-11-22", "day", "2026-11-22"), ("2026-11-22", "week", "2026-11-16"), ("2026-11-22", "month", "2026-11-01")],
)
def test_periods(day: str, by: str, start: str) -> None:
    assert period_of(day, by) == start


INVITATION = Invitation(id="i", mode="live", survey="s", version=1, form=FORM, created_at=0, closes_in=3600)
FRESH = Response(id="00response:x", mode="live", survey="s", version=1, invitation="i", customer="maria", created_at=0)


def given_to(question: Question, value: Any, channel: str, at: int) -> Given:
    return (
        Given(value=None, words="because", channel=channel, at=at)
        if question is WHY
        else Given(value=value, channel=channel, at=at)
    )


answers = st.lists(
    st.tuples(
        st.sampled_from(FORM.questions),
        st.integers(0, 6),
        st.sampled_from(("sms", "wechat", "page")),
        st.integers(1, 5_000_000),
        st.booleans(),
    ),
    max_size=12,
)


def played(acts: list[tuple[Question, int, str, int, bool]]) -> tuple[Response, Figures]:
    """Answers as they come, some told twice, with the counts kept beside."""
    response, figures = FRESH, Figures()
    before: Response | None = None
    for question, mark, channel, at, twice in acts:
        one = {question.id: given_to(question, "a" if question is PICK else mark, channel, at)}
        for _ in range(1 + twice):
            after = steps.taken(response, INVITATION, one, at)
            if after != response:
                figures.read(counted(before, after, FORM.questions), None)
                before = after
            response = after
    return response, figures


@given(answers)
def test_the_first_answer_counts_and_is_counted_once(acts: list[tuple[Question, int, str, int, bool]]) -> None:
    response, figures = played(acts)
    first: dict[str, tuple[int, str]] = {}
    for question, mark, channel, _, _ in acts:
        first.setdefault(question.id, (mark, channel))
    assert {name: one.channel for name, one in response.answers.items()} == {n: c for n, (_, c) in first.items()}
    assert (response.completed_at is not None) == (len(first) == len(FORM.questions))
    assert figures.totals["responses"] == (1 if acts else 0)
    for question in FORM.questions:
        asked = Asked(question.id, question.kind)
        assert sum(figures.counts(asked).values()) == (question.id in first)
        assert sum(sum(day[asked].values()) for day in figures.days.values() if asked in day) == (question.id in first)


@given(answers)
def test_one_case_at_most_and_never_without_a_low_answer(acts: list[tuple[Question, int, str, int, bool]]) -> None:
    response, _ = played(acts)
    low = response.answers.get("nps")
    assert (response.alert_case is not None) == (low is not None)  # marks go up to 6 here, and 6 asks for a case


@given(answers)
def test_what_is_asked_next_is_asked_once_and_never_from_the_page(
    acts: list[tuple[Question, int, str, int, bool]],
) -> None:
    response, _ = played(acts)
    assert all(isinstance(put, Put) and put.channel != "page" for put in response.asked.values())
    assert all(put.at < INVITATION.closes_at for put in response.asked.values())
    if all(channel == "page" for _, _, channel, _, _ in acts):
        assert response.asked == {}
        assert response.thanked is None
    if response.completed_at is None:
        assert response.thanked is None


def test_counting_again_from_the_records_gives_the_same() -> None:
    acts = [(NPS, 3, "sms", 1000, False), (EASY, 5, "sms", 2000, False), (PICK, 0, "page", 3000, True)]
    response, kept = played(acts)
    again = Figures()
    again.take(response, {question.id: question for question in FORM.questions})
    assert again.answers == kept.answers
    assert again.days == kept.days
    assert again.totals["responses"] == kept.totals["responses"]


def test_what_is_forgotten() -> None:
    response, _ = played([(NPS, 3, "sms", 1000, False), (WHY, 0, "sms", 2000, False)])
    left = steps.forgotten(response)
    assert left.customer is None
    assert not steps.words_of(left)
    assert left.answers["nps"].value == 3


@pytest.mark.parametrize(
    "locale, about, title, wanted",
    [
        ("el", None, {"en": "Your visit", "el": "Η επίσκεψή σας."}, "Η επίσκεψή σας"),
        ("en-GB", None, {"el": "Η επίσκεψή σας", "en": "Your visit"}, "Your visit"),
        ("en", None, {"fr": "Votre visite"}, "your answer of 22 November"),
        ("el", None, None, "η απάντησή σας στις 22 Νοεμβρίου"),
        ("zh-Hans", None, {"zh-Hant": "您的來訪"}, "您11月22日的回答"),
        ("zh-Hant-TW", None, None, "您11月22日的回答"),
        ("fr", None, "", "your answer of 22 November"),
        ("en", "your visit.", "A title", "your visit"),
        ("en", {"no": "text"}, "A title", "A title"),
        ("en", "two\nlines", "x" * 201, "your answer of 22 November"),
    ],
)
def test_a_case_is_about_what_its_customer_knows(locale: str, about: object, title: Words | None, wanted: str) -> None:
    form = Form(questions=(Question(id="nps", kind="nps", text="How likely?"),), title=title)
    data = {} if about is None else {"about": about}
    asked = Invitation(id="i", mode="live", survey="visit", version=1, form=form, created_at=0, data=data)
    at = int(dt.datetime(2026, 11, 21, 23, 30, tzinfo=dt.UTC).timestamp() * 1000)
    assert words.subject(asked, at, Reader(locale, "Europe/Athens")) == wanted


def test_the_data_stands_in_the_title_too() -> None:
    form = Form(questions=(Question(id="nps", kind="nps", text="How likely?"),), title="The visit of {{ engineer }}")
    made, wrong = filled(form, {"engineer": "Nikos"}, "en", "UTC")
    assert (made.title, wrong) == ("The visit of Nikos", [])
    assert [pointer for pointer, _ in filled(form, {}, "en", "UTC")[1]] == ["/data/engineer"]


def test_an_answer_after_the_closing_is_late_however_long_its_question_is_open() -> None:
    asked = Invitation(id="i", mode="live", survey="visit", version=1, form=FORM, created_at=0, closes_in=62)
    begun = Response(id="r", mode="live", survey="visit", version=1, invitation="i", customer="maria", created_at=0)
    for at, late in ((62_000, False), (62_001, True)):
        taken = steps.taken(begun, asked, {"nps": Given(value=9, channel="sms", at=at)}, at)
        assert taken.answers["nps"].late is late
        assert bool(taken.asked) is (at < asked.closes_at)
    assert left_of(asked, 1_000) == 61
    assert left_of(asked, 61_000) == 60, "no prompt may be shorter"
