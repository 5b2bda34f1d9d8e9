"""A case under anything that may happen to it, in any order, each thing told twice."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.cases import clockwork, machine
from gateway.cases.news import About, told
from gateway.cases.nouns import SILENCE_MS, Case, Status
from tests.support.cases import CHOICE, NOW, OPTIONS, OWN, YES_NO, answer, message, opened


class AnyOrder(RuleBasedStateMachine):
    """One case, and the status that the contract says it has."""

    def __init__(self) -> None:
        super().__init__()
        self.case, self.now, self.count = opened(), NOW, itertools.count()
        self.status: Status = "open"

    def twice(self, step: Callable[[Case], Case | None], after: Status) -> None:
        found = step(self.case)
        self.case = self.case if found is None else found
        again = step(self.case)
        assert again is None or again == self.case, "a second time changes nothing"
        self.status = after

    @precondition(lambda self: self.status in ("open", "reopened"))
    @rule()
    def offer(self) -> None:
        token = f"o{next(self.count)}"
        self.twice(lambda c: machine.offered(c, OPTIONS, 600, self.now, "key", token), "waiting")

    @precondition(lambda self: self.case.offer is not None)
    @rule(back=st.integers(0, 1), late=st.booleans(), option=st.sampled_from(["credit", "visit"]))
    def choose(self, back: int, option: str, *, late: bool) -> None:
        offer = self.case.offer
        assert offer is not None
        about = About("k1", "offer", offer.n - back)
        said = message(CHOICE, answer(option, late=late, at=self.now))
        counts = back == 0 and not late and self.status == "waiting"
        self.twice(lambda c: told(c, about, said, self.now), "open" if counts else self.status)

    @precondition(lambda self: self.status == "waiting")
    @rule()
    def withdraw(self) -> None:
        self.twice(lambda c: machine.set_to(c, "open", self.now, "key"), "open")

    @precondition(lambda self: self.status in ("open", "reopened"))
    @rule()
    def resolve(self) -> None:
        token = f"r{next(self.count)}"
        self.twice(lambda c: machine.resolved(c, "cause", "action", 60, self.now, "key", token), "resolved")

    @precondition(lambda self: self.case.follow_up is not None)
    @rule(back=st.integers(0, 1), yes=st.booleans())
    def answer(self, back: int, *, yes: bool) -> None:
        asked = self.case.follow_up
        assert asked is not None
        about = About("k1", "question", asked.round - back)
        said = message(YES_NO, answer(yes, at=self.now))
        after = self.status
        if back == 0 and asked.solved is None:
            if yes and self.status == "resolved":
                after = "closed"
            if not yes and self.status in ("resolved", "closed"):
                after = "reopened"
        self.twice(lambda c: told(c, about, said, self.now), after)

    @precondition(lambda self: self.status in ("resolved", "closed"))
    @rule()
    def reopen(self) -> None:
        self.twice(lambda c: machine.set_to(c, "reopened", self.now, "key"), "reopened")

    @rule(seconds=st.sampled_from([1, 600, 3600, 86_400, SILENCE_MS // 1000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1000
        due = set(clockwork.owed(self.case, self.now))
        if "choice" in due:
            self.case = machine.ended(self.case, "lapsed", self.now, "gateway")
            self.status = "open"
        if "ask" in due and self.case.follow_up is not None:
            put = msgspec.structs.replace(self.case.follow_up, asked_at=self.now, message="m")
            self.case = msgspec.structs.replace(self.case, follow_up=put)
        if "offer" in due and self.case.offered is not None:
            carried = msgspec.structs.replace(self.case.offered, message="m")
            self.case = msgspec.structs.replace(self.case, offer=carried)
        if "silence" in due:
            self.case, self.status = machine.closed(self.case, self.now, "gateway"), "closed"
        before = self.case
        self.case = clockwork.timed(self.case, self.now, OWN)
        assert clockwork.timed(self.case, self.now, OWN) == self.case
        assert before.status == self.case.status

    @invariant()
    def is_as_the_contract_says(self) -> None:
        case = self.case
        assert case.status == self.status
        assert (case.status == "waiting") == (case.offered is not None)
        assert case.offered is None or case.offered.ended is None
        assert (case.status == "closed") == (case.closed_at is not None)
        assert case.under_way or case.root_cause is not None
        assert [step.n for step in case.history] == list(range(1, case.steps + 1))[-machine.MOST_STEPS :]

    @invariant()
    def is_looked_at_again_while_anything_may_happen_by_itself(self) -> None:
        case, at = self.case, clockwork.next_at(self.case, OWN)
        if case.status == "closed":
            assert at is None
        elif case.status in ("waiting", "resolved") or case.escalations < len(OWN.escalate_to):
            assert at is not None


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
