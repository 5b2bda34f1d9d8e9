"""Cases as a service: opened, offered, resolved, followed up, and found again."""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.cases import clockwork, finding, machine
from gateway.cases.effects import Effects, Mark
from gateway.cases.finding import Found
from gateway.cases.news import About, told
from gateway.cases.nouns import UNDER_WAY, Case, NewCase, Note
from gateway.cases.records import ALL, written
from gateway.delivery.inbox import Listed
from gateway.delivery.intake import Intake
from gateway.delivery.request import Rejected
from gateway.delivery.room import NoRoom
from gateway.message import Message, Mode
from gateway.people.people import People
from gateway.prompts import Option
from gateway.settings_types import CaseSettings
from gateway.store.changes import Taken
from gateway.store.clock import Clock
from gateway.store.keys import Partition
from gateway.store.messages import Messages
from gateway.store.mine import Mine
from gateway.store.scripts import Scripts
from gateway.store.stream import StoreUnavailable
from gateway.store.things import Place, Shelf, Written
from gateway.store.timeline import Timeline

KIND: Final = "case"
_DAY_MS: Final = 86_400_000
_ROUNDS: Final = 50


class Known(Exception):
    """There is another case of that id."""


class Cases:
    """The service behind `/v1/cases`.

    Methods raise StoreUnavailable, KeyError for an unknown case, machine.NotNow for a step its status doesn't allow.
    `by`: who does it, the id of an API key; `token`: names the request, which repeated changes nothing.
    """

    def __init__(
        self,
        scripts: Scripts,
        clock: Clock,
        mine: Mine,
        people: People,
        intake: Intake,
        messages: Messages,
        timeline: Timeline,
        kinds: Mapping[str, CaseSettings],
        *,
        keep_days: int,
    ) -> None:
        """`kinds`: what the settings say of each kind. `keep_days`: for how long a closed case is kept."""
        self.kinds = kinds
        self._shelf = Shelf(scripts, KIND, Case)
        self._clock = clock
        self._mine = mine
        self._keep_ms = keep_days * _DAY_MS
        self._effects = Effects(self._shelf, clock, mine, people, intake, messages, timeline)

    # Opening and looking

    async def create(
        self,
        mode: Mode,
        new: NewCase,
        id: str | None = None,  # noqa: A002 - its name
        *,
        by: str = "gateway",
        at: int | None = None,
        token: str = "",
    ) -> Case:
        """Open a case; the one of that id and token, if it is there. `at`: its time, ms.

        Raises Rejected when there is no such customer, Known when the id is another case's.
        """
        name = id or f"case-{secrets.token_hex(10)}"
        place = self.place(mode, name)
        at = self._clock.now() if at is None else at
        fresh = machine.opened(new, self.own(new.kind), name, mode, at, by, token)
        made = await self._shelf.load(place)
        if made is None:
            if not await self._mine.add(new.customer, place):
                raise _nobody()
            made = await self._put(place, lambda found: fresh if found is None else None)
            if made.customer != new.customer:
                await self._mine.drop(new.customer, place)
            elif await self._mine.gone(new.customer):
                await self._shelf.change(place, lambda _found: Written(None))
                raise _nobody()
        if made.token != token or made.customer not in (new.customer, None):
            raise Known(name)
        if made.customer is None:
            raise _nobody()  # opened by this very request, and the person has been erased since
        return await self._carried(place, made)

    async def get(self, mode: Mode, case: str) -> Case | None:
        """A case; None when there is none of that id."""
        return await self._shelf.load(self.place(mode, case))

    async def at(self, place: Place) -> Case | None:
        """The case at a place; None when it is gone."""
        return await self._shelf.load(place)

    async def find(self, mode: Mode, wanted: Found, limit: int, cursor: str | None) -> tuple[list[Case], str | None]:
        """A page of cases, the newest first, and the cursor of the next. Raises ValueError for a bad cursor."""
        return await finding.page(self._shelf, mode, wanted, limit, cursor)

    async def having(self, mode: Mode, name: str, value: str) -> list[Case]:
        """All cases of a "cause" or an "outage", the newest first."""
        return await finding.everything(self._shelf, mode, f"{ALL}.{name}", value)

    async def of_customer(self, mode: Mode, customer: str, *, under_way: bool = True) -> list[Case]:
        """The cases of a customer, the newest first; `under_way`: only those that somebody has still to see to."""
        cases = await self._shelf.load_many(await self._mine.of(customer, KIND))
        own = [case for case in cases if case is not None and case.mode == mode and case.customer == customer]
        wanted = [case for case in own if case.status in UNDER_WAY or not under_way]
        return sorted(wanted, key=lambda case: (case.created_at, case.id), reverse=True)

    # What operators do

    async def change(self, mode: Mode, case: str, told: Callable[[Case, int], Case | None]) -> Case:
        """Change a case by a pure function of it and the time (ms), and do what follows. Its exceptions pass."""
        place = self.place(mode, case)

        def change(found: Case | None) -> Case | None:
            if found is None:
                raise KeyError(case)
            if found.customer is None:
                raise machine.NotNow("Its customer has been erased: nothing of it changes any more.")
            return told(found, self._clock.now())

        return await self._carried(place, await self._put(place, change))

    async def offer(
        self,
        mode: Mode,
        case: str,
        options: Sequence[Option],
        closes_in: int,
        *,
        by: str,
        token: str,
        happened: str | None = None,
    ) -> Case:
        """Let the customer choose how it is made good."""
        return await self.change(
            mode, case, lambda found, now: machine.offered(found, options, closes_in, now, by, token, happened)
        )

    async def resolve(
        self, mode: Mode, case: str, root_cause: str, action: str, follow_up_after: int, *, by: str, token: str
    ) -> Case:
        """It is put right; the customer is asked about it `follow_up_after` seconds from now."""
        return await self.change(
            mode,
            case,
            lambda found, now: machine.resolved(found, root_cause, action, follow_up_after, now, by, token),
        )

    async def note(self, mode: Mode, case: str, note: Note) -> Case:
        """Add a note, once for each id."""
        return await self.change(mode, case, lambda found, _now: machine.noted(found, note))

    # What comes of them

    async def follow(self, message: Message) -> None:
        """The follower of a case's messages: takes in what became of one."""
        about = About.of(message.about or "")
        place = self.place(message.mode, about.case)

        def news(found: Case | None) -> Case | None:
            if found is None or found.customer is None or found.customer != message.customer:
                return None
            return told(found, about, message, self._clock.now())

        if (case := await self._put(place, news)) is not None:
            await self._carried(place, case)

    async def hears(self, customer: str, listed: Listed) -> None:
        """Free words of a customer go to the case that was last spoken of with them: one under way, else a resolved one."""
        inbound = listed.item.inbound
        words = Note(
            id=f"in:{listed.id}",
            at=inbound.at or self._clock.now(),
            of="customer",
            text=inbound.text,
            channel=inbound.channel,
        )
        own = await self.of_customer(listed.item.mode, customer, under_way=False)
        meant = [case for case in own if case.under_way] or [case for case in own if case.status == "resolved"]
        if meant:
            case = max(meant, key=machine.spoken_at)
            with contextlib.suppress(machine.NotNow):  # erased in this very moment
                await self.note(case.mode, case.id, words)

    async def forget(self, place: Place, customer: str) -> None:
        """Take a customer out of a case, who is being erased."""

        def forgotten(found: Case | None) -> Case | None:
            if found is None or found.customer != customer:
                return None
            return clockwork.erased(found, self._clock.now())

        await self._put(place, forgotten)

    async def work(self, at: Partition, taken: Taken) -> None:
        """Do what is due for a case, as the agenda says."""
        await self._carry(Place(at.number, taken.member))

    def place(self, mode: Mode, case: str) -> Place:
        """Where a case is."""
        return self._shelf.place(mode, case)

    async def _carried(self, place: Place, case: Case) -> Case:
        """The case after what it owes at once; what can't be done now, a worker does."""
        try:
            return await self._carry(place) or case
        except (StoreUnavailable, NoRoom):
            return case

    async def _carry(self, place: Place) -> Case | None:
        """Do what a case owes until it owes nothing, and put it back on the agenda."""
        for _ in range(_ROUNDS):
            case = await self._shelf.load(place)
            if case is None:
                return None
            tasks = clockwork.owed(case, self._clock.now())
            if not tasks:
                case = await self._put(place, self._timed, always=True)
                if case is None or not clockwork.owed(case, self._clock.now()):
                    return case
                continue
            mark = await self._effects.do(tasks[0], case)
            await self._put(place, functools.partial(_marked, mark))
        raise RuntimeError(f"{place.member} owes something after {_ROUNDS} rounds")

    def _timed(self, found: Case | None) -> Case | None:
        return None if found is None else clockwork.timed(found, self._clock.now(), self.own(found.kind))

    async def _put(self, place: Place, told: Callable[[Case | None], Case | None], *, always: bool = False) -> Any:
        """Write what `told` makes of a case; None, or the same case: it stays as it is (`always`: on the agenda anew)."""

        def change(found: Case | None) -> Written[Case] | None:
            case = told(found)
            if case is None or case == found:
                case = found if always else None
            return None if case is None else written(found, case, self.own(case.kind), self._clock.now(), self._keep_ms)

        return await self._shelf.change(place, change)

    def own(self, kind: str) -> CaseSettings:
        """What the settings say of a kind."""
        return self.kinds.get(kind) or CaseSettings()


def _marked(mark: Mark, found: Case | None) -> Case | None:
    return None if found is None else mark(found)


def _nobody() -> Rejected:
    return Rejected([("/customer", "There is no such customer: PUT /v1/customers/{id} first.")])
