"""Forgetting a person in tests: somebody with something everywhere, and a worker's turns at their erasure."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from gateway.channels.base import CannotErase, Erased
from gateway.message import Attempt
from gateway.privacy.certificate import Erasure
from gateway.store.changes import Taken
from gateway.store.erasing import place_of
from tests.support.core import MAIL, PHONE, Core, Scripted, until

NEEDLES: Final = ("needle-anna", PHONE, MAIL, "needle-name", "needle-text", "needle-reference", "needle-said")


class Deleting(Scripted):
    """A channel whose provider deletes what it is told to; `told`: what it says to the next ones."""

    def __init__(self, name: str, *script: Any, told: tuple[Erased | CannotErase | Exception, ...] = ()) -> None:
        super().__init__(name, *script)
        self.told = deque(told)
        self.deleted: list[str | None] = []

    async def erase(self, attempt: Attempt) -> Erased | CannotErase:
        self.deleted.append(attempt.provider_id)
        told = self.told.popleft() if self.told else Erased()
        if isinstance(told, Exception):
            raise told
        return told


class Killed(BaseException):
    """The process dies here."""


async def die() -> None:
    raise Killed


async def anna(gw: Core) -> None:
    """A customer with something everywhere."""
    await gw.person("needle-anna", sms=PHONE, email=MAIL)
    await gw.gateway.people.patch("needle-anna", {"name": "needle-name"})
    entry = {"channel": "email", "category": "survey", "state": "withdrawn", "way": "form", "wording": "needle-text"}
    await gw.gateway.people.add_consent("needle-anna", entry)


async def work(gw: Core, erasure: str) -> None:
    """One turn of a worker at an erasure."""
    at = place_of(erasure)
    assert at is not None
    version, state = await gw.client.hmget(at.member(f"e:{erasure}"), "v", "s")
    await gw.gateway.erasures.work(at, Taken(f"e:{erasure}", int(version), state, "", "", 0, None))


async def look(gw: Core, erasure: str) -> Erasure:
    """The certificate."""
    found = await gw.gateway.erasures.certificate(erasure)
    assert found is not None
    return found


async def ended(gw: Core, erasure: str) -> Erasure:
    """The certificate once the erasure has ended, by the workers that run."""
    last: list[Erasure] = []

    async def over() -> bool:
        last[:] = [await look(gw, erasure)]
        return last[0].state != "running"

    await until(over, seen=lambda: last)
    return last[0]


async def erased(gw: Core, customer: str) -> Erasure:
    """Forget somebody, without a worker."""
    erasure = await gw.gateway.erasures.begin(customer, "key-1")
    for _ in range(20):
        await work(gw, erasure)
        if (await look(gw, erasure)).state != "running":
            return await look(gw, erasure)
    raise AssertionError(await look(gw, erasure))
