"""The named steps of a message's way, and traps that end a process exactly there."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import time
from collections.abc import Generator, Mapping

from tests.chaos.rig.carrier import Carrier, Copy
from tests.chaos.rig.links import Act
from tests.chaos.rig.processes import Member
from tests.chaos.rig.redis_link import Passing, RedisLink


class Step(enum.StrEnum):
    """Where a process may end. Each is seen from the outside: what has passed a link has happened."""

    BEFORE_TAKE = "before take"
    AFTER_TAKE = "after take"
    BEFORE_BEGIN = "before begin"
    AFTER_BEGIN = "after begin, before the socket write"
    AT_CARRIER = "after the carrier's request, before its answer"
    BEFORE_COMMIT = "after the carrier's answer, before commit"
    AFTER_COMMIT = "after commit, before its answer"
    MID_BATCH = "in the middle of a batch of commands"


class ApiStep(enum.StrEnum):
    """The same for a process of the API."""

    AFTER_CLAIM = "after the key is claimed"
    AFTER_ACCEPT = "after accept, before the caller's answer"
    AFTER_FINISH = "after the answer is kept, before the caller hears it"


class Trap:
    """Ends the first of some members in which a message whose reference begins with `needle` comes to a step.

    Springs once. `freeze`: it is stopped instead, and what passes arrives in the end. `at`: when it did, in ms since the epoch; `victim`: whom it ended; `message`: the id of a message that
    was under way in it, where the step shows one.
    """

    def __init__(self, step: Step | ApiStep, needle: str, carrier: Carrier, *, freeze: bool = False) -> None:
        self.step = step
        self.needle = needle.encode()
        self.sprung: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.at = 0
        self.victim: Member | None = None
        self._carrier = carrier
        self._freeze = freeze
        self._begun: dict[bytes, Member] = {}

    @contextlib.contextmanager
    def laid(self, links: Mapping[str, RedisLink], members: list[Member]) -> Generator[None]:
        """Lay it on the way of these members, for the block."""
        watches = [(links[member.name], functools.partial(self._sees, member)) for member in members]
        for link, watch in watches:
            link.watches.append(watch)
        self._carrier.arrived.append(self._hears)
        try:
            yield
        finally:
            self._carrier.arrived.remove(self._hears)
            for link, watch in watches:
                link.watches.remove(watch)

    def _hears(self, copy: Copy) -> None:
        """The carrier has a copy."""
        sender = self._begun.get(copy.message.encode())
        if self.step is Step.AT_CARRIER and sender is not None and not self.sprung.done():
            self._spring(sender)

    def _sees(self, member: Member, passing: Passing) -> Act:
        """A command or an answer passes."""
        if self.sprung.done():
            return Act.PASS
        if passing.name == "begin" and passing.phase == "request" and passing.holds(self.needle):
            self._begun[_message(passing)] = member
        if not self._is_it(passing):
            return Act.PASS
        self._spring(member)
        if self._freeze:
            return Act.PASS
        return Act.HALF if self.step is Step.MID_BATCH else Act.CUT

    def _is_it(self, passing: Passing) -> bool:
        if passing.refused:
            return False
        match self.step, passing.name, passing.phase:
            case (Step.BEFORE_TAKE, "take", "request") | (ApiStep.AFTER_CLAIM, "claim", "answer"):
                return True
            case (Step.AFTER_TAKE, "take", "answer") | (Step.BEFORE_BEGIN, "begin", "request"):
                return passing.holds(self.needle)
            case (
                (Step.AFTER_BEGIN, "begin", "answer")
                | (ApiStep.AFTER_ACCEPT, "accept", "answer")
                | (ApiStep.AFTER_FINISH, "finish", "answer")
            ):
                return passing.asked(self.needle)
            case (Step.BEFORE_COMMIT, "commit", "request") | (Step.AFTER_COMMIT, "commit", "answer"):
                return passing.asked(self.needle) and _message(passing).decode() in self._carrier.by_message
            case Step.MID_BATCH, "begin" | "commit", "request":
                return passing.batch > 1 and passing.holds(self.needle)
            case _:
                return False

    def _spring(self, member: Member) -> None:
        if self._freeze:
            member.freeze()
        else:
            member.kill()
        self.victim, self.at = member, time.time_ns() // 1_000_000
        self.sprung.set_result(None)


def _message(passing: Passing) -> bytes:
    """The id of the message that a script is about: its first key is the record's."""
    return passing.command[3].rpartition(b":m:")[2]
