"""`gateway dev --tour`: the story of the spoiled fridge, then the storm, played live on the carriers' look-alikes."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from gateway.cli import tour_plan as plan
from gateway.cli.common import out
from gateway.cli.tour_view import Board, Scene, Stage, doors_table, headline, reached_table, tell
from gateway.cli.tour_words import channel
from gateway.message import Message
from gateway.sandbox.app import Sandbox
from gateway.sandbox.behaviour import Carrier, Delays, State
from gateway.sandbox.people import Sample
from gateway.service import Service

SPEED: Final = 0.4
"""How long the carriers' and the people's seconds are while the tour plays."""
RECEIPTS: Final = (0.3, 2.0)
LOOK_S: Final = 0.25
GIVE_UP_S: Final = 30.0
"""How much longer than a deadline the tour waits for an end before it says that there is none."""
ANA_REACH: Final[dict[str, Any]] = {"until": "acknowledged", "step": 4, "within": 60}
STORM_REACH: Final[dict[str, Any]] = {"until": "delivered", "step": 5, "within": 40, "rounds": plan.ROUNDS}
BEFORE_IT_FAILS: Final = 40
DOWN_S: Final = 5.0
FAILING: Final = "sms"
NOTICE: Final = {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"}


async def play(service: Service, sandbox: Sandbox, key: str, people: Sequence[Sample], stopped: asyncio.Event) -> bool:
    """Play both; True when every outcome was the expected one. Ends early, with False, once `stopped` is set."""
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar()) as http:
        tour = _Tour(service, sandbox, http, stopped)
        with _quickened(sandbox):
            good = await tour.ana(people[0])
            if not stopped.is_set():
                good = await tour.storm(people[1:]) and good
    if stopped.is_set():
        return False
    out.print("[bold green]Every outcome was the expected one.[/]" if good else "[bold red]Not what was expected.[/]")
    return good


@contextlib.contextmanager
def _quickened(sandbox: Sandbox) -> Generator[None]:
    """Faster carriers and people for the tour; afterwards everything is as it was, whatever happens."""
    behaviour, clock = sandbox.behaviour, sandbox.clock
    scale, delays, fates = clock.scale, behaviour.delays, dict(behaviour.carrier_fates)
    clock.scale = SPEED
    behaviour.delays = Delays(receipt=RECEIPTS, answer=delays.answer, reply=delays.reply)
    try:
        yield
    finally:
        clock.scale, behaviour.delays, behaviour.carrier_fates = scale, delays, fates
        behaviour.switch(Carrier(FAILING), State.UP)


class _Tour:
    def __init__(self, service: Service, sandbox: Sandbox, http: aiohttp.ClientSession, stopped: asyncio.Event) -> None:
        self._gateway = service.gateway
        self._url = service.public_url
        self._sandbox = sandbox
        self._http = http
        self._stopped = stopped
        self._queued = plan.Queued()

    async def ana(self, her: Sample) -> bool:
        """One notice to Ana, followed until she presses 1."""
        out.print()
        tell(
            out,
            headline(
                "The spoiled fridge",
                "The power is out. Ana wants to hear of it by WeChat, then SMS, then a call. WeChat refuses, and the SMS "
                "gets no receipt. One call to the API; nobody decides anything by hand from here on.",
            ),
        )
        body = {
            "customer": her.id,
            "category": plan.CATEGORY,
            "template": "outage-notice",
            "data": NOTICE,
            "reach": ANA_REACH,
        }
        made = await self._post("/v1/messages", body)
        with Stage(out) as stage:
            found = await self._follow(made["id"], her, stage)
        if self._stopped.is_set():
            return False
        wrong = plan.deviation(her, plan.expected_of(her, her.fates, ANA_REACH["step"]), found)
        tried = [one.channel for one in found.attempts]
        if wrong is None and (tried != plan.order_of(her) or found.verdict.level != "acknowledged"):
            wrong = plan.Deviation(her.id, "acknowledged by the third channel", f"{found.verdict.level} after {tried}")
        return _name([wrong] if wrong is not None else [])

    async def _follow(self, message_id: str, her: Sample, stage: Stage) -> Message:
        clock, give_up = self._gateway.clock, _seconds(ANA_REACH["within"] + GIVE_UP_S)
        while True:
            look = await self._gateway.intake.look(message_id)
            if look is None:
                raise RuntimeError(f"message {message_id} is gone")
            scene = Scene(look[0], look[1], self._heard(her), clock.now())
            stage.show(scene.picture(), scene.line())
            if scene.message.done or self._stopped.is_set() or _seconds(0) > give_up:
                return scene.message
            await self._pause()

    def _heard(self, her: Sample) -> str:
        calls = self._sandbox.world.calls(her.address("voice"))
        if not calls or calls[-1].over:
            return ""
        said = [line.text for line in calls[-1].lines if line.kind == "say"]
        return f"She hears: “{said[-1]}”" if said else "Her telephone rings."

    async def storm(self, people: Sequence[Sample]) -> bool:
        """One batch to everybody, with the SMS carrier failing half-way."""
        out.print()
        tell(
            out,
            headline(
                "The storm",
                f"{len(people)} customers, one call to the API, each by the channels they chose. Half-way through, the "
                "SMS carrier breaks down for some seconds. Nobody touches anything.",
            ),
        )
        for sample in people:
            for name, fate in plan.STRANDED.get(sample.id, {}).items():
                self._sandbox.behaviour.carrier_fates[Carrier(name), sample.address(name)] = fate
        breakdown = asyncio.create_task(self._breakdown())
        try:
            found = await self._storm(people)
        finally:
            breakdown.cancel()
            await asyncio.gather(breakdown, return_exceptions=True)
        if self._stopped.is_set():
            return False
        return self._report(people, found)

    async def _storm(self, people: Sequence[Sample]) -> dict[str, Message]:
        started = self._gateway.clock.now()
        rows = [
            {
                "customer": sample.id,
                "category": plan.CATEGORY,
                "template": "outage-notice",
                "data": {**NOTICE, "area": sample.customer["attributes"]["area"]},
                "reach": STORM_REACH,
                "reference": "storm",
            }
            for sample in people
        ]
        with Stage(out) as stage:
            made = await self._post("/v1/messages/batch", {"messages": rows})
            ids = {s.id: r["id"] for s, r in zip(people, made["results"], strict=True) if r.get("id")}
            return await self._watch(ids, {s.id: s.customer["name"] for s in people}, started, stage)

    async def _watch(
        self, ids: Mapping[str, str], names: Mapping[str, str], started: int, stage: Stage
    ) -> dict[str, Message]:
        found: dict[str, Message] = {}
        give_up, lines = _seconds(STORM_REACH["within"] + GIVE_UP_S), 0.0
        while True:
            open_ = [customer for customer in ids if customer not in found or not found[customer].done]
            loaded = await asyncio.gather(*(self._gateway.messages.load(ids[customer]) for customer in open_))
            found.update({c: one.message for c, one in zip(open_, loaded, strict=True) if one is not None})
            for one in found.values():
                self._queued.see(one)
            board = Board(found, names, await self._states(), started, self._gateway.clock.now(), self._news())
            over = all(one.done for one in found.values()) and len(found) == len(ids)
            speak = over or _seconds(0) >= lines
            lines = _seconds(2) if speak else lines
            stage.show(board.picture(), board.line() if speak else "")
            if over or self._stopped.is_set() or _seconds(0) > give_up:
                return found
            await self._pause()

    async def _states(self) -> dict[str, str]:
        return {state.name: state.state for state in await self._gateway.board.states()}

    def _news(self) -> str:
        failing = self._sandbox.behaviour.state(Carrier(FAILING)) is not State.UP
        return "[bold red]The SMS carrier answers every request with an error.[/]" if failing else ""

    async def _breakdown(self) -> None:
        world, behaviour = self._sandbox.world, self._sandbox.behaviour
        enough = world.accepted[FAILING] + BEFORE_IT_FAILS
        await world.until(lambda: world.accepted[FAILING] >= enough, timeout=60.0)
        behaviour.switch(Carrier(FAILING), State.REFUSES)
        await asyncio.sleep(DOWN_S)
        behaviour.switch(Carrier(FAILING), State.UP)

    def _report(self, people: Sequence[Sample], found: Mapping[str, Message]) -> bool:
        reached = [one for one in found.values() if one.verdict.state == "reached"]
        lost = [(s, found[s.id]) for s in people if s.id in found and found[s.id].verdict.state != "reached"]
        out.print()
        tell(out, reached_table(reached))
        tell(out, doors_table(lost))
        down = sum(1 for one in reached if any(a.channel == FAILING and a.status == "unknown" for a in one.attempts))
        out.print(
            f"{down} of the people reached had lost their first {channel(FAILING)} to the breakdown.", style="dim"
        )
        wanted = {s.id: plan.expected_of(s, plan.fates_of(s), STORM_REACH["step"], failing=FAILING) for s in people}
        wrong = [plan.deviation(s, wanted[s.id], found.get(s.id), self._queued) for s in people]
        return _name([one for one in wrong if one is not None])

    async def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"tour-{secrets.token_hex(8)}"}
        async with self._http.post(self._url + path, data=msgspec.json.encode(body), headers=headers) as answer:
            raw = await answer.read()
            if answer.status != 202:
                raise RuntimeError(f"POST {path} was answered {answer.status}: {raw[:500]!r}")
            return msgspec.json.decode(raw)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), LOOK_S)


def _seconds(ahead: float) -> float:
    return asyncio.get_running_loop().time() + ahead


def _name(wrong: Sequence[plan.Deviation]) -> bool:
    for one in wrong:
        out.print(f"[bold red]{one.person}[/]: expected {one.expected}, found {one.found}.", highlight=False)
    return not wrong
