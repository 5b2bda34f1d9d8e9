"""The world the carriers reach: people's devices, what arrived there, and how much each carrier took."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from msgspec import Struct

from .clock import Clock
from .items import Call, Chat, Device, Item, Mail, Person, Text, Way

Kind = TypeVar("Kind", Text, Call, Mail, Chat)
KEYS_KEPT = 500_000


class Problem(Struct):
    """Something a carrier would complain about in its console, such as a callback that failed."""

    at: int
    carrier: str
    text: str


class Subscription:
    """The people whose devices changed since the last look: bounded by their number, never by the traffic."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._event = asyncio.Event()

    def mark(self, person: str) -> None:
        """Notes a change; an empty id stands for the carriers' counters."""
        self._changed[person] = None
        self._event.set()

    async def next(self) -> list[str]:
        """Waits for a change and returns the ids of all that changed."""
        await self._event.wait()
        self._event.clear()
        changed, self._changed = list(self._changed), {}
        return changed


class World:
    """Devices by person, kept in memory and bounded: the oldest item and the longest untouched stranger go first."""

    def __init__(self, clock: Clock, *, history: int = 200, devices: int = 10_000) -> None:
        self.clock = clock
        self.devices: OrderedDict[str, Device] = OrderedDict()
        self.accepted: Counter[str] = Counter()
        self.problems: deque[Problem] = deque(maxlen=50)
        self._copies: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._by_address: dict[tuple[Way, str], Device] = {}
        self._history = history
        self._room = devices
        self._subscriptions: set[Subscription] = set()

    def introduce(self, person: Person) -> Device:
        """Adds a person with all their addresses, replacing an earlier one of the same id."""
        old = self.devices.get(person.id)
        device = Device(person=person, items=old.items if old else deque(maxlen=self._history), introduced=True)
        if old is not None:
            self._forget(old)
        self._put(device)
        return device

    def _put(self, device: Device) -> None:
        self.devices[device.person.id] = device
        for address in _addresses(device.person):
            self._by_address[address] = device

    def _forget(self, device: Device) -> None:
        del self.devices[device.person.id]
        for address in _addresses(device.person):
            if self._by_address.get(address) is device:
                del self._by_address[address]

    def device(self, way: Way, address: str) -> Device:
        """The device an address belongs to; a stranger's is made."""
        address = _normal(way, address)
        device = self._by_address.get((way, address))
        if device is None:
            while len(self.devices) >= self._room and (stranger := self._oldest_stranger()) is not None:
                self._forget(stranger)
            person = Person(id=f"{way}:{address}", name=address)
            setattr(person, way, address)
            device = Device(person=person, items=deque(maxlen=self._history))
            self._put(device)
        return device

    def _oldest_stranger(self) -> Device | None:
        return next((device for device in self.devices.values() if not device.introduced), None)

    def add(self, device: Device, item: Item) -> None:
        """Something new on a device."""
        device.items.append(item)
        device.unread += 0 if not isinstance(item, Mail) and item.mine else 1
        device.touched = self.clock.now()
        self.devices.move_to_end(device.person.id)
        self.changed(device)

    def changed(self, device: Device | None) -> None:
        """Tells the subscribers; None means the counters or a switch."""
        for subscription in self._subscriptions:
            subscription.mark(device.person.id if device else "")

    @contextmanager
    def subscribe(self) -> Generator[Subscription]:
        """A subscription to all changes, for as long as the block runs."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def until(self, fact: Callable[[], bool], timeout: float = 10.0) -> None:
        """Waits until ``fact`` holds; raises TimeoutError after ``timeout`` real seconds."""
        with self.subscribe() as subscription:
            async with asyncio.timeout(timeout):
                while not fact():
                    await subscription.next()

    def took(self, carrier: str, key: str) -> None:
        """Counts a request that a carrier accepted; ``key`` is what tells a repeat from a new one."""
        self.accepted[carrier] += 1
        slot = (carrier, key)
        self._copies[slot] = self._copies.get(slot, 0) + 1
        if len(self._copies) > KEYS_KEPT:
            self._copies.popitem(last=False)
        self.changed(None)

    def copies(self, carrier: str, part: str = "") -> dict[str, int]:
        """How many copies a carrier took of each key; ``part`` keeps only the keys that contain it."""
        return {key: count for (name, key), count in self._copies.items() if name == carrier and part in key}

    def problem(self, carrier: str, text: str) -> None:
        """Notes what the carrier's own console would show."""
        self.problems.append(Problem(self.clock.now(), carrier, text))
        self.changed(None)

    def texts(self, number: str) -> list[Text]:
        """The SMS seen on a phone, oldest first."""
        return self._items("phone", number, Text)

    def calls(self, number: str) -> list[Call]:
        """The calls a phone had, oldest first."""
        return self._items("phone", number, Call)

    def mails(self, address: str) -> list[Mail]:
        """What lies in a mailbox, oldest first."""
        return self._items("email", address, Mail)

    def chats(self, openid: str) -> list[Chat]:
        """A person's WeChat conversation with the account, oldest first."""
        return self._items("openid", openid, Chat)

    def _items(self, way: Way, address: str, kind: type[Kind]) -> list[Kind]:
        device = self._by_address.get((way, _normal(way, address)))
        return [item for item in device.items if isinstance(item, kind)] if device else []


def _normal(way: Way, address: str) -> str:
    return address.lower() if way == "email" else address


def _addresses(person: Person) -> list[tuple[Way, str]]:
    pairs: list[tuple[Way, str]] = [("phone", person.phone), ("email", person.email), ("openid", person.openid)]
    return [(way, _normal(way, address)) for way, address in pairs if address]
