"""One telephone call: it rings, somebody or something answers, TwiML runs, it ends.

The order of events: initiated, ringing, then answered and completed, or completed alone with the reason in CallStatus.
Answering-machine detection runs beside the talk (AsyncAmd) or before it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Literal
from urllib.parse import urljoin

from msgspec import Struct

from .behaviour import Manner
from .call_record import Exchange, News, Record, params_of
from .items import Call, Line
from .twiml import Gather, Hangup, Pause, Play, Redirect, Say, TwimlError, Verb, parse

WORDS_PER_MINUTE = 165.0
HAN = re.compile(r"[㐀-鿿]")
MAX_DOCUMENTS = 100


class Jump(Struct, frozen=True):
    """The next document to fetch."""

    url: str
    method: str
    params: tuple[tuple[str, str], ...] = ()


class Session:
    """Runs one call. ``manner`` is how an automatic person takes it; None leaves it to the phones page."""

    def __init__(self, exchange: Exchange, record: Record, shown: Call, manner: Manner | None) -> None:
        self.record = record
        self.shown = shown
        self._exchange = exchange
        self._clock = exchange.clock
        self._manner = manner
        self._groups = manner.keys.split(",") if manner and manner.keys else []
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._picked_up = asyncio.Event()
        self._over = asyncio.Event()
        self._turn = asyncio.Event()
        self._document: str | None = record.plan.twiml or None
        self._news = News(exchange, record)

    def answer(self) -> None:
        """A person picks up, and takes the call over from the automatic one."""
        self._manner = None
        self._picked_up.set()

    def press(self, key: str) -> None:
        """The person presses a key."""
        self._note("key", key)
        self._keys.put_nowait(key)

    def end(self, status: str = "completed") -> None:
        """Ends the call from either side; only the first reason counts."""
        if not self._over.is_set():
            self._set(status)
            self._over.set()

    def redirect(self, twiml: str) -> None:
        """Goes on with another document in place of the running one."""
        self._document = twiml
        self._turn.set()

    async def run(self) -> None:
        """The life of the call, from the first ring to the last event."""
        self._news.tell("initiated")
        if self.record.direction != "inbound":
            await self._ring()
        if not self._over.is_set():
            self.record.started = self.shown.answered_at = self._clock.now()
            self._set("in-progress")
            self._news.tell("answered")
            await self._talk()
        self.record.ended = self.shown.ended_at = self._clock.now()
        self.shown.wants_key = False
        self._exchange.seen(self.record)
        self._news.tell("completed")
        await self._news.sent()

    async def _ring(self) -> None:
        self._set("ringing")
        self._news.tell("ringing")
        patience, manner = self.record.plan.ring_for, self._manner
        if manner is None:
            answered = await self._before_end(self._picked_up, self._clock.patiently(patience))
            if not answered:
                self.end("no-answer")
        elif manner.answer in ("busy", "failed"):
            self.end(manner.answer)
        elif manner.answer == "nobody" or manner.ring >= patience:
            if not await self._before_end(self._picked_up, patience * self._clock.scale):
                self.end("no-answer")
        else:
            await self._before_end(self._picked_up, manner.ring * self._clock.scale)

    async def _before_end(self, event: asyncio.Event, seconds: float) -> bool:
        """Waits for an event, the end of the call or the time, whichever comes first; true for the event."""
        waits = {asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._over.wait())}
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return event.is_set() and not self._over.is_set()

    async def _talk(self) -> None:
        """Detection and documents, until one side hangs up."""
        detection = asyncio.ensure_future(self._detect())
        if not self.record.plan.detect_aside:
            await detection
        while not self._over.is_set():
            self._turn.clear()
            talk = asyncio.ensure_future(self._documents())
            ends = {asyncio.ensure_future(self._turn.wait()), asyncio.ensure_future(self._over.wait())}
            try:
                await asyncio.wait({talk, *ends}, return_when=asyncio.FIRST_COMPLETED)
                if talk.done() and not talk.cancelled():
                    talk.result()
                    await detection
            finally:
                for task in (talk, *ends):
                    task.cancel()
            if not self._turn.is_set():
                self.end()
        await detection

    async def _detect(self) -> None:
        """Answering-machine detection; its callback comes when the verdict is known."""
        plan, manner = self.record.plan, self._manner
        if not plan.detection:
            return
        machine = manner is not None and manner.answer == "machine"
        verdict = "human" if not machine else "machine_start" if plan.detection == "Enable" else "machine_end_beep"
        seconds = 3.0 if not machine else 4.0 if plan.detection == "Enable" else 7.0
        await self._clock.sleep(seconds)
        self.record.answered_by = self.shown.answered_by = (manner.detected if manner else "") or verdict
        self._exchange.seen(self.record)
        if plan.detect_aside and plan.detect_callback:
            params = [
                ("CallSid", self.record.sid),
                ("AccountSid", self._exchange.account_sid),
                ("AnsweredBy", self.record.answered_by),
                ("MachineDetectionDuration", str(int(seconds * 1000))),
            ]
            await self._exchange.post(plan.detect_callback, params, "POST")

    async def _documents(self) -> None:
        """Runs documents until one ends without naming the next."""
        base, document, jump = self.record.plan.url, self._document, Jump(self.record.plan.url, self.record.plan.method)
        for _ in range(MAX_DOCUMENTS):
            if document is None:
                base = urljoin(base, jump.url)
                document = await self._exchange.post(
                    base, [*params_of(self.record, self._exchange.account_sid), *jump.params], jump.method
                )
            try:
                verbs = parse(document) if document is not None else None
            except TwimlError as problem:
                self._exchange.problem(f"Document of a call: {problem}")
                verbs = None
            if verbs is None:
                await self._say(Say("An application error has occurred. Goodbye.", "", "en-US"))
                return
            following = await self._perform(verbs)
            if following is None:
                return
            jump, document = following, None

    async def _perform(self, verbs: list[Verb]) -> Jump | None:
        for verb in verbs:
            match verb:
                case Gather():
                    digits = await self._gather(verb)
                    if digits or verb.on_empty:
                        return Jump(verb.action, verb.method, (("Digits", digits), ("msg", "Gather End")))
                case Redirect():
                    return Jump(verb.url, verb.method)
                case Hangup():
                    return None
                case _:
                    await self._prompt(verb)
        return None

    async def _gather(self, gather: Gather) -> str:
        """The keys pressed; an automatic person hears the prompts out before pressing any."""
        while not self._keys.empty():
            self._keys.get_nowait()
        self.shown.wants_key = True
        self._exchange.seen(self.record)
        pressed = ""
        for prompt in gather.prompts:
            pressed = await self._prompt(prompt, for_key=True)
            if pressed:
                break
        manner = self._manner
        if manner is not None and not pressed:
            pressed = self._groups.pop(0) if self._groups and manner.answer == "human" else ""
            for key in pressed:
                self._note("key", key)
            if not pressed:
                await self._clock.sleep(gather.timeout)
        else:
            pressed = await self._collect(gather, pressed)
        self.shown.wants_key = False
        return pressed.rstrip(gather.finish) if gather.finish else pressed

    async def _collect(self, gather: Gather, pressed: str) -> str:
        while not (gather.digits and len(pressed) >= gather.digits):
            if gather.finish and pressed.endswith(tuple(gather.finish)):
                break
            key = await self._key(self._clock.patiently(gather.timeout))
            if not key:
                break
            pressed += key
        return pressed

    async def _key(self, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                return await self._keys.get()
        except TimeoutError:
            return ""

    async def _prompt(self, prompt: Say | Pause | Play, *, for_key: bool = False) -> str:
        match prompt:
            case Say():
                return await self._say(prompt, for_key=for_key)
            case Pause():
                seconds = prompt.length
            case Play():
                seconds = 1.0
                self._note("note", f"plays {prompt.what}")
        if for_key:
            return await self._key(seconds * self._clock.scale)
        await self._clock.sleep(seconds)
        return ""

    async def _say(self, say: Say, *, for_key: bool = False) -> str:
        words = len(say.text.split()) + len(HAN.findall(say.text)) / 2
        seconds = words / WORDS_PER_MINUTE * 60.0
        line = Line(self._clock.now(), "say", say.text, say.voice, say.language, seconds * self._clock.scale)
        self.shown.lines.append(line)
        self._exchange.seen(self.record)
        if for_key:
            return await self._key(seconds * self._clock.scale)
        await self._clock.sleep(seconds)
        return ""

    def _note(self, kind: Literal["key", "note"], text: str) -> None:
        self.shown.lines.append(Line(self._clock.now(), kind, text))
        self._exchange.seen(self.record)

    def _set(self, status: str) -> None:
        self.record.status = self.shown.status = status
        self.record.updated = self._clock.now()
        self._exchange.seen(self.record)
