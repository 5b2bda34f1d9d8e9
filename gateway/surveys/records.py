"""Where a survey's records are, and the lists they stand on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from gateway.message import Mode
from gateway.store.keys import PARTITIONS, Partition, of_customer, partition
from gateway.store.scripts import Scripts
from gateway.store.things import Listed, Place, Shelf
from gateway.surveys.nouns import INVITATION, KIND, RESPONSE, Invitation, Response, Survey

DAY_MS: Final = 86_400_000
SURVEYS: Final = "survey"
RESPONSES: Final = "response"
VERBATIMS: Final = "verbatim"
INVITATIONS: Final = "invitation"
RUNNING: Final = "inviting"
"""Lists: of surveys; and of one survey its responses, those with words, its invitations, and those still counted."""
_JOINT: Final = "\0"
_CHUNK: Final = 100
_COUNTS: Final = 1_000
_TIME: Final = 9


class Records:
    """The three shelves. `secret` keys the names of what is a person's; `keep_days`: how long responses are kept."""

    def __init__(self, scripts: Scripts, secret: Callable[[str], str], keep_days: int) -> None:
        self.surveys = Shelf(scripts, KIND, Survey)
        self.invitations = Shelf(scripts, INVITATION, Invitation)
        self.responses = Shelf(scripts, RESPONSE, Response)
        self.keep = keep_days * DAY_MS
        self._pipe = scripts.pipe
        self._urgent = scripts.urgent
        self._secret = secret
        self._decoder = msgspec.msgpack.Decoder(Response)

    def survey(self, mode: Mode, name: str) -> Place:
        """Where a survey is."""
        return self.surveys.place(mode, name)

    def invitation(self, mode: Mode, name: str) -> Place:
        """Where an invitation is."""
        return self.invitations.place(mode, name)

    def response(self, mode: Mode, invitation: str, customer: str) -> Place:
        """Where a person's response to an invitation is; nobody without our secret can tell whose it is."""
        return self.responses.place(mode, self._secret(f"{invitation}{_JOINT}{customer}"), of=customer)

    def nobody(self, place: Place, mode: Mode, nobody: str) -> Place:
        """Where a response goes when its person has been erased: to a name that leads back to nobody."""
        fresh = self.responses.place(mode, f"{nobody}{_JOINT}{place.ref}")
        return Place(place.number, fresh.member)

    def lists(self, response: Response, *, on: bool = True, words: bool) -> list[Listed]:
        """The lists a response stands on. `words`: whether it has any to be read."""
        mode, at, survey = response.mode, response.created_at, response.survey
        found = [Listed(mode, RESPONSES, at, survey, on=on), Listed(mode, VERBATIMS, at, survey, on=on and words)]
        if response.case is not None:
            found.append(Listed(mode, RESPONSES, at, of_case(survey, response.case), on=on))
        return found

    async def scan(self, mode: Mode, value: str) -> AsyncGenerator[tuple[Partition, list[Response]]]:
        """All responses of a list (a survey's, or a case's), partition by partition."""
        for n in range(PARTITIONS):
            last = ""
            while entries := await self._entries(mode, value, n, last):
                last = entries[-1]
                yield partition(n), await self._loaded([place_of(entry, n) for entry in entries])

    async def newest(self, mode: Mode, value: str) -> AsyncGenerator[list[Response]]:
        """All responses of a list, the newest first; each partition is read on only when its turn comes."""
        first = await asyncio.gather(*(self._entries(mode, value, n, "") for n in range(PARTITIONS)))
        waiting = {n: deque(entries) for n, entries in enumerate(first) if entries}
        while waiting:
            places: list[Place] = []
            while waiting and len(places) < _CHUNK:
                n = max(waiting, key=lambda one: waiting[one][0])
                entry = waiting[n].popleft()
                places.append(place_of(entry, n))
                if not waiting[n]:
                    waiting[n].extend(await self._entries(mode, value, n, entry))
                if not waiting[n]:
                    del waiting[n]
            yield await self._loaded(places)

    async def _entries(self, mode: Mode, value: str, number: int, after: str) -> list[str]:
        """The next entries of a list in one partition, the newest first."""
        key, start = partition(number).listed(mode, RESPONSES, value), f"({after}" if after else "+"
        found = await self._pipe.send("ZRANGE", key, start, "-", "BYLEX", "REV", "LIMIT", 0, _CHUNK)
        return [entry.decode() for entry in found]

    async def _loaded(self, places: Sequence[Place]) -> list[Response]:
        """Those of them that are there."""
        answers = await self._pipe.send_all([(("HGET", one.at.member(one.member), "s"), False) for one in places])
        found: list[Response] = []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                found.append(self._decoder.decode(answer))
        return found

    async def tallies(self, mode: Mode, survey: str) -> AsyncGenerator[dict[str, int]]:
        """What has been counted of a survey, a handful of counts at a time: there are years of days."""
        for n in range(PARTITIONS):
            found: dict[bytes, bytes] = await self._pipe.send("HGETALL", partition(n).tally(mode, KIND, survey))
            rest = iter(found.items())
            while some := list(islice(rest, _COUNTS)):
                yield {name.decode(): int(count) for name, count in some}

    async def invited(self, mode: Mode, survey: str, customers: Sequence[str]) -> list[str | None]:
        """To which invitation each of them was asked last, in their order; None: never."""
        places = self._spread(customers)
        reads = [
            self._pipe.send("HMGET", partition(n).invited(mode, survey), *(self._mark(mode, c) for c in some))
            for n, some in places.items()
        ]
        found: dict[str, str | None] = {}
        for some, answers in zip(places.values(), await asyncio.gather(*reads), strict=True):
            found.update((c, None if raw is None else raw.decode()) for c, raw in zip(some, answers, strict=True))
        return [found[customer] for customer in customers]

    async def invite(self, mode: Mode, survey: str, invitation: str, customers: Sequence[str], *, again: bool) -> None:
        """Remember that they were asked: by the first who says so, or with `again` by the last."""
        writes: list[Awaitable[Any]] = []
        for n, some in self._spread(customers).items():
            key = partition(n).invited(mode, survey)
            for customer in some:
                command = "HSET" if again else "HSETNX"
                writes.append(self._urgent.send(command, key, self._mark(mode, customer), invitation))
            writes.append(self._urgent.send("PEXPIRE", key, self.keep, durable=True))
        await asyncio.gather(*writes)

    async def forget(self, mode: Mode, survey: str) -> None:
        """Remove what was counted of a survey, and who was asked."""
        keys = [
            key
            for n in range(PARTITIONS)
            for key in (partition(n).tally(mode, KIND, survey), partition(n).invited(mode, survey))
        ]
        await asyncio.gather(*(self._pipe.send("DEL", key) for key in keys))

    async def uninvite(self, mode: Mode, survey: str, customer: str) -> None:
        """Nobody remembers any more that this customer was asked."""
        await self._pipe.send("HDEL", of_customer(customer).invited(mode, survey), self._mark(mode, customer))

    def _mark(self, mode: Mode, customer: str) -> str:
        return self._secret(f"{mode}{_JOINT}asked{_JOINT}{customer}")[:24]

    @staticmethod
    def _spread(customers: Sequence[str]) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for customer in dict.fromkeys(customers):
            found.setdefault(of_customer(customer).number, []).append(customer)
        return found


def of_case(survey: str, case: str) -> str:
    """The name of the list of a case's responses to a survey."""
    return f"{survey}{_JOINT}{case}"


def tally_key(place: Place, mode: Mode, survey: str) -> str:
    """The hash in which a thing's counts are kept, in its own partition."""
    return place.at.tally(mode, KIND, survey)


def place_of(entry: str, number: int) -> Place:
    """The thing of an entry of a list: after its time stands its member."""
    return Place(number, entry[_TIME:])
