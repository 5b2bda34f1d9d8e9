"""The core of a gateway on a real Redis, with plug-in channels that do as told.

Time passes by ageing: `Core.age` moves every time in a record into the past and wakes it, so that nothing sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import aiohttp
import msgspec
from redis.asyncio import Redis
from redis.exceptions import WatchError

from gateway.app import Gateway
from gateway.channels.base import Channel, Inbound
from gateway.customer import Customer
from gateway.delivery.intake import NewMessage
from gateway.delivery.worker import Worker
from gateway.message import Message, Mode
from gateway.settings import load
from gateway.settings_types import ChannelSettings
from gateway.store.clock import Clock
from gateway.store.connect import connect
from gateway.store.ids import place_of
from gateway.store.keys import Partition
from gateway.store.pipe import Replication
from gateway.store.scripts import Scripts
from tests.support.scripted import Hang, Scripted
from tests.support.waiting import looked

__all__ = ["Core", "Hang", "Scripted", "core", "until", "where"]

T = TypeVar("T")
LOOK_S: Final = 0.01
PATIENCE_S: Final = 20.0
SECRET: Final = secrets.token_hex(32)
PEPPER: Final = secrets.token_bytes(32)
PHONE: Final = "+306912345601"
OTHER_PHONE: Final = "+306912345602"
MAIL: Final = "maria@example.org"
ALWAYS_FREE: Final = 10_000.0
"""Messages a second: so many that no test waits for them."""


class Core:
    """One gateway process without its listeners."""

    def __init__(self, gateway: Gateway, client: Redis) -> None:
        self.gateway = gateway
        self.client: Any = client  # redis-py's own types are partly unknown
        self._running: list[tuple[Worker, asyncio.Task[None]]] = []

    async def person(
        self, name: str, *, categories: Any = None, channels: Sequence[str] = (), **addresses: str
    ) -> None:
        """Store a customer with these addresses, wanted in this order."""
        found = [{"channel": channel, "value": value} for channel, value in addresses.items()]
        await self.gateway.people.put(name, {"locale": "en", "addresses": found})
        order: dict[str, Any] = {"channels": list(channels or addresses)}
        await self.gateway.people.put_preferences(name, order | ({"categories": categories} if categories else {}))

    async def customer(self, name: str) -> Customer:
        """A customer as stored."""
        found = await self.gateway.customers.load(name)
        assert found is not None
        return found[0]

    async def send(self, customer: str, category: str = "outage", *, mode: Mode = "live", **more: Any) -> Message:
        """Accept one message."""
        new = _asked(customer, category, more)
        return (await self.gateway.intake.accept(mode, new, self.gateway.intake.origin()))[0]

    async def send_many(self, customers: Sequence[str], category: str = "outage", **more: Any) -> list[Message]:
        """Accept a batch: only checked, the worker decides."""
        news = [_asked(customer, category, more) for customer in customers]
        made = await self.gateway.intake.accept_many("live", news, self.gateway.intake.origin())
        assert all(isinstance(one, Message) for one in made), made
        return cast("list[Message]", made)

    async def message(self, message: Message | str) -> Message:
        """A message as it stands."""
        loaded = await self.gateway.messages.load(message if isinstance(message, str) else message.id)
        assert loaded is not None
        return loaded.message

    async def when(
        self, message: Message | str, holds: Callable[[Message], object], seconds: float = PATIENCE_S
    ) -> Message:
        """A message once something holds for it."""
        last: list[Message] = []

        async def fits() -> bool:
            last[:] = [await self.message(message)]
            return bool(holds(last[0]))

        await until(fits, seconds, lambda: last)
        return last[0]

    async def ended(self, message: Message | str) -> Message:
        """A message once it is done."""
        return await self.when(message, lambda found: found.done)

    async def age(self, message: Message | str, seconds: float) -> None:
        """Let time pass for one message: all its times move into the past, and it is woken."""
        name = message if isinstance(message, str) else message.id
        at, key = where(name), where(name).message(name)
        while True:
            async with self.client.pipeline(transaction=True) as pipe:
                await pipe.watch(key)
                state, lane = await pipe.hmget(key, "s", "l")
                record = msgspec.msgpack.decode(state)
                _shift(record, int(seconds * 1000))
                pipe.multi()
                pipe.hset(key, mapping={"s": msgspec.msgpack.encode(record)})
                pipe.hincrby(key, "v", 1)
                pipe.zadd(at.agenda(lane.decode()), {f"m:{name}": 1})
                with contextlib.suppress(WatchError):
                    await pipe.execute()
                    return

    async def nudge(self, message: Message | str) -> None:
        """Wake a message now, as its agenda would later."""
        name = message if isinstance(message, str) else message.id
        lane = (await self.client.hget(where(name).message(name), "l")).decode()
        await self.client.zadd(where(name).agenda(lane), {f"m:{name}": 1})

    async def wake(self, message: Message | str) -> int | None:
        """When the agenda looks at a message next."""
        name = message if isinstance(message, str) else message.id
        lane = (await self.client.hget(where(name).message(name), "l") or b"critical").decode()
        score = await self.client.zscore(where(name).agenda(lane), f"m:{name}")
        return None if score is None else int(score)

    async def line(self, message: Message | str, channel: str, lane: str = "critical") -> bool:
        """Whether a message stands in a line."""
        name = message if isinstance(message, str) else message.id
        return await self.client.zscore(where(name).line(channel, lane), f"m:{name}") is not None

    async def hears(self, sender: str, text: str, *, mode: Mode = "live", **more: Any) -> str:
        """A person writes, and the worker has worked it off; its outcome."""
        fields: dict[str, Any] = {"id": secrets.token_hex(8), "channel": "sms", "sender": sender, "text": text}
        fields |= {"at": self.gateway.clock.now(), **more}
        inbound = Inbound(**fields)
        assert await self.gateway.inbox.note(mode, inbound) == "ok"
        items = await self.items(sender)
        told = (mode, inbound.channel, inbound.id)
        named = {key: (one["mode"], one["inbound"]["channel"], one["inbound"]["id"]) for key, (_, one) in items.items()}
        [noted] = [key for key, name in named.items() if name == told]
        return await self.worked(noted)

    async def items(self, sender: str) -> dict[str, tuple[int, dict[str, Any]]]:
        """Noted items by key: how long they live, and what is stored."""
        found: dict[str, tuple[int, dict[str, Any]]] = {}
        async for key in self.client.scan_iter(match="*:i:*", count=1000):
            fields = await self.client.hgetall(key)
            with contextlib.suppress(msgspec.DecodeError):
                item = msgspec.msgpack.decode(fields[b"s"])
                if item["inbound"]["sender"] != sender:
                    continue
                found[key.decode()] = (item["inbound"].get("at", 0), item)
        return found

    async def worked(self, item: str) -> str:
        """What became of a noted item."""
        await until(lambda: self.client.hexists(item, "d"))
        return msgspec.msgpack.decode(await self.client.hget(item, "s")).get("outcome", "new")

    def rested(self, channel: str) -> None:
        """The breaker's rest is over: a probe may go out."""
        breaker = self.gateway.boards["live"].posts[channel].breaker
        breaker.facts = msgspec.structs.replace(breaker.facts, open_until=0)

    def work(self) -> Worker:
        """Start a worker."""
        worker = self.gateway.worker()
        self._running.append((worker, asyncio.create_task(worker.run())))
        return worker

    async def stop(self) -> None:
        """Stop all workers as SIGTERM does."""
        for worker, _ in self._running:
            worker.stop()
        await asyncio.gather(*(task for _, task in self._running))
        self._running.clear()

    async def kill(self) -> None:
        """All workers die at once: nothing is finished, nothing is written any more."""
        for worker, task in self._running:
            worker.stop()  # a cancellation can get lost in wait_for on Python 3.11 (cpython issue 86296)
            working = set(worker._working)  # pyright: ignore[reportPrivateUsage] - a kill reaches what is under way too
            for one in (*working, task):
                one.cancel()
            await asyncio.gather(*working, task, return_exceptions=True)
        self._running.clear()


