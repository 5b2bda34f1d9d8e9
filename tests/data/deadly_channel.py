"""The channel `deadly`: a plug-in with a fault that no exception handler sees.

For an address that ends in 13 the answer to a hand-over is lost, and asking for it kills the process or never ends. A
line for each hand-over goes to the file that its option names.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Self

from gateway.channels.base import Absent, Accepted, Callback, Deps, Malformed, Outbound, Reading, Refused, Unknown
from gateway.message import Attempt
from gateway.routing.traits import Traits
from gateway.settings_types import ChannelSettings, Settings


class Deadly:
    """Proves nothing but acceptance."""

    name = "deadly"
    traits = Traits(proves=frozenset(("accepted",)), timeout=5.0, finds=True)

    def __init__(self, ledger: Path, *, hangs: bool) -> None:
        self._ledger = ledger
        self._hangs = hangs

    @classmethod
    def build(cls, settings: Settings, deps: Deps) -> Self | None:  # noqa: ARG003 - the seam's
        """The channel, where the settings name its ledger."""
        options = settings.channels.get(cls.name, ChannelSettings()).options
        return cls(Path(options["ledger"]), hangs=options.get("hangs", False)) if options else None

    async def send(self, out: Outbound) -> Accepted | Refused | Unknown:
        """Take it; for some addresses the answer is lost."""
        with self._ledger.open("a") as ledger:
            ledger.write(f"{out.to}\n")
        return Unknown(detail="lost") if out.to.endswith("13") else Accepted(provider_id=out.token)

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """The fault."""
        while self._hangs:
            pass
        os.kill(os.getpid(), signal.SIGKILL)
        return Unknown()

    async def recall(self, attempt: Attempt) -> None:
        """Nothing rings."""

    def read(self, call: Callback) -> Reading:
        """There are no callbacks."""
        raise Malformed("this channel has no callbacks")

    async def close(self) -> None:
        """Nothing is open."""
