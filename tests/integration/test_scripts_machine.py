"""Every script in any order, on a real server and on the model: each answer and everything stored must be the same."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.message import LANES, Lane
from gateway.store.changes import Change
from gateway.store.keys import partition
from tests.support.model import Model
from tests.support.model_check import Server, contents_of, differences

LONG: Final = int(os.environ.get("GATEWAY_TEST_EXAMPLES", "0"))
"""So many examples, at random and made small when one fails: for a long run. Else a few, always the same."""
STEPS: Final = 40
AT: Final = partition(3)
CHANNELS: Final = ("sms", "email")
FAR_MS: Final = 60_000
"""Times are this far from now, so that nothing falls due while a step runs."""

WAITS, TOLD = (AT.standing("live", "b-1", name) for name in ("waiting", "told_only"))
COUNTS: Final = AT.by_channel("live", "b-1")
STANDS: Final = (
    (),
    (f"+{WAITS}",),
    (f"-{WAITS}", f"+{TOLD}", f"+{COUNTS}#told:sms"),
    (f"-{TOLD}", f"-{COUNTS}#told:sms", f"+{COUNTS}#failed:sms"),
)

messages = st.sampled_from([f"m{n}" for n in range(3)])
customers = st.sampled_from(["maria", "nikos"])
items = st.sampled_from(["in1", "in2"])
members = st.one_of(messages.map("m:{}".format), items.map("i:{}".format))
callers = st.sampled_from(["call1", "call2", "call3", "call4"])
lanes = st.sampled_from(LANES)
moments = st.sampled_from([-FAR_MS, -1, FAR_MS, 2 * FAR_MS])
few = st.integers(0, 3)


class Machine(RuleBasedStateMachine):
    server: ClassVar[Server]

    @initialize()
    def begin_anew(self) -> None:
        self.server.run(self.server.client.flushdb())
        self.server.run(self.server.rung())
        self.moment = self.server.now()
        self.model = Model(lambda: self.moment)
        self.scripts = self.server.scripts
        self.written = 0
        self.lane: dict[str, Lane] = {}

    # Helpers

    def tick(self) -> int:
        self.moment = self.server.now()
        return self.moment

    def version(self, message: str, off: int = 0) -> int:
        return int(self.model.hget(AT.message(message), "v") or 0) + off

    def change(self, message: str, data: Any, *, accepts: bool = False, begins: bool = False) -> Change:
        """A change as `gateway.store.messages` makes them: what isn't done has a time, what is done stands in no line."""
        self.written += 1
        now = self.tick()
        done = not begins and data.draw(st.sampled_from([False, False, False, True]), "done")
        lane = self.lane.setdefault(message, data.draw(lanes, "lane"))
        wake = data.draw(st.one_of(moments, st.none()) if done else moments, "wake")
        joined = data.draw(st.sets(st.sampled_from(CHANNELS)), "lines") if not done else set[str]()
        thread, order = None, None
        if not begins and data.draw(st.booleans(), "threaded"):
            thread, order = AT.thread("live", "maria", "t"), data.draw(st.integers(1, 6), "order")
        joins = accepts and order is not None and data.draw(st.booleans(), "joins")
        index = data.draw(st.sampled_from([(), (f"+{AT.index('live', 'held')}",), (f"-{AT.index('live', 'held')}",)]))
        return Change(
            state=b"state %d" % self.written,
            lane=lane,
            wake=None if wake is None else now + wake,
            places={AT.line(channel, lane): now if channel in joined else None for channel in CHANNELS},
            event=data.draw(st.sampled_from(["", "message.done", "message.held message.attempt"])),
            counters=data.draw(st.sampled_from([(), ("a",), ("a", "b:c")])),
            index=index,
            thread=thread,
            order=order,
            joins=joins,
            done=done,
            keep_record=10 * FAR_MS,
            keep_body=20 * FAR_MS,
            stands=data.draw(st.sampled_from(STANDS), "stands"),
            keep_stands=data.draw(st.sampled_from([10 * FAR_MS, 30 * FAR_MS]), "they live"),
            timeline=AT.timeline("maria"),
            told=data.draw(st.sampled_from([(), (b"one",), (b"one", b"two")]), "told"),
            keep_told=50 * FAR_MS,
        )

    @contextmanager
    def one_write(self, message: str) -> Generator[None]:
        """The version rises by one, or nothing at all happens."""
        before, stored = self.version(message), self.written_down()
        yield
        after = self.version(message)
        assert after in (before, before + 1)
        if after == before:
            assert self.written_down() == stored, "what was refused has changed something"

    def written_down(self) -> dict[str, Any]:
        return {key: dict(fields) for key, fields in self.model.hashes.items()}

    # Messages

    @rule(data=st.data(), message=messages, body=st.sampled_from([b"", b"words"]))
    def accept(self, data: Any, message: str, body: bytes) -> None:
        change = self.change(message, data, accepts=True)
        known = AT.message(message) in self.model.hashes
        with self.one_write(message):
            real = self.server.run(self.scripts.accept(AT, message, change, body, "minute"))
            assert real == self.model.accept(AT, message, change, body, "minute")
        assert (real == "exists") is known

    @rule(data=st.data(), message=messages, off=st.sampled_from([0, 0, 0, -1, 1]))
    def commit(self, data: Any, message: str, off: int) -> None:
        change, version = self.change(message, data), self.version(message, off)
        with self.one_write(message):
            real = self.server.run(self.scripts.commit(AT, message, version, change, "minute"))
            assert real == self.model.commit(AT, message, version, change, "minute")

    @rule(
        data=st.data(),
        message=messages,
        customer=customers,
        off=st.sampled_from([(0, 0), (0, 0), (-1, 0), (0, 1)]),
        caps=st.dictionaries(st.sampled_from(["survey", "*all"]), st.integers(0, 2)),
        opens=st.one_of(st.none(), moments),
        channel=st.sampled_from(CHANNELS),
    )
    def begin(
        self,
        data: Any,
        message: str,
        customer: str,
        off: tuple[int, int],
        caps: dict[str, int],
        opens: int | None,
        channel: str,
    ) -> None:
        change = self.change(message, data, begins=True)
        theirs = int(self.model.hget(AT.customer(customer), "v") or 0)
        versions = self.version(message, off[0]), theirs + off[1]
        more: dict[str, Any] = {
            "keys": (AT.customer(customer), AT.awaiting("live", customer)),
            "caps": [(AT.cap("live", customer, name), limit, FAR_MS) for name, limit in caps.items()],
            "open_until": None if opens is None else self.moment + opens,
            "channel": channel,
            "minute": "minute",
        }
        with self.one_write(message):
            real = self.server.run(self.scripts.begin(AT, message, versions, change, **more))
            assert real == self.model.begin(AT, message, versions, change, **more)

    @rule(message=messages)
    def cancel(self, message: str) -> None:
        now = self.tick()
        with self.one_write(message):
            real = self.server.run(self.scripts.cancel(AT, message, now))
            assert real == self.model.cancel(AT, message, now)

    @rule(message=messages, what=st.sampled_from(["all", "v"]))
    def loses(self, message: str, what: str) -> None:
        """A record lapses, or is damaged."""
        key = AT.message(message)
        if what == "v" and self.model.hget(key, "s") is None:
            return
        command = ("DEL", key) if what == "all" else ("HDEL", key, "v")
        assert self.server.run(self.scripts.pipe.send(*command)) == self.model.command(*command)
        if what == "v":
            command = ("HSET", key, "v", self.written)
            self.server.run(self.scripts.pipe.send(*command))
            self.model.command(*command)

    @rule(customer=customers, message=messages)
    def cap_ages(self, customer: str, message: str) -> None:
        """A use of the cap moves out of its window."""
        command = ("ZADD", AT.cap("live", customer, "survey"), self.tick() - 2 * FAR_MS, message)
        assert self.server.run(self.scripts.pipe.send(*command)) == self.model.command(*command)

    # Handing out

    @rule(
        lease=st.sampled_from([-1000, FAR_MS]),
        due=st.tuples(few, few, few),
        permits=st.dictionaries(st.sampled_from(CHANNELS), st.tuples(few, few, few)),
        taker=st.sampled_from(["one", "two"]),
    )
    def take(self, lease: int, due: tuple[int, int, int], permits: dict[str, tuple[int, int, int]], taker: str) -> None:
        self.tick()
        self.scripts.taker = taker
        limits = dict(zip(LANES, due, strict=True))
        real = self.server.run(self.scripts.take(AT.number, lease, limits, permits))
        wanted = self.model.take(AT.number, lease, limits, permits, taker=taker)
        assert (real.items, real.gone) == (wanted.items, wanted.gone)
        assert (real.next_due is None) == (wanted.next_due is None)

    @rule(
        channel=st.sampled_from(CHANNELS),
        lane=lanes,
        who=st.sets(members),
        ahead=st.sampled_from([None, FAR_MS * 3 // 2]),
    )
    def rouse(self, channel: str, lane: Lane, who: set[str], ahead: int | None) -> None:
        beyond = self.tick() + ahead if ahead is not None else 0
        real = self.server.run(self.scripts.rouse(AT, channel, lane, sorted(who), beyond))
        assert real == self.model.rouse(AT, channel, lane, sorted(who), beyond)

    # The rest

    @rule(item=items)
    def note(self, item: str) -> None:
        self.tick()
        real = self.server.run(self.scripts.note(AT, item, b"said", 10 * FAR_MS))
        assert real == self.model.note(AT, item, b"said", 10 * FAR_MS)

    @rule(item=items)
    def settle(self, item: str) -> None:
        self.tick()
        self.server.run(self.scripts.settle(AT, f"i:{item}", b"understood", FAR_MS))
        self.model.settle(AT, f"i:{item}", b"understood", FAR_MS)

    @rule(
        customer=customers,
        off=st.sampled_from([0, 0, 1, None]),
        lines=st.lists(st.just(b"line"), max_size=2),
        told=st.lists(st.just(b"told"), max_size=2),
    )
    def put_customer(self, customer: str, off: int | None, lines: list[bytes], told: list[bytes]) -> None:
        self.tick()
        self.written += 1
        known = int(self.model.hget(AT.customer(customer), "v") or 0)
        expected, state = None if off is None else known + off, b"person %d" % self.written
        more = (expected, state, lines, told, 50 * FAR_MS)
        assert self.server.run(self.scripts.put_customer(AT, customer, *more)) == self.model.put_customer(
            AT, customer, *more
        )

    @rule(customer=customers, once=st.sampled_from(["one", "two"]))
    def tell(self, customer: str, once: str) -> None:
        self.tick()
        line = AT, customer, once.encode(), 50 * FAR_MS, once, 10 * FAR_MS
        assert self.server.run(self.scripts.tell(*line)) == self.model.tell(*line)

    @rule(member=members)
    def bury(self, member: str) -> None:
        self.tick()
        self.server.run(self.scripts.bury(AT, member, "why"))
        self.model.bury(AT, member, "why")

    @rule(member=members, retry=st.booleans())
    def exhume(self, member: str, retry: bool) -> None:
        self.tick()
        more: dict[str, Any] = {"retry": retry, "stands": (f"-{WAITS}", f"+{TOLD}"), "keep_stands": 10 * FAR_MS}
        assert self.server.run(self.scripts.exhume(AT, member, **more)) == self.model.exhume(AT, member, **more)

    @rule(wanted=st.integers(-3, 5), critical=st.booleans(), burst=st.sampled_from([1, 8]))
    def tokens(self, wanted: int, critical: bool, burst: int) -> None:
        self.tick()
        key, rate = f"{{rate:{burst}}}", 0.0001
        real = self.server.run(self.scripts.tokens(key, rate, burst, wanted, critical=critical))
        assert real[0] == self.model.tokens(key, rate, burst, wanted, critical=critical)[0]

    @rule(member=members)
    def failed(self, member: str) -> None:
        self.tick()
        real = self.server.run(self.scripts.failed(AT, member, FAR_MS))
        assert real == self.model.failed(AT, member, FAR_MS)

    @rule(customer=customers, off=st.sampled_from([0, 1]))
    def erase(self, customer: str, off: int) -> None:
        version = int(self.model.hget(AT.customer(customer), "v") or 0) + off
        real = self.server.run(self.scripts.erase_customer(AT, customer, version))
        assert real == self.model.erase_customer(AT, customer, version)

    @rule(wanted=st.lists(callers, max_size=3, unique=True), back=st.lists(callers, max_size=2), others=few, limit=few)
    def seats(self, wanted: list[str], back: list[str], others: int, limit: int) -> None:
        self.tick()
        key, limits = "{calls:voice}", (limit, 1)
        real = self.server.run(
            self.scripts.seats(key, limits, wanted, others, lease=FAR_MS, longest=2 * FAR_MS, back=back)
        )
        assert real == self.model.seats(key, limits, wanted, others, lease=FAR_MS, longest=2 * FAR_MS, back=back)

    @rule(who=callers, limit=st.integers(1, 3), then=st.sampled_from(["counts", "goes back", "ages"]))
    def use(self, who: str, limit: int, then: str) -> None:
        self.tick()
        real = self.server.run(self.scripts.use("{uses}", limit, FAR_MS, who))
        assert (real is None) == (self.model.use("{uses}", limit, FAR_MS, who) is None)
        if then == "goes back":
            self.server.run(self.scripts.unuse("{uses}", who))
            self.model.unuse("{uses}", who)
        elif then == "ages":
            command = ("ZADD", "{uses}", self.moment - 2 * FAR_MS, who)
            assert self.server.run(self.scripts.pipe.send(*command)) == self.model.command(*command)

    @rule(known=st.booleans(), new=st.sampled_from([b"open", b"shut"]))
    def swap(self, known: bool, new: bytes) -> None:
        old = (self.model.hget("{shared}", "sms:breaker") or b"") if known else b"something else"
        real = self.server.run(self.scripts.swap("{shared}", "sms:breaker", old, new))
        assert real == self.model.swap("{shared}", "sms:breaker", old, new)

    # What always holds

    @invariant()
    def same_contents(self) -> None:
        if not hasattr(self, "model"):
            return
        self.tick()
        held, lives = self.server.run(contents_of(self.server.client))
        assert differences(self.model, held, lives) == []
        bells, self.model.bells[:] = list(self.model.bells), []
        assert self.server.run(self.server.rung()) == bells

    @invariant()
    def what_lives_will_be_looked_at(self) -> None:
        """A live record is on its lane's agenda or in the morgue; the agenda of no other lane knows it."""
        if not hasattr(self, "model"):
            return
        for message, lane in self.lane.items():
            fields = self.model.hashes.get(AT.message(message))
            if fields is None:
                continue
            on = [one for one in LANES if f"m:{message}" in self.model.zsets.get(AT.agenda(one), {})]
            assert on in ([], [lane])
            if "d" not in fields:
                assert on or f"m:{message}" in self.model.zsets.get(AT.morgue, {})

    @invariant()
    def lines_hold_what_has_begun_nothing(self) -> None:
        """Whatever stands in a line stands on the agenda too, unless its record is gone or buried."""
        if not hasattr(self, "model"):
            return
        for message, lane in self.lane.items():
            fields = self.model.hashes.get(AT.message(message))
            if fields is None or "why" in fields or "d" in fields:
                continue
            for channel in CHANNELS:
                if f"m:{message}" in self.model.zsets.get(AT.line(channel, lane), {}):
                    assert f"m:{message}" in self.model.zsets.get(AT.agenda(lane), {})


def test_the_scripts_do_what_the_model_says(redis_server: str) -> None:
    """G3, G8: liveness, versions and refusals of every script, in any order."""
    Machine.server = Server(redis_server)
    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=LONG or 50,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
                database=None,
                derandomize=not LONG,
                phases=[Phase.generate, Phase.shrink] if LONG else [Phase.generate],
            ),
        )
    finally:
        Machine.server.close()
