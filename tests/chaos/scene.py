"""Gateway processes over a Redis of the test's choice, between counting carriers: what the tests of Redis in trouble share."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from gateway.store.data_dir import attach
from tests.chaos.rig.callers import Callers, Sent
from tests.chaos.rig.carrier import Carrier
from tests.chaos.rig.installation import SETTINGS, limits, new_key
from tests.chaos.rig.ledger import Ledger, Reckoning
from tests.chaos.rig.mailbox import Mailbox
from tests.chaos.rig.processes import Member
from tests.support.commands import environment, ports
from tests.support.running import HOST, Answer, ask, until

EVERYTHING: Final = "api,worker,callbacks"
ANSWER_S: Final = 8.0
BODY: Final = {"category": "outage", "content": {"text": "x"}}


class Scene:
    """The processes, the carriers, and callers who repeat until they are answered."""

    def __init__(self, members: Mapping[str, Member], callers: Callers, carrier: Carrier, mailbox: Mailbox) -> None:
        """`members`: by the address of their API."""
        self.members = list(members.values())
        self.urls = {member.name: url for url, member in members.items()}
        self.callers = callers
        self.carrier = carrier
        self.ledger = Ledger(callers, carrier, mailbox)
        self._numbers = itertools.count()
        self._load: list[asyncio.Task[Sent]] = []
        self._names = secrets.token_hex(3)

    @property
    def member(self) -> Member:
        """The process that takes requests."""
        return self.members[0]

    def send(self, count: int = 1, category: str = "outage", **more: Any) -> list[asyncio.Task[Sent]]:
        """So many callers start now; each goes on until it is answered with 202."""
        names = [f"{self._names}.{next(self._numbers)}" for _ in range(count)]
        started = [asyncio.create_task(self.callers.send(name, category, **more)) for name in names]
        self._load += started
        return started

    async def accepted(self, count: int, **more: Any) -> list[Sent]:
        """So many messages, all answered with 202."""
        sent = list(await asyncio.gather(*self.send(count, **more)))
        assert all(one.id for one in sent), self.callers.answers
        return sent

    @contextlib.asynccontextmanager
    async def load(self, at_once: int = 6, category: str = "outage", **more: Any) -> AsyncGenerator[None]:
        """While the block runs, `at_once` callers send one message after the other."""
        going = True

        async def send_on() -> None:
            while going:
                await self.send(1, category, **more)[0]

        senders = [asyncio.create_task(send_on()) for _ in range(at_once)]
        try:
            yield
        finally:
            going = False
            await asyncio.gather(*senders)

    async def answered(self, count: int, seconds: float = 20.0) -> None:
        """Wait until so many more requests have been answered with 202."""
        wanted = self.callers.answers["202"] + count
        await until(lambda: self.callers.answers["202"] >= wanted, seconds, self.state)

    async def post(self, member: Member | None = None) -> Answer:
        """One request to one process (the first), whatever comes of it; within the five seconds Redis has, and some."""
        body = {"recipient": {"addresses": [{"channel": "sms", "value": "+447400999999"}]}, **BODY}
        url = self.urls[(member or self.member).name]
        async with asyncio.timeout(ANSWER_S):
            return await ask(self.callers.http, url, self.callers.key, "POST", "/v1/messages", body)

    async def again(self, sent: Sent) -> str:
        """The id in the answer to a request that is repeated word for word; it must be the answer already given."""
        headers = {"Idempotency-Key": f"key-{sent.reference}"}
        where = self.callers
        answer = await ask(where.http, where.url, where.key, "POST", "/v1/messages", sent.body, headers=headers)
        assert (answer.status, answer.headers.get("Idempotency-Replayed")) == (202, "true"), answer
        return answer.body["id"]

    async def refused(self, member: Member | None = None) -> Answer:
        """One request that must be refused as it should be while Redis can't take it."""
        answer = await self.post(member)
        assert (answer.status, int(answer.headers.get("Retry-After", 0)) >= 1) == (503, True), answer
        assert answer.body["type"].endswith("/unavailable"), answer
        return answer

    async def ready(self, seconds: float = 30.0) -> None:
        """Wait until the first process says that all is well."""

        async def well() -> bool:
            return await self.readiness() == (200, {"store": "ok", "worker": "ok", "memory": "ok"})

        await until(well, seconds, self.state)

    async def readiness(self) -> tuple[int, dict[str, str]]:
        """What `/readyz` says."""
        async with self.callers.http.get(f"{self.callers.url}/readyz") as answer:
            return answer.status, (await answer.json())["checks"]

    async def reckon(self, *, bound: float = 15.0) -> Reckoning:
        """Wait until all callers are answered and all messages have ended; nothing may be lost, nothing sent twice."""
        await asyncio.gather(*self._load)
        found = await self.ledger.reckon(bound=bound)
        assert not found.faults, "\n".join([*found.faults[:5], str(self.state())])
        bugs = [line for one in self.members for line in one.bugs()]
        assert not bugs, bugs[:3]
        return found

    def now(self) -> float:
        """The present, as callers note it (monotonic seconds)."""
        return time.monotonic()

    def state(self) -> object:
        """For a failure's message."""
        return Counter(self.callers.answers), [one.last_words()[-600:] for one in self.members]


def settings(folder: Path, url: str | None, secret: str, more: Mapping[str, object]) -> dict[str, str]:
    """The environment of one process."""
    given: dict[str, object] = {
        **SETTINGS,
        **ports(),
        "SECRET_KEY": secret,
        **({} if url is None else {"REDIS_URL": url}),
        **more,
    }
    return environment(folder, **given)


@contextlib.asynccontextmanager
async def scene(
    folder: Path,
    url: str | None,
    *roles: str,
    urls: Sequence[str] = (),
    own: Sequence[Mapping[str, str]] = (),
    timeout: float = 1.0,
    **more: object,
) -> AsyncGenerator[Scene]:
    """Processes with these roles (one with all, if none are named), ready.

    `url`: their Redis; None: an embedded one in `folder`/var. `urls`: other ways to it, process by process; `own`: more
    variables of each. `timeout`: of the carriers, seconds. `more`: settings of all, without their prefix.
    """
    secret = secrets.token_hex(32)
    (folder / "gateway.toml").write_text(limits(timeout))
    async with contextlib.AsyncExitStack() as stack:
        carrier = await stack.enter_async_context(Carrier().open())
        mailbox = await stack.enter_async_context(Mailbox().open())
        given = {
            "TWILIO_API_BASE": f"http://{HOST}:{carrier.port}",
            "SMTP_URL": f"smtp://{HOST}:{mailbox.port}?starttls=never",
            **more,
        }
        members: dict[str, Member] = {}
        for number, role in enumerate(roles or (EVERYTHING,)):
            made = settings(folder, urls[number] if urls else url, secret, given)
            address = f"http://{HOST}:{made['GATEWAY_HTTP_PORT']}"
            made["GATEWAY_PUBLIC_URL"] = next(iter(members), address)
            apart: Mapping[str, str] = own[number] if own else {}
            # A library that replaces the clock must be there from the first instruction on.
            member = Member(f"m{number}", role, folder, {**made, **apart}, warm="LD_PRELOAD" not in apart)
            await member.start()
            stack.push_async_callback(member.end)
            members[address] = member
        await asyncio.gather(*(one.wait_ready() for one in members.values()))
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        key = await new_key(url or attach(folder / "var") or "", secret)
        made_scene = Scene(members, Callers(http, next(iter(members)), key, random.Random(1)), carrier, mailbox)
        await made_scene.ready()
        yield made_scene
