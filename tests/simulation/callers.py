"""The callers of a storm, and the people they write to: what they ask for, and what they change meanwhile."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

import msgspec

from gateway.app import Gateway
from gateway.channels.base import Inbound
from gateway.delivery.intake import NewMessage, Origin
from gateway.message import Message
from gateway.prompts import Prompt
from tests.simulation.sayings import TEXTS, Said
from tests.simulation.scale import Scale
from tests.simulation.world import World
from tests.support.virtual import EPOCH_MS

CATEGORIES: Final = (
    "outage",
    "outage",
    "outage",
    "code",
    "code",
    "service",
    "reply",
    "follow_up",
    "survey",
    "marketing",
)


class Rage:
    """The callers of a storm."""

    def __init__(self, world: World, random: Random, scale: Scale, *, calm: bool) -> None:
        self.world = world
        self.random = random
        self.scale = scale
        self.calm = calm
        self.accepted: dict[str, Message] = {}
        self.said: dict[str, Said] = {}
        self.people = [f"c{n}" for n in range(scale.people)]
        self._free = [f"+3069123{n:05d}" for n in range(60)]
        self.phones = {name: self._free.pop() for name in self.people}
        if random.random() < 0.3:
            self.phones[self.people[1]] = self.phones[self.people[0]]
        self._n = 0
        self._moving = asyncio.Lock()

    def number(self) -> int:
        """A new number, for ids."""
        self._n += 1
        return self._n

    async def move_in(self) -> None:
        """The people come to be."""
        for name in self.people:
            await self._move(name)
            order = ["sms", "email", "wechat", "voice"]
            self.random.shuffle(order)
            wishes: dict[str, Any] = {"channels": order[: self.random.randint(1, 4)]}
            if self.random.random() < 0.3:
                wishes["quiet_hours"] = {"start": "08:00", "end": "10:40"}
            await self._surely(lambda g, n=name, w=wishes: g.people.put_preferences(n, w))
            if self.random.random() < 0.5:
                told = {"channel": "*", "category": "marketing", "state": "granted", "way": "form", "wording": "Yes."}
                await self._surely(lambda g, n=name, t=told: g.people.add_consent(n, t))

    async def _move(self, name: str) -> None:
        found = [
            {"channel": "sms", "value": self.phones[name]},
            {"channel": "voice", "value": self.phones[name]},
            {"channel": "email", "value": f"{name}@example.org"},
            {"channel": "wechat", "value": f"openid-{name}"},
        ]
        await self._surely(lambda g: g.people.put(name, {"locale": "en", "addresses": found}))

    async def _surely(self, what: Callable[[Gateway], Coroutine[Any, Any, object]]) -> None:
        while await self.world.ask(what) is None:
            pass

    def wanted(self) -> NewMessage:
        """Some message."""
        r = self.random
        reach: dict[str, Any] = {}
        if r.random() < 0.5:
            reach = {"until": r.choice(("accepted", "delivered", "delivered", "acknowledged"))}
            reach |= {"step": r.randint(2, 6), "within": r.randint(8, 40), "rounds": r.choice((1, 1, 2, 3))}
            reach |= {
                "mode": r.choice(("in_turn", "in_turn", "all_at_once")),
                "unproven": r.choice(("settle", "go_on")),
            }
        later = EPOCH_MS + self.world.loop.ms() + r.randint(1000, 15000) if r.random() < 0.1 else None
        return NewMessage(
            customer=r.choice(self.people),
            category=r.choice(CATEGORIES),
            content={"text": "News."},
            reach=reach,
            priority=r.choice((None, None, None, "bulk")),
            prompt=Prompt(kind="yes_no", question="Is it on again?") if r.random() < 0.2 else None,
            thread=r.choice(("t1", "t2")) if r.random() < 0.4 else None,
            send_at=later,
            expires_at=EPOCH_MS + self.world.loop.ms() + r.randint(16000, 40000) if r.random() < 0.1 else None,
        )

    async def one(self) -> None:
        """Somebody sends a message, and asks again with the same origin while nobody answers."""
        new, origin = self.wanted(), self._origin()
        # Who lost the answer on the way asks once more.
        for _ in range(1 + (self.random.random() < 0.25)):
            answer = await self.world.ask(lambda g: g.intake.accept("live", new, origin))
            if answer is not None:
                self._keep(answer[0])

    async def regrets(self) -> None:
        """Somebody sends a message, and the person switches its category off in the same moment."""
        new, origin = self.wanted(), self._origin()
        answer = await self.world.ask(lambda g: g.intake.accept("live", new, origin))
        if answer is not None:
            self._keep(answer[0])
            await asyncio.sleep(self.random.random() * 0.01)
            await self._refuses(answer[0].customer, answer[0].category)

    async def batch(self) -> None:
        """Somebody sends several."""
        news, origin = [self.wanted() for _ in range(4)], self._origin()
        if self.random.random() < 0.7:
            # To one person, of a kind that is capped.
            news = [
                msgspec.structs.replace(new, customer=news[0].customer, category="code", priority=None) for new in news
            ]
        answer = await self.world.ask(lambda g: g.intake.accept_many("live", news, origin))
        for message in answer or ():
            if isinstance(message, Message):
                self._keep(message)

    def _origin(self) -> Origin:
        return Origin(b"%d" % self.number(), EPOCH_MS + self.world.loop.ms())

    def _keep(self, message: Message) -> None:
        self.accepted[message.id] = message
        self.world.store.note_down("caller", "accepted", message.id, message.category)

    async def cancels(self) -> None:
        """Somebody cancels a message."""
        if self.accepted:
            chosen = self.random.choice(list(self.accepted))
            await self.world.ask(lambda g: g.messages.cancel(chosen))

    async def acknowledges(self) -> None:
        """Somebody says that a person knows."""
        if self.accepted:
            chosen = self.random.choice(list(self.accepted))
            if await self.world.ask(lambda g: g.receipts.acknowledge(chosen, "desk")) is not None:
                self.world.store.note_down("caller", "knows", chosen)

    async def writes(self) -> None:
        """A person writes: STOP, START, an answer."""
        name, text, now = self.random.choice(self.people), self.random.choice(TEXTS), self.world.loop.ms()
        said = Said(name, self.phones[name], text, now, f"in{self.number()}")
        self.said[said.id] = said
        self.world.store.note_down("person", "writes", name, text, detail=said.id)
        if await self.world.ask(lambda g: _takes(g, said)):
            self.world.store.note_down("person", "told", said.id)

    async def refuses(self) -> None:
        """A person switches a category off."""
        await self._refuses(self.random.choice(self.people), self.random.choice(CATEGORIES))

    async def _refuses(self, name: str, category: str) -> None:
        wish, asked = {"categories": {category: {"enabled": False}}}, self.world.loop.ms()
        if await self.world.ask(lambda g: g.people.put_preferences(name, wish)) is not None:
            self.world.store.note_down("caller", "refused", name, category, detail=str(asked))

    async def moves(self) -> None:
        """A person gets another number."""
        name = self.random.choice(self.people)
        async with self._moving:
            before = self.phones[name]
            self.phones[name] = self._free.pop()
            await self._move(name)
            self.world.store.note_down("caller", "moved", name, before)

    async def pauses(self) -> None:
        """An operator pauses a channel for a while."""
        channel = self.random.choice(("sms", "email", "wechat"))
        await self._surely(lambda g: _told(g.boards["live"].pause(channel, "maintenance", "op")))
        self.world.store.note_down("operator", "paused", channel)
        await asyncio.sleep(self.random.random() * 8)
        await self._surely(lambda g: _told(g.boards["live"].pause(channel, None, "op")))
        self.world.store.note_down("operator", "resumed", channel)

    def crowd(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Who comes, in no order."""
        r, scale = self.random, self.scale
        acts: list[Callable[[], Coroutine[Any, Any, None]]] = [self.one] * r.randint(*scale.messages)
        acts += [self.batch] * r.randint(0, scale.batches)
        many = (
            (self.cancels, 3),
            (self.acknowledges, 2),
            (self.writes, 8),
            (self.regrets, 4),
            (self.refuses, 2),
            (self.moves, 3),
        )
        crossing = [act for act, most in many for _ in range(r.randint(0, math.ceil(most * scale.crossings)))]
        r.shuffle(crossing)
        acts += crossing[: scale.picked]
        return acts if self.calm else acts + [self.pauses] * r.randint(0, 1)


async def _takes(gateway: Gateway, said: Said) -> bool:
    """A text comes in, as a provider's callback brings it."""
    at = EPOCH_MS + said.at
    inbound = Inbound(id=said.id, channel="sms", sender=said.sender, text=said.text, at=at)
    await gateway.inbox.note("live", inbound)
    await gateway.inbox.at_once("live", inbound)
    return True


async def _told(work: Coroutine[Any, Any, None]) -> bool:
    await work
    return True
