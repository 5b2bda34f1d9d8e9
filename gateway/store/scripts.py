"""The Lua scripts, each behind a typed function: the signature is the calling contract.

Python decides, Lua compares a version and swaps; state, index, event and counter change in one script or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.message import LANES, Lane
from gateway.store.changes import Change, Haul, Outcome, Taken, bell, place, thread, timeline
from gateway.store.customer_scripts import CustomerScripts
from gateway.store.keys import Partition, partition
from gateway.store.stream import Command, size_of


class Scripts(CustomerScripts):
    """The scripts on one server. `urgent` is a stream of commands of its own, for what is critical.

    What a fail-over must not undo (accept, begin, cancel, note, a customer's record) waits for as many replicas as
    `replication` says, and raises NotReplicated without them.
    """

    async def accept(self, at: Partition, message: str, change: Change, body: bytes, minute: str) -> Outcome:
        """Let a message in; nothing changes when its id "exists", or its "customer" doesn't."""
        command = self._accept(at, message, change, body, minute)
        pipe = self.urgent if change.lane == "critical" else self.pipe
        return (await pipe.send(*command, size=size_of(command), durable=True))[0].decode()

    async def accept_all(self, at: Partition, changes: Sequence[tuple[str, Change]], minute: str) -> list[Outcome]:
        """As `accept`, for many that leave together and stand in nobody's way: what became of each, in their order."""
        last = len(changes) - 1
        commands = [
            self._accept(at, message, change, b"", minute, ring=n == last)
            for n, (message, change) in enumerate(changes)
        ]
        answers = await self.pipe.send_all([(command, True) for command in commands])
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [answer[0].decode() for answer in answers]

    def _accept(
        self, at: Partition, message: str, change: Change, body: bytes, minute: str, *, ring: bool = True
    ) -> Command:
        keys = [at.message(message), at.body(message), at.agenda(change.lane), at.events, minute, thread(at, change)]
        keys += [change.customer or f"{at.prefix}c:none", timeline(at, change)]
        args = [
            at.prefix,
            message,
            change.state,
            body,
            change.lane,
            _text(change.wake),
            bell(at, change) if ring else "",
            change.event,
            " ".join(change.counters),
            " ".join(change.index),
            place(change),
            "1" if change.done else "",
            change.keep_record,
            change.keep_body,
            "1" if change.customer else "",
            " ".join(change.stands),
            change.keep_stands,
            change.keep_told,
            *map(_text, change.places.values()),
            *change.told,
        ]  # fmt: skip - the script's own order
        return self._call("accept", [*keys, *change.places], args)

    async def commit(
        self, at: Partition, message: str, version: int, change: Change, minute: str
    ) -> tuple[Outcome, int]:
        """Swap a message's state if its version is still `version`; the new version."""
        keys = [at.message(message), at.body(message), at.agenda(change.lane), at.events, minute, thread(at, change)]
        keys.append(timeline(at, change))
        args = [
            at.prefix,
            message,
            version,
            change.state,
            _text(change.wake),
            bell(at, change),
            change.event,
            " ".join(change.counters),
            " ".join(change.index),
            place(change),
            "1" if change.done else "",
            change.keep_record,
            change.keep_body,
            " ".join(change.stands),
            change.keep_stands,
            *map(_text, change.places.values()),
            *change.told,
        ]  # fmt: skip - the script's own order
        answer = await self._run("commit", [*keys, *change.places], args, urgent=change.lane == "critical")
        return answer[0].decode(), int(answer[1]) if len(answer) > 1 else version

    async def begin(
        self,
        at: Partition,
        message: str,
        versions: tuple[int, int],
        change: Change,
        *,
        keys: tuple[str, str],
        caps: Sequence[tuple[str, int, int]],
        open_until: int | None,
        channel: str,
        minute: str,
    ) -> tuple[Outcome, int]:
        """Record an attempt before its provider is called. `versions`: the message's and the customer's.

        `keys`: the customer's record, the open prompts. `caps`: the key of each, its limit, its window in ms.
        "customer": the customer has changed since the decision; "cap": under one of the caps there is no room any more.
        """
        customer, awaiting = keys
        capped = [key for key, _, _ in caps]
        names = [at.message(message), customer, at.agenda(change.lane), at.events, minute, awaiting, *capped]
        args = [
            message,
            versions[0],
            versions[1],
            change.state,
            _text(change.wake),
            _text(open_until),
            channel,
            " ".join(change.counters),
            len(caps),
            *(number for _, limit, window in caps for number in (limit, window)),
            *map(_text, change.places.values()),
        ]  # fmt: skip - the script's own order
        answer = await self._run(
            "begin", [*names, *change.places], args, urgent=change.lane == "critical", durable=True
        )
        return answer[0].decode(), int(answer[1]) if len(answer) > 1 else versions[0]

    async def take(
        self,
        number: int,
        lease: int,
        due: Mapping[Lane, int],
        permits: Mapping[str, tuple[int, int, int]],
        *,
        wall: int | None = None,
    ) -> Haul:
        """Hand out what partition `number` has ready.

        `due`: how many due agenda members of each lane at most. `permits`: by channel, how many may go out, how many of
        them may be other than critical, and how many of those are kept for bulk. Members get a lease (ms). `wall`: the
        taker's own clock (ms); nothing is handed out if it differs from the server's by more than five seconds.
        """
        at = partition(number)
        keys = [at.agenda(lane) for lane in LANES] + [at.line(channel, lane) for channel in permits for lane in LANES]
        counts = [*(due.get(lane, 0) for lane in LANES), *(n for p in permits.values() for n in p)]
        now, soonest, items, gone = await self._run(
            "take", keys, [at.prefix, lease, self.taker, _text(wall), *counts], urgent=True
        )
        names: list[str | None] = [None, None, None, *(channel for channel in permits for _lane in LANES)]
        found = tuple(
            Taken(m.decode(), _version(v), s, _plain(sup), _plain(can), int(t), names[int(i) - 1])
            for i, m, v, s, sup, can, t in items
        )
        return Haul(int(now), None if soonest == -1 else int(soonest), found, int(gone))

    async def hand_back(self, at: Partition, member: str) -> None:
        """Say that whoever took a record is alive, though they came to no result."""
        await self.urgent.send("HDEL", at.member(member), "by")

    async def failed(self, at: Partition, member: str, again: int) -> int:
        """Count that work on a record has failed; how often since the last result (0: it is gone). `again`: rest, ms."""
        keys = [at.member(member), *map(at.agenda, LANES)]
        return int((await self._run("failed", keys, [member, again], urgent=True))[0])

    async def cancel(self, at: Partition, message: str, now: int) -> Outcome:
        """Mark a message cancelled and wake it."""
        return (await self._run("flag", [at.message(message)], [at.prefix, message, now], urgent=True, durable=True))[
            0
        ].decode()

    async def note(self, at: Partition, item: str, state: bytes, keep: int) -> Outcome:
        """Keep something that came in, once; `keep`: how long a repeat is recognised, ms."""
        keys = [at.seen(item), at.member(f"i:{item}"), at.agenda("critical")]
        args = [item, state, keep, f"critical:{at.number}:"]
        return (await self._run("note", keys, args, urgent=True, durable=True))[0].decode()

    async def settle(self, at: Partition, member: str, state: bytes, keep: int) -> None:
        """An inbound item has been worked off; its record stays for `keep` ms."""
        await self._run("settle", [at.member(member), at.agenda("critical")], [member, state, keep], urgent=True)

    async def tokens(self, key: str, rate: float, burst: int, wanted: int, *, critical: bool) -> tuple[int, int]:
        """Take up to `wanted` tokens: how many were granted, and ms until the next one."""
        granted, wait = await self._run("tokens", [key], [rate, burst, wanted, "1" if critical else ""], urgent=True)
        return int(granted), int(wait)

    async def seats(
        self,
        key: str,
        limits: tuple[int, int],
        names: Sequence[str],
        others: int,
        *,
        lease: int,
        longest: int,
        back: Sequence[str] = (),
    ) -> tuple[int, int]:
        """Give seats back, and take one for each of `names` as far as there are any; how many, and how many for others.

        `limits`: seats there are, and how many of them are for critical messages alone. `others`: how many are wanted
        for others. A seat lapses after `lease` ms; no seat is given for longer than `longest` ms.
        """
        args = [*limits, others, lease, longest, len(back), *back, *names]
        granted, plain = await self._run("seats", [key], args, urgent=True)
        return int(granted), int(plain)

    async def use(self, key: str, limit: int, window: int, who: str) -> int | None:
        """Count one use of what may be used `limit` times in any `window` ms; else when (ms) there is room, and no count."""
        room = int((await self._run("use", [key], [limit, window, who], urgent=True))[0])
        return room or None

    async def unuse(self, key: str, who: str) -> None:
        """Take a use back that came to nothing."""
        await self.urgent.send("ZREM", key, who)

    async def swap(self, key: str, field: str, old: bytes, new: bytes, *, durable: bool = False) -> tuple[bool, bytes]:
        """Put a value into a field of a hash if it holds `old` (b"": nothing); whether it did, and what it holds now."""
        done, held = await self._run("swap", [key], [field, old, new], urgent=True, durable=durable)
        return bool(done), held

    async def bury(self, at: Partition, member: str, reason: str) -> None:
        """Put a record that nobody can work off into the morgue."""
        keys = [at.member(member), at.morgue, *map(at.agenda, LANES)]
        await self._run("bury", keys, [member, reason], urgent=True)

    async def exhume(
        self, at: Partition, member: str, *, retry: bool, stands: Sequence[str] = (), keep_stands: int = 0
    ) -> Outcome:
        """Take a record out of the morgue, back to work or away for good; "gone": it wasn't there.

        `stands`: where a message that goes away stands in its broadcast then (`store.derived`), for `keep_stands` ms.
        """
        lane = (await self.pipe.send("HGET", at.member(member), "l") or b"critical").decode()
        name = member.partition(":")[2]
        keys = [at.member(member), at.agenda(lane), at.morgue, at.body(name)]
        args = [member, "retry" if retry else "discard", name, " ".join(stands), keep_stands]
        return (await self._run("exhume", keys, args))[0].decode()

    async def rouse(self, at: Partition, channel: str, lane: Lane, members: Sequence[str], beyond: int = 0) -> int:
        """Wake those who still stand in a line and would look by themselves only after `beyond` (ms); how many."""
        keys = [at.line(channel, lane), at.agenda(lane)]
        answer = await self._run("rouse", keys, [f"{lane}:{at.number}:", beyond, *members], urgent=True)
        return int(answer[0])


def _text(value: int | None) -> str | int:
    return "" if value is None else value


def _version(raw: bytes | None) -> int:
    """A record's version; -1, which no commit can match, for a record that has lost it: its own work must fail, not the take."""
    return int(raw) if raw is not None and raw.isdigit() else -1


def _plain(raw: bytes) -> str:
    return raw.decode(errors="replace")