def _asked(customer: str, category: str, more: Mapping[str, Any]) -> NewMessage:
    fields: dict[str, Any] = {"content": {"text": "News."}, **more}
    return NewMessage(customer=customer, category=category, **fields)


def where(message: str) -> Partition:
    """The partition of a message."""
    place = place_of(message)
    assert place is not None
    return place[1]


def _shift(state: dict[str, Any], by: int) -> None:
    for name in ("created_at", "due_at", "expires_at", "send_at", "acknowledged_at"):
        if state.get(name) is not None:
            state[name] -= by
    state["turns"] = {channel: at - by for channel, at in state.get("turns", {}).items()}
    held = state.get("held")
    for place, names in (
        (held, ("since", "until")),
        *((a, ("lease_until", "asked_at")) for a in state.get("attempts", [])),
    ):
        for name in names:
            if place and place.get(name):
                place[name] -= by
    for met in state.get("limited", {}).values():
        met["until"] -= by
    for attempt in state.get("attempts", []):
        attempt["times"] = {name: at - by for name, at in attempt["times"].items()}


async def until(
    condition: Callable[[], Awaitable[T]] | Callable[[], T],
    seconds: float = PATIENCE_S,
    seen: Callable[[], object] = lambda: "",
) -> T:
    """Wait until a condition holds and return what it gave; fails with what was `seen` last."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        found: Any = condition()
        if inspect.isawaitable(found):
            found = await looked(cast("Awaitable[T]", found), end, seen)
        if found:
            return found
        assert loop.time() < end, f"not within {seconds} s: {seen()}"
        await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def core(
    redis_url: str,
    folder: Path,
    *channels: Channel,
    test_channels: Sequence[Channel] = (),
    limits: Mapping[str, ChannelSettings] | None = None,
    categories: Mapping[str, Mapping[str, Any]] | None = None,
    caps: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: str,
) -> AsyncGenerator[Core]:
    """A gateway of these channels; `settings` are variables without their prefix. Ends everything it started."""
    given = {"REDIS_URL": redis_url, "SECRET_KEY": SECRET, "DEFAULT_QUIET_HOURS": "none", **settings}
    loaded = load({f"GATEWAY_{name}": value for name, value in given.items()}, folder, command="dev")
    free = {"voice": ChannelSettings(messages_per_second=ALWAYS_FREE)}
    loaded = msgspec.structs.replace(
        loaded,
        channels={**free, **(limits or {})},
        categories={k: dict(v) for k, v in (categories or {}).items()},
        caps={k: dict(v) for k, v in (caps or {}).items()},
    )
    client = await connect(redis_url, max_connections=32)
    live: dict[str, Channel] = {channel.name: channel for channel in channels}
    test: dict[str, Channel] = {channel.name: channel for channel in test_channels}
    gateway = Gateway(
        settings=loaded,
        client=client,
        session=aiohttp.ClientSession(),
        channels=live,
        test_channels=test,
        scripts=Scripts(client, Replication(loaded.redis_replicas, loaded.redis_replica_timeout)),
        clock=Clock(),
        pepper=PEPPER,
        test_callback_base="http://127.0.0.1:9",
    )
    await gateway.follower.once()
    made = Core(gateway, client)
    try:
        yield made
    finally:
        await made.kill()
        await gateway.close()
