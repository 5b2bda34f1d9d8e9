"""Questions and answers in any interleaving, on a real core: what counts, what is late, and what ends.

A machine asks, answers by text, by page and by key, supersedes, and lets questions close; beside it stands a model of the
rules. Opt-out words are thrown in everywhere and must never be answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.channels.base import Inbound
from gateway.delivery.answers import PAGE
from gateway.prompts import Option, Prompt, Value, read_answer
from gateway.store.keys import digest, of_customer
from tests.support.core import Core, Scripted, core, until

CLOSES_S = 600
KINDS: dict[str, Prompt] = {
    "ack": Prompt(kind="acknowledge", closes_in=CLOSES_S),
    "nps": Prompt(kind="scale", min=0, max=10, closes_in=CLOSES_S),
    "csat": Prompt(kind="scale", min=1, max=5, closes_in=CLOSES_S),
    "yes": Prompt(kind="yes_no", closes_in=CLOSES_S),
    "offer": Prompt(kind="choice", options=(Option("a", "Refund"), Option("b", "Voucher")), closes_in=CLOSES_S),
    "text": Prompt(kind="text", closes_in=CLOSES_S),
}
WORDS = ("1", "7", "9 - the staff were great", "yes", "no", "Voucher", "12", "1 or 2", "there is water everywhere")
REACH = {"until": "acknowledged", "step": 300, "within": 3600}
kinds = st.sampled_from([*sorted(KINDS), "nps", "nps"])


class Asked(msgspec.Struct):
    """One question as the model knows it. `given`: every answer in order: value, channel, late."""

    id: str
    prompt: Prompt
    thread: str | None
    closed: bool = False
    superseded_by: str | None = None
    given: list[tuple[Value, str, bool]] = []
    page: Value | None = None


class Answering(RuleBasedStateMachine):
    """One person, many questions."""

    gw: ClassVar[Core]
    loop: ClassVar[asyncio.AbstractEventLoop]
    people: ClassVar[Iterator[int]] = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        number = next(self.people)
        self.who, self.phone = f"p{number}", f"+3069{number:08d}"
        self.asked: list[Asked] = []
        self.run(self.gw.person(self.who, sms=self.phone, voice=self.phone))

    def run(self, work: Any) -> Any:
        """Do something in the core's own loop."""
        return self.loop.run_until_complete(work)

    async def _hears(self, words: str) -> str:
        """They write, and it has been understood; its outcome."""
        name, inbox = secrets.token_hex(8), self.gw.gateway.inbound
        item = Inbound(id=name, channel="sms", sender=self.phone, text=words, at=self.gw.gateway.clock.now())
        await self.gw.gateway.inbox.note("live", item)

        at = of_customer(self.gw.gateway.customers.address_key(self.phone))

        async def understood() -> str:
            found = await inbox.noted(at, digest(f"live\0sms\0{name}"))
            return found.outcome if found is not None and found.outcome != "new" else ""

        return await until(understood)

    # What may happen

    @initialize(threaded=st.booleans())
    def two_alike(self, threaded: bool) -> None:
        """So that which of them is answered matters from the beginning."""
        for _ in range(2):
            self.run(self._ask(KINDS["nps"], "t" if threaded else None))

    @rule(kind=kinds, threaded=st.booleans())
    def ask(self, kind: str, threaded: bool) -> None:
        """A question goes out; in the thread it takes the place of those not done."""
        self.run(self._ask(KINDS[kind], "t" if threaded else None))

    async def _ask(self, prompt: Prompt, thread: str | None) -> None:
        reach = {**REACH, "channels": ["sms"]} if len(self.asked) % 2 else REACH
        sent = await self.gw.send(self.who, "outage", prompt=prompt, thread=thread, reach=reach)
        await self.gw.when(sent, lambda m: m.attempts and m.attempts[-1].status == "accepted")
        for old in self.asked:
            if thread is not None and old.thread == thread and old.superseded_by is None and not old.given:
                old.superseded_by = sent.id
                await self.gw.ended(old.id)
        self.asked.insert(0, Asked(sent.id, prompt, thread))

    @rule(words=st.sampled_from(WORDS))
    def writes(self, words: str) -> None:
        """The first of the open ones that waits and fits, else the first that fits; else of the closed ones."""
        found = self._fitting(words)
        outcome = self.run(self._hears(words))
        assert outcome == ("answer" if found is not None else "linked")
        if found is not None:
            value = read_answer(found.prompt, words)
            assert value is not None
            found.given.append((value, "sms", found.closed))

    def _fitting(self, words: str) -> Asked | None:
        for closed in (False, True):
            fits = [
                one
                for one in self._in_order()
                if one.closed is closed
                and read_answer(one.prompt, words) is not None
                and not (one.prompt.kind == "text" and closed)
            ]
            waiting = [one for one in fits if not one.given and one.superseded_by is None]
            if fits:
                return (waiting or fits)[0]
        return None

    def _in_order(self) -> list[Asked]:
        """Newest first; before one of a thread come those that took its place since."""
        by_id = {one.id: one for one in self.asked}
        found: list[Asked] = []
        for one in self.asked:
            chain = [one]
            while (newer := chain[0].superseded_by) is not None:
                chain.insert(0, by_id[newer])
            found += [each for each in chain if each not in found]
        return found

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), value=st.sampled_from(["a", "b"]), number=st.integers(1, 5), yes=st.booleans())
    def taps(self, data: st.DataObject, value: str, number: int, yes: bool) -> None:
        """A page: the newest asked alike in the thread gets it, unless the link's own has been answered."""
        one = data.draw(st.sampled_from(self.asked))
        given: dict[str, Value] = {"acknowledge": True, "yes_no": yes, "scale": number, "choice": value, "text": "Hm."}
        pages = self.gw.gateway.pages
        opened = self.run(pages.asked(one.id))
        target = one
        if not one.given and one.superseded_by is not None:
            alike = [each for each in self._chain(one) if each.prompt == one.prompt and not each.closed]
            target = alike[0] if alike else one
        assert opened.message.id == target.id
        answer = given[target.prompt.kind]
        self.run(pages.answer(target.id, answer, str(answer)))
        if not (target.given and target.given[-1][1] == PAGE and target.given[-1][0] == answer):
            target.given.append((answer, PAGE, target.closed))

    def _chain(self, one: Asked) -> list[Asked]:
        by_id, chain = {each.id: each for each in self.asked}, [one]
        while (newer := chain[0].superseded_by) is not None:
            chain.insert(0, by_id[newer])
        return chain

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def closes(self, data: st.DataObject) -> None:
        """Its time passes."""
        one = data.draw(st.sampled_from(self.asked))
        if not one.closed and not one.given:
            self.run(self.gw.age(one.id, CLOSES_S + 5))
            one.closed = True

    @precondition(lambda self: len(self.asked) % 3 == 2)  # it takes a while: what is open is looked at anew
    @rule(words=st.sampled_from(["STOP", "退订", "Stop."]))
    def leaves_and_comes_back(self, words: str) -> None:
        """Never an answer, whatever is open."""
        assert self.run(self._hears(words)) == "consent"
        assert self.run(self._hears("START")) == "consent"

    # What always holds

    @invariant()
    def the_first_fitting_answer_counts_and_later_ones_are_kept(self) -> None:
        """Exactly one `answer`; what came after it stands beside it; `late` exactly after closing."""
        for one in self.asked:
            found = self.run(self.gw.message(one.id))
            stored = [a for a in (found.answer, *found.later_answers) if a is not None]
            assert [(a.value, a.channel, a.late) for a in stored] == one.given
            if one.given and one.superseded_by is None:
                assert found.done, "an answer ends what is under way"
                assert (found.verdict.state, found.verdict.level) in (
                    ("reached", "acknowledged"),
                    ("reached", "delivered"),
                )
                assert not any(found.turns)


@pytest.fixture
def machine(redis_url: str) -> Iterator[type[Answering]]:
    """The machine on a core of its own."""
    loop = asyncio.new_event_loop()
    stack = contextlib.AsyncExitStack()

    async def opened() -> Core:
        made = await stack.enter_async_context(
            core(redis_url, Path(mkdtemp()), Scripted("sms"), Scripted("voice", recalls=True, rings=60))
        )
        made.work()
        return made

    Answering.loop, Answering.gw = loop, loop.run_until_complete(opened())
    yield Answering
    loop.run_until_complete(stack.aclose())
    loop.close()


def test_any_interleaving_of_answers(machine: type[Answering]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10,
            stateful_step_count=10,
            deadline=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )
