"""Callers of the API who behave as good callers do: one Idempotency-Key per request, repeated until there is an answer."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from typing import Any, Final

import aiohttp
import msgspec

from tests.support.running import Answer, ask

REACH: Final[dict[str, Any]] = {"step": 4, "within": 90, "unproven": "settle"}
"""Short steps. An e-mail can't prove its delivery, so what is left of a message whose receipts got lost settles for it."""
PATIENCE_S: Final = 60.0
PAUSE_S: Final = 0.2
FIRST_NUMBER: Final = 447_400_200_000


class Sent(msgspec.Struct):
    """What a caller wanted sent, and what they heard. Times are monotonic seconds.

    `ids`: every id an answer named; more than one means that a repeat made a second message. `refused`: the answer
    that ended the caller's attempts otherwise than by 202.
    """

    reference: str
    body: dict[str, Any]
    asked_at: float = 0.0
    answered_at: float | None = None
    ids: set[str] = msgspec.field(default_factory=set[str])
    tries: int = 0
    refused: Answer | None = None

    @property
    def id(self) -> str | None:
        """The message's id; None while nobody has answered."""
        return next(iter(self.ids), None)


class Callers:
    """Sends messages and remembers all of them. `url` is where they believe the API to be."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str, roll: random.Random) -> None:
        self.sent: list[Sent] = []
        self.answers: Counter[str] = Counter()
        self.http = http
        self.url = url
        self.key = key
        self._roll = roll
        self._people = itertools.count()

    def body(self, reference: str, category: str = "outage", **more: Any) -> dict[str, Any]:
        """A message to somebody nobody has written to before, by SMS and then by e-mail."""
        number = next(self._people)
        addresses = [
            {"channel": "sms", "value": f"+{FIRST_NUMBER + number}"},
            {"channel": "email", "value": f"p{number}@people.example.org"},
        ]
        text = f"The power is out. [{reference}]"
        return {
            "recipient": {"addresses": addresses},
            "category": category,
            "content": {"subject": f"News [{reference}]", "text": text},
            "reference": reference,
            "reach": REACH,
            **more,
        }

    async def send(self, reference: str, category: str = "outage", *, replay: bool = False, **more: Any) -> Sent:
        """Send one message, as often as it takes. `replay`: ask once more although it was answered."""
        sent = Sent(reference, self.body(reference, category, **more))
        self.sent.append(sent)
        await self._insist(sent)
        if replay:
            await self._insist(sent)
        return sent

    async def _insist(self, sent: Sent) -> None:
        sent.asked_at = sent.asked_at or time.monotonic()
        latest = time.monotonic() + PATIENCE_S
        while time.monotonic() < latest:
            answer = await self._ask(sent.reference, "/v1/messages", sent.body)
            sent.tries += 1
            if answer is not None and answer.status == 202:
                sent.ids.add(answer.body["id"])
                sent.answered_at = sent.answered_at or time.monotonic()
                return
            if answer is not None and answer.status not in (429, 503):
                sent.refused = answer
                return
            await asyncio.sleep(PAUSE_S * (0.5 + self._roll.random()))

    async def batch(self, references: list[str], category: str = "outage", **more: Any) -> list[Sent]:
        """Send several with one key, as often as it takes."""
        sent = [Sent(one, self.body(one, category, **more), time.monotonic()) for one in references]
        self.sent += sent
        body = {"messages": [one.body for one in sent]}
        latest = time.monotonic() + PATIENCE_S
        while time.monotonic() < latest:
            answer = await self._ask(f"batch-{references[0]}", "/v1/messages/batch", body)
            if answer is not None and answer.status == 202:
                for one, result in zip(sent, answer.body["results"], strict=True):
                    one.answered_at = time.monotonic()
                    if "id" in result:
                        one.ids.add(result["id"])
                    else:
                        one.refused = Answer(422, result, {})
                return sent
            if answer is not None and answer.status not in (429, 503):
                for one in sent:
                    one.refused = answer
                return sent
            await asyncio.sleep(PAUSE_S * (0.5 + self._roll.random()))
        return sent

    async def _ask(self, key: str, path: str, body: Any) -> Answer | None:
        """One request; None when the answer was lost."""
        try:
            answer = await ask(
                self.http, self.url, self.key, "POST", path, body, headers={"Idempotency-Key": f"key-{key}"}
            )
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
            self.answers["lost"] += 1
            return None
        self.answers[str(answer.status)] += 1
        if answer.headers.get("Idempotency-Replayed") == "true":
            self.answers["replayed"] += 1
        return answer
