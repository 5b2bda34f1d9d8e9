"""Somebody who calls the account's number, hears what is said and presses keys: through the carrier's look-alike."""

from __future__ import annotations

from gateway.sandbox.items import Call
from tests.support.running import Running, until


class OnThePhone:
    """One call to our number."""

    def __init__(self, gw: Running, number: str) -> None:
        self._gw = gw
        self._sid = gw.sandbox.twilio.inbound_call(number, gw.sandbox.twilio.number)
        self._number = number
        self._heard = 0

    @property
    def call(self) -> Call | None:
        """The call as the phone shows it."""
        return next((one for one in self._gw.sandbox.world.calls(self._number) if one.id == self._sid), None)

    @property
    def said(self) -> list[str]:
        """What was spoken since the last key."""
        call = self.call
        return [] if call is None else [line.text for line in call.lines[self._heard :] if line.kind == "say"]

    def voice_of(self, words: str) -> str | None:
        """The language in which words were spoken."""
        lines = self.call.lines if self.call is not None else []
        return next((line.language for line in reversed(lines) if words in line.text), None)

    async def hears(self, *words: str) -> None:
        """Wait until all of these were spoken since the last key."""
        await until(
            lambda: all(any(one in text for text in self.said) for one in words), seen=lambda: (words, self.said)
        )

    async def presses(self, *groups: str) -> None:
        """Press keys, one group after the other, each when it is asked for."""
        for keys in groups:
            await self._press(keys)

    async def _press(self, keys: str) -> None:
        await until(lambda: self.said and self.call is not None and self.call.wants_key, seen=lambda: self.said)
        call, session = self.call, self._gw.sandbox.twilio.calls.sessions[self._sid]
        assert call is not None
        self._heard = len(call.lines)
        for key in keys:
            session.press(key)
        await until(lambda: self.said or call.over, seen=lambda: (keys, call.lines))

    async def hangs_up(self) -> None:
        """End the call."""
        call = self.call
        session = self._gw.sandbox.twilio.calls.sessions.get(self._sid)
        if session is not None:
            session.end()
        await until(lambda: call is None or call.over)

    async def is_hung_up_on(self) -> None:
        """Wait until the other side has ended the call."""
        await until(lambda: self.call is not None and self.call.over, seen=lambda: self.said)
