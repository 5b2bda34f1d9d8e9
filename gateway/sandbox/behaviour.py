"""How the carriers and the people behave: switches for whole carriers, fates for single recipients."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from enum import StrEnum
from typing import Literal

from msgspec import Struct


class Carrier(StrEnum):
    """The four services; SMS and voice share a provider but are switched apart."""

    SMS = "sms"
    VOICE = "voice"
    EMAIL = "email"
    WECHAT = "wechat"


class State(StrEnum):
    """What a carrier as a whole does."""

    UP = "up"
    REFUSES = "refuses"  # 503, or 421 in SMTP: nothing is taken
    HANGS = "hangs"  # the request is read and never answered; nothing is taken
    THROTTLES = "throttles"  # 429 with Retry-After, 45011, 451: nothing is taken
    SILENT = "silent"  # everything is taken, no receipt ever comes


class Fate(StrEnum):
    """What becomes of a message to one recipient."""

    DELIVERED = "delivered"
    NO_RECEIPT = "no_receipt"  # taken, then silence
    REFUSED = "refused"  # refused at once, for good
    UNDELIVERED = "undelivered"  # taken, then a receipt of failure (or a bounce)
    THROTTLED = "throttled"  # refused at once, for now
    OPTED_OUT = "opted_out"
    VOICEMAIL = "voicemail"  # calls are answered by a machine
    RINGS_OUT = "rings_out"  # calls are not answered
    UNKNOWN = "unknown"  # taken, then the connection dies without an answer
    LOST = "lost"  # not taken, and the connection dies without an answer


ENDINGS = {
    "0001": Fate.NO_RECEIPT,
    "0002": Fate.REFUSED,
    "0003": Fate.THROTTLED,
    "0004": Fate.OPTED_OUT,
    "0005": Fate.VOICEMAIL,
    "0006": Fate.RINGS_OUT,
    "0007": Fate.UNKNOWN,
}


class Manner(Struct, kw_only=True):
    """How an automatic person takes a call.

    ``keys``: what is pressed, one group per question, each after the question was heard in full. ``ring``: seconds
    until the call is answered. ``detected``: what answering-machine detection says, when it errs. ``reply``: what is
    texted back to an SMS that asks for it, when the behaviour is ``lively``.
    """

    answer: Literal["human", "machine", "nobody", "busy", "failed"] = "human"
    keys: str = ""
    ring: float = 4.0
    detected: str = ""
    reply: str = ""


class Delays(Struct, kw_only=True):
    """Ranges in simulated seconds."""

    answer: tuple[float, float] = (0.02, 0.15)
    receipt: tuple[float, float] = (0.5, 3.0)
    reply: tuple[float, float] = (4.0, 20.0)


class Behaviour:
    """All switches in one place; every draw comes from one seeded generator."""

    def __init__(self, *, seed: int = 0, delays: Delays | None = None) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a reproducible simulation, not a secret
        self.delays = delays or Delays()
        self.lively = False
        self.reorder = 0.0
        self.repeat = 0.0
        self.fates: dict[str, Fate] = {}
        self.carrier_fates: dict[tuple[Carrier, str], Fate] = {}
        self.manners: dict[str, Manner] = {}
        self.default_manner = Manner()
        self.listeners: list[Callable[[], None]] = []
        self._states = dict.fromkeys(Carrier, State.UP)
        self._switched = asyncio.Event()

    def state(self, carrier: Carrier) -> State:
        """What the carrier does now."""
        return self._states[carrier]

    def switch(self, carrier: Carrier, state: State) -> None:
        """Changes a carrier's state; requests that hang are released."""
        self._states[carrier] = state
        self._switched.set()
        self._switched = asyncio.Event()
        for tell in self.listeners:
            tell()

    async def while_hanging(self, carrier: Carrier) -> None:
        """Returns once the carrier no longer hangs."""
        while self._states[carrier] is State.HANGS:
            await self._switched.wait()

    def fate(self, carrier: Carrier, address: str) -> Fate:
        """The fate of a message: set for this carrier, set for the address, else by the address's ending."""
        for known in (self.carrier_fates.get((carrier, address)), self.fates.get(address)):
            if known is not None:
                return known
        return ENDINGS.get(address.partition("@")[0][-4:], Fate.DELIVERED)

    def manner(self, number: str) -> Manner:
        """How calls to a number are taken."""
        match self.fate(Carrier.VOICE, number):
            case Fate.VOICEMAIL:
                return Manner(answer="machine")
            case Fate.RINGS_OUT:
                return Manner(answer="nobody")
            case Fate.UNDELIVERED:
                return Manner(answer="failed")
            case _:
                return self.manners.get(number, self.default_manner)

    def receipts(self, carrier: Carrier, fate: Fate) -> bool:
        """Whether news of an accepted message is sent at all."""
        return self._states[carrier] is not State.SILENT and fate not in (Fate.NO_RECEIPT, Fate.UNKNOWN)

    def draw(self, span: tuple[float, float]) -> float:
        """A delay within a range, in simulated seconds."""
        return self.random.uniform(*span)

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return probability > 0 and self.random.random() < probability
