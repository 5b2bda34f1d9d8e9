"""What a rule puts into its message: texts and values from the event and the customer."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.customer import Customer
from gateway.prompts import Prompt
from gateway.rules.conditions import Facts, facts_of
from gateway.rules.filling import Filler, Unfilled, content_problems, data_problems, prompt_problems, without_open

ANA = Customer(id="ana", name="Ana <b>", locale="el", time_zone="Europe/Athens", attributes={"plan": "gold"})
FACTS = Facts(
    {"order": {"id": "4711", "lines": [1, 2]}, "total": 59.9, "at": "2026-11-22T18:00:00+02:00"}, facts_of(ANA)
)
FILLER = Filler(FACTS, ANA, "en", "UTC")


@pytest.mark.parametrize(
    "given, filled",
    [
        ("plain", "plain"),
        ("{ not a tag }", "{ not a tag }"),
        (5, 5),
        (None, None),
        ({"event": "order.id"}, "4711"),
        ({"event": "order"}, {"id": "4711", "lines": [1, 2]}),
        ({"customer": "attributes.plan"}, "gold"),
        ({"event": "none", "default": None}, None),
        ({"event": "total", "default": 1}, 59.9),
        ({"event": "total", "more": 1}, {"event": "total", "more": 1}),
        ({"event": 5}, {"event": 5}),
        (["{{ event.order.id }}", {"deep": "{{ customer.name }}"}], ["4711", {"deep": "Ana <b>"}]),
        ('{{ event.total | money("EUR") }}', "59,90 €"),
        ("{{ event.at | time }}", "6:00 μ.μ."),
    ],
)
def test_a_value_of_data(given: Any, filled: Any) -> None:
    assert FILLER.data(given) == filled


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Unfilled, match=r"/data/area: There is no event\.area"):
        FILLER.data({"area": {"event": "area"}})
    with pytest.raises(Unfilled, match=r"/data/0: event\.area"):
        FILLER.data(["{{ event.area }}"])


def test_content_is_filled_in_every_part_and_safe_in_html() -> None:
    content = {
        "subject": {"en": "{{ event.order.id }}", "el": "Αρ. {{ event.order.id }}"},
        "text": "Hello {{ customer.name }}",
        "html": "<p>{{ customer.name }}</p>",
        "wechat": {
            "template_id": "t",
            "data": {"thing1": {"value": "{{ event.order.id }}"}, "thing2": "x"},
            "url": "https://a.example/{{ event.order.id }}",
        },
    }
    assert content_problems(content, "") == []
    assert FILLER.content(content) == {
        "subject": {"en": "4711", "el": "Αρ. 4711"},
        "text": "Hello Ana <b>",
        "html": "<p>Ana &lt;b&gt;</p>",
        "wechat": {
            "template_id": "t",
            "data": {"thing1": {"value": "4711"}, "thing2": {"value": "x"}},
            "url": "https://a.example/4711",
        },
    }


def test_a_question_is_filled() -> None:
    prompt = Prompt(kind="yes_no", question={"en": "Is {{ event.order.id }} there?"})
    assert FILLER.prompt(prompt).question == {"en": "Is 4711 there?"}
    assert FILLER.prompt(Prompt(kind="yes_no")).question is None
    bad = Prompt(kind="yes_no", question="{{ order }}")
    assert [at for at, _ in prompt_problems(bad)] == ["/prompt/question"]


@pytest.mark.parametrize(
    "data, wrong",
    [
        ({"a": "{{ event.x }}", "b": {"event": "x.y"}}, []),
        ({"a": "{{ x }}"}, ["/data/a"]),
        ({"a": ["{% if %}"]}, ["/data/a/0"]),
        ({"a/b": {"event": "x..y"}}, ["/data/a~1b/event"]),
        ({"a": {"customer": "phone"}}, ["/data/a/customer"]),
    ],
)
def test_bad_data_is_found_beforehand(data: dict[str, Any], wrong: list[str]) -> None:
    assert [at for at, _ in data_problems(data, "/data")] == wrong


def test_what_depends_on_the_event_is_judged_when_it_comes() -> None:
    found = [("/data/a", "x"), ("/data/a/b", "x"), ("/data/ab", "x"), ("/data/c", "x")]
    assert without_open(found, {"a": {"event": "a"}, "c": "plain"}) == [("/data/ab", "x"), ("/data/c", "x")]
