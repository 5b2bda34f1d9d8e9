"""How a case goes on: every step from every status, told once or twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from gateway.cases import clockwork, machine
from gateway.cases.machine import NotNow
from gateway.cases.news import About, told
from gateway.cases.nouns import STATUSES, Case, Note, Status
from gateway.cases.records import cause_key, places, written
from gateway.cases.words import phrase, sentence
from gateway.message import Verdict
from tests.support.cases import CHOICE, NOW, OPTIONS, OWN, YES_NO, answer, message, opened


def in_status(status: Status) -> Case:
    """A case that has come to a status in the shortest way."""
    case = opened()
    if status == "waiting":
        return machine.offered(case, OPTIONS, 600, NOW, "key", "o1") or case
    if status in ("resolved", "closed", "reopened"):
        case = machine.resolved(case, "cause", "action", 60, NOW, "key", "r1") or case
    if status == "closed":
        return machine.closed(case, NOW, "key")
    return machine.reopened(case, NOW, "key") if status == "reopened" else case


STEPS: dict[str, Callable[[Case], Case | None]] = {
    "offer": lambda case: machine.offered(case, OPTIONS, 600, NOW, "key", "new"),
    "resolve": lambda case: machine.resolved(case, "cause", "action", 60, NOW, "key", "new"),
    "withdraw": lambda case: machine.set_to(case, "open", NOW, "key"),
    "close": lambda case: machine.set_to(case, "closed", NOW, "key"),
    "reopen": lambda case: machine.set_to(case, "reopened", NOW, "key"),
    "resolve by hand": lambda case: machine.set_to(case, "resolved", NOW, "key"),
    "wait by hand": lambda case: machine.set_to(case, "waiting", NOW, "key"),
}
ALLOWED = {
    ("open", "offer"): "waiting",
    ("open", "resolve"): "resolved",
    ("waiting", "withdraw"): "open",
    ("resolved", "close"): "closed",
    ("resolved", "reopen"): "reopened",
    ("closed", "reopen"): "reopened",
    ("reopened", "offer"): "waiting",
    ("reopened", "resolve"): "resolved",
    # Asked for what it is already: nothing happens.
    ("open", "withdraw"): "open",
    ("waiting", "wait by hand"): "waiting",
    ("resolved", "resolve by hand"): "resolved",
    ("closed", "close"): "closed",
    ("reopened", "reopen"): "reopened",
}


@pytest.mark.parametrize("status,step", list(itertools.product(STATUSES, STEPS)))
def test_every_step_from_every_status(status: Status, step: str) -> None:
    case, after = in_status(status), ALLOWED.get((status, step))
    assert case.status == status
    if after is not None:
        found = STEPS[step](case)
        assert found is not None
        assert found.status == after
        assert (found == case) == (after == status)
        return
    with pytest.raises(NotNow) as refused:
        STEPS[step](case)
    said = str(refused.value)
    assert status in said
    assert "PATCH" in said or "POST" in said, "it says what is possible"


def test_the_first_choice_counts_and_a_strange_one_never() -> None:
    case = in_status("waiting")
    about = About("k1", "offer", 1)
    for wrong in (answer("gold"), answer("credit", late=True)):
        assert told(case, about, message(CHOICE, wrong), NOW).chosen is None
    assert told(case, About("k1", "offer", 2), message(CHOICE, answer("credit")), NOW).chosen is None
    chosen = told(case, about, message(CHOICE, answer("credit", text="1 - and hurry"), answer("visit")), NOW)
    assert (chosen.status, chosen.chosen, [note.text for note in chosen.notes]) == ("open", "credit", ["and hurry"])
    again = told(chosen, about, message(CHOICE, answer("credit", text="1 - and hurry"), answer("visit")), NOW)
    assert again == chosen


@pytest.mark.parametrize(
    "text,as_phrase,as_sentence",
    [
        ("We came.", "We came", "We came."),
        (" We came ", "We came", "We came."),
        ("已更换。", "已更换", "已更换。"),
        ("已更换", "已更换", "已更换。"),
        ("Really?", "Really?", "Really?"),
        (".", ".", "."),
    ],
)
def test_what_operators_write_stands_well_in_the_built_in_texts(text: str, as_phrase: str, as_sentence: str) -> None:
    assert (phrase(text), sentence(text)) == (as_phrase, as_sentence)


def test_an_offer_that_lapsed_unread_can_still_be_taken_in_time() -> None:
    """Its end was told before its answer, which had come in time."""
    about = About("k1", "offer", 1)
    lapsed = machine.ended(in_status("waiting"), "unreached", NOW, "gateway", "deadline")
    chosen = told(lapsed, about, message(CHOICE, answer("visit")), NOW)
    assert (chosen.status, chosen.chosen) == ("open", "visit")


def test_no_after_silence_opens_it_again_and_yes_changes_nothing_then() -> None:
    closed, about = in_status("closed"), About("k1", "question", 1)
    assert told(closed, about, message(YES_NO, answer(value=True, late=True)), NOW).status == "closed"
    no = message(YES_NO, answer(value=False, text="no, it still drips", late=True), answer(value=True))
    again = told(closed, about, no, NOW)
    assert (again.status, [note.text for note in again.notes]) == ("reopened", ["it still drips"])
    assert told(again, about, no, NOW) == again
    assert again.due_at == NOW + 3_600_000
    assert [(word.template, word.data) for word in again.thanks] == [("case-reopened", {"ask": False})]


def test_a_message_in_vain_gives_the_case_back() -> None:
    about = About("k1", "offer", 1)
    lost = Verdict(state="unreached", code="all_failed")
    back = told(in_status("waiting"), about, message(CHOICE, verdict=lost), NOW)
    assert (back.status, back.history[-1].facts["code"]) == ("open", "all_failed")
    fine = Verdict(state="reached")
    assert told(in_status("waiting"), about, message(CHOICE, verdict=fine), NOW).status == "waiting"


@pytest.mark.parametrize("name", ["k1", "a:b:c", "case:9"])
def test_what_a_message_is_about_is_read_back(name: str) -> None:
    assert About.of(str(About(name, "question", 12))) == About(name, "question", 12)


def test_a_patch_says_what_it_changed_without_words() -> None:
    case = machine.patched(opened(), {"owner": "eva", "subject": "Secret"}, NOW, "key")
    assert (case.owner, case.subject) == ("eva", "Secret")
    assert case.history[-1].facts == {"fields": ["owner", "subject"], "owner": "eva"}
    assert machine.patched(case, {"owner": "eva"}, NOW, "key") is case
    overdue = clockwork.timed(case, NOW + 10**9, OWN)
    assert overdue.overdue_at is not None
    later = machine.patched(overdue, {"due_at": NOW + 10**10}, NOW, "key")
    assert (later.overdue_at, later.escalations) == (None, 0)


def test_notes_are_added_once_and_end_somewhere() -> None:
    case = opened()
    for n in range(machine.MOST_NOTES):
        note = Note(id=str(n), at=NOW, of="operator", text="x")
        case = machine.noted(case, note) or case
        assert machine.noted(case, note) is None
    with pytest.raises(NotNow):
        machine.noted(case, Note(id="more", at=NOW, of="operator", text="x"))
    assert machine.noted(case, Note(id="more", at=NOW, of="customer", text="x")) is None
    for n in range(machine.MOST_STEPS):
        case = machine.patched(case, {"owner": f"o{n}"}, NOW, "key")
    assert (len(case.history), case.history[-1].n) == (machine.MOST_STEPS, case.steps)


def test_a_case_is_listed_by_what_it_is_now() -> None:
    case = opened(outage="o7")
    moved = machine.patched(case, {"owner": "eva"}, NOW, "key")
    change = {(one.name, one.value, one.on) for one in written(case, moved, OWN, NOW, 1).lists}
    assert change == {("cases.owner", "team", False), ("cases.owner", "eva", True)}
    assert ("cases.outage", "o7") in places(case)
    assert cause_key("Worn  Cable ") == cause_key("worn cable")
