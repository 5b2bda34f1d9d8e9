"""Connections to one mail relay, kept open and reused.

A connection belongs to one coroutine at a time and goes back only when its last reply has been read: after success, or
after an error that the server itself spoke. After anything else (time-out, cancellation, broken line) it is closed,
because a reply may still be under way and would be taken for the answer to the next mail's command.

From the final dot on the mail may have been taken, so that phase is shielded from the caller's cancellation and its
loss is reported as what it is: stage `after_data_dot`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiosmtplib

from gateway.channels.smtp_dialogue import (
    LOST,
    Job,
    Lost,
    Progress,
    ReplyRefused,
    connect,
    introduce,
    tls_context,
    transmit,
    why_lost,
)
from gateway.settings_types import SmtpSettings

_IDLE_MS: Final = 30_000
_AGE_MS: Final = 300_000
_MAILS: Final = 100
_PROBE_SECONDS: Final = 5.0


class _Line:
    """A connection and its record."""

    def __init__(self, smtp: aiosmtplib.SMTP, born: int) -> None:
        self.smtp = smtp
        self.born = born
        self.used = born
        self.mails = 0
        self.half_told = False
        """An envelope was begun and refused: it must be cleared (RSET) before the next one."""


class SmtpPool:
    """At most `size` connections to one relay. `timeout`: seconds for a whole mail, waiting for a connection included."""

    def __init__(self, relay: SmtpSettings, *, size: int, timeout: float, hello: str, clock: Callable[[], int]) -> None:
        self._relay = relay
        self._timeout = timeout
        self._hello = hello
        self._clock = clock
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Line] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._tls = tls_context(relay)

    async def deliver(self, job: Job) -> None:
        """Hand one mail to the relay, once. Raises ReplyRefused, Lost or Unusable."""
        progress = Progress()
        try:
            async with asyncio.timeout(self._timeout):
                line = await self._ready_for_data(job, progress)
                progress.stage = "after_data_dot"
                await asyncio.shield(self._spawn(self._finish(line, job.data)))
        except TimeoutError:
            raise Lost(progress.stage, "timeout") from None

    async def close(self) -> None:
        """Let mails under way end (for at most the time-out), then say goodbye on every idle connection."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._timeout)
        while self._idle:
            await self._quit(self._idle.pop())

    async def _ready_for_data(self, job: Job, progress: Progress) -> _Line:
        """A connection on which the server waits for the mail's text; the caller owns it and its slot."""
        await self._slots.acquire()
        try:
            while True:
                progress.stage = "connect"
                line = await self._take()
                if await self._introduced(line, job, progress):
                    return line
        except BaseException:
            self._slots.release()
            raise

    async def _introduced(self, line: _Line, job: Job, progress: Progress) -> bool:
        """Go through MAIL, RCPT, DATA. False: an old connection turned out dead, which says nothing about the mail."""
        try:
            await introduce(line.smtp, job, progress)
        except ReplyRefused:
            line.half_told = True
            self._give_back(line)
            raise
        except LOST as lost:
            line.smtp.close()
            if line.mails and not isinstance(lost, TimeoutError):
                return False
            raise Lost(progress.stage, why_lost(lost)) from None
        except BaseException:
            line.smtp.close()
            raise
        return True

    async def _finish(self, line: _Line, data: bytes) -> None:
        """Send the text and read the verdict on it; gives back or closes the connection, and frees the slot."""
        try:
            code, text = await transmit(line.smtp, data, self._timeout)
        except BaseException as lost:
            line.smtp.close()
            if isinstance(lost, (*LOST, aiosmtplib.SMTPException)):
                raise Lost("after_data_dot", why_lost(lost)) from None
            raise
        finally:
            self._slots.release()
        if code // 100 not in (2, 4, 5) or code == 421:
            line.smtp.close()
        else:
            self._give_back(line)
        if code // 100 in (4, 5):
            raise ReplyRefused("data", code, text)
        if code // 100 != 2:
            raise Lost("after_data_dot", "disconnect")

    async def _take(self) -> _Line:
        while self._idle:
            line = self._idle.pop()
            if line.mails >= _MAILS or self._clock() - line.born >= _AGE_MS:
                self._spawn(self._quit(line))
            elif await self._alive(line):
                return line
        smtp = await connect(self._relay, self._tls, hello=self._hello, timeout=self._timeout)
        return _Line(smtp, self._clock())

    async def _alive(self, line: _Line) -> bool:
        if not line.smtp.is_connected:
            return False
        try:
            if line.half_told:
                await line.smtp.rset(timeout=_PROBE_SECONDS)
            elif self._clock() - line.used > _IDLE_MS:
                await line.smtp.noop(timeout=_PROBE_SECONDS)
        except (aiosmtplib.SMTPException, OSError):
            line.smtp.close()
            return False
        except BaseException:
            line.smtp.close()
            raise
        line.half_told = False
        return True

    def _give_back(self, line: _Line) -> None:
        """Keep the connection, unless the server is closing it (421)."""
        line.used = self._clock()
        line.mails += 1
        if line.smtp.is_connected:
            self._idle.append(line)

    async def _quit(self, line: _Line) -> None:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await line.smtp.quit(timeout=_PROBE_SECONDS)
        line.smtp.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as seen: the caller may have left
