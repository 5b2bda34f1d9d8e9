"""Calls by Twilio: read a notice aloud, take a key as the answer, tell people from machines.

Twilio: voice API, calls resource; answering machine detection; TwiML for programmable voice.

A call that is `completed` has delivered nothing: proof is a key, or a person (by answering machine detection) to whom one
full reading was played. Detection runs beside the call, so nobody waits in silence for it. When it hears a machine's
beep, the running words are replaced by one reading for the voicemail; a one-time code is never left on a machine.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any, Final, Self

import structlog
from multidict import MultiDict

from gateway.channels import twiml
from gateway.channels.base import (
    Absent,
    Accepted,
    Callback,
    CannotErase,
    Deps,
    Erased,
    Inbound,
    Malformed,
    Outbound,
    Reading,
    Refused,
    Reply,
    Traits,
    Unknown,
)
from gateway.channels.calling import keys_in, read_dialled
from gateway.channels.twilio_api import IDS, Account, code_in, cost_of, fault_for
from gateway.channels.twiml import voice_for
from gateway.message import AnsweredBy, Attempt, AttemptStatus, Fault, Receipt
from gateway.settings_types import Settings, TwilioSettings
from gateway.text import clean

__all__ = ["Voice", "voice_for"]

_STATUS: Final[dict[str, AttemptStatus]] = {
    "queued": "accepted",
    "initiated": "accepted",
    "ringing": "sent",
    "in-progress": "sent",
    "answered": "sent",
    "completed": "sent",
    "busy": "failed",
    "no-answer": "failed",
    "failed": "failed",
    "canceled": "failed",
}
_FAULTS: Final = {"busy": Fault.BUSY, "no-answer": Fault.NO_ANSWER, "canceled": Fault.CANCELED}
_SIP_FAULTS: Final = {
    **dict.fromkeys(("404", "484", "604"), Fault.BAD_ADDRESS),
    **dict.fromkeys(("403", "603"), Fault.BLOCKED),
}
"""SIP responses that say more than "not reached" (RFC 3261, section 21)."""
_ANSWERED_BY: Final[dict[str, AnsweredBy]] = {"human": "human", "fax": "fax", "unknown": "unknown"}
_EVENTS: Final = ["initiated", "ringing", "answered", "completed"]
_RING_SECONDS: Final = 25
_TALK_SECONDS: Final = 150
_RINGS: Final = 180
_REMEMBERED: Final = 1000
_PATH: Final = re.compile(rf"(?P<kind>status|amd|gather|reading)/{IDS}(?:/(?P<reading>[0-9]{{1,2}}))?")

_log = structlog.get_logger()


class Voice:
    """The channel `voice`."""

    name = "voice"

    def __init__(self, settings: Settings, twilio: TwilioSettings, sender: str, deps: Deps) -> None:
        channel = settings.channels.get(self.name)
        self._account = Account(twilio, deps, channel)
        self._voices = channel.voices if channel else {}
        self._sender = sender
        self._tasks: set[asyncio.Task[None]] = set()
        self._machines: dict[str, None] = {}
        self.traits = Traits(
            proves=frozenset(("accepted", "delivered", "acknowledged")),
            prompts=frozenset(("acknowledge", "yes_no", "scale", "choice")),
            timeout=self._account.timeout,
            finds=True,
            recalls=True,
            rings=_RINGS,
        )

    @classmethod
    def build(cls, settings: Settings, deps: Deps) -> Self | None:
        """The channel, or None without an account or a number to call from."""
        twilio = settings.twilio
        if twilio is None or not twilio.voice_from:
            return None
        return cls(settings, twilio, twilio.voice_from, deps)

    async def send(self, out: Outbound) -> Accepted | Refused | Unknown:
        """Ask Twilio for one call, at most once. It rings for 25 s and speaks for at most 150 s."""
        voice = voice_for(out.words.language, self._voices)
        if voice is None:
            return Refused(fault=Fault.MISCONFIGURED, detail="no voice speaks the language of the text")
        words = twiml.first_reading(out, voice)
        content = {"twiml": words} if len(words) <= twiml.LONGEST_INLINE else {"url": twiml.url(out, "reading", 0)}
        made: Any = await self._account.ask(
            lambda: self._account.api.calls.create_async(
                to=out.to,
                from_=self._sender,
                timeout=_RING_SECONDS,
                time_limit=_TALK_SECONDS,
                status_callback=twiml.url(out, "status"),
                status_callback_event=_EVENTS,
                machine_detection="DetectMessageEnd",
                async_amd="true",
                async_amd_status_callback=twiml.url(out, "amd"),
                **content,
            )
        )
        if isinstance(made, Refused | Unknown):
            return made
        return _accepted(made) if made.sid else Unknown(detail="an answer without an id")

    async def find(self, out: Outbound, attempt: Attempt) -> Accepted | Absent | Unknown:
        """Look among the calls made to that number meanwhile; two at once can't be told apart, so they prove nothing."""
        made = await self._account.made(self._account.api.calls, out.to, attempt.started_at)
        if isinstance(made, Unknown):
            return made
        # The SDK keeps a call's From under `_from` alone.
        ours = [one for one in made if one._from == self._sender and one.direction == "outbound-api"]  # noqa: SLF001 - see above
        if len(ours) > 1:
            return Unknown(detail="several calls to that number at that time")
        return _accepted(ours[0]) if ours else Absent()

    async def recall(self, attempt: Attempt) -> None:
        """Stop a call that is queued or ringing; one that was answered goes on."""
        if attempt.provider_id:
            await self._update(attempt.provider_id, status="canceled")

    async def erase(self, attempt: Attempt) -> Erased | CannotErase:
        """Delete Twilio's record of a call; calls are never recorded as sound."""
        return await self._account.erase(self._account.api.calls, attempt.provider_id)

    async def leave_voicemail(self, call: str, out: Outbound) -> None:
        """Replace what a running call says by one reading for the machine that answered; a one-time code hangs up instead."""
        voice = voice_for(out.words.language, self._voices)
        if voice is None or out.category == "code":
            await self._update(call, status="completed")
        else:
            await self._update(call, twiml=twiml.voicemail(out, voice))

    async def _update(self, call: str, **change: str) -> None:
        result: Any = await self._account.ask(lambda: self._account.api.calls(call).update_async(**change))
        if isinstance(result, Refused | Unknown):
            # Most often 21220: the call has ended meanwhile, which is as good.
            _log.info("call_not_changed", call=call, detail=result.detail)

    def read(self, call: Callback) -> Reading:
        """A status callback, a pressed key, the end of a reading, a detected machine, or a call to us. Raises Forged, Malformed."""
        form = self._account.form(call)
        sid = form.get("CallSid")
        if not sid:
            raise Malformed("a call without an id")
        if (dialled := read_dialled(form, call, self._voices)) is not None:
            return dialled
        path = _PATH.fullmatch(call.path)
        if path is None or (path["kind"] in ("gather", "reading")) != (path["reading"] is not None):
            raise Malformed("no such callback")
        message, attempt, number = path["message"], path["attempt"], int(path["reading"] or 0)
        match path["kind"]:
            case "gather":
                return self._key(form, Receipt(attempt=attempt, at=call.now, provider_id=sid), message, number)
            case "reading":
                heard = Receipt(attempt=attempt, at=call.now, status="sent", heard=number > 0, provider_id=sid)
                return Reading(
                    receipts=((message, heard),),
                    speaks=(message, attempt),
                    respond=lambda out: _spoken(twiml.next_reading(out, self._voices, number)),
                )
            case "amd":
                found = _answered_by(form.get("AnsweredBy", ""))
                told = Receipt(attempt=attempt, at=call.now, status="sent", answered_by=found, provider_id=sid)
                return Reading(
                    receipts=((message, told),),
                    speaks=(message, attempt) if found == "machine" else None,
                    respond=lambda out: self._machine(out, sid),
                )
            case _:
                return Reading(receipts=((message, _receipt(form, attempt, sid, call.now)),))

    def _key(self, form: MultiDict[str], news: Receipt, message: str, number: int) -> Reading:
        keys = keys_in(form)
        sid, attempt = news.provider_id or "", news.attempt
        pressed = Inbound(
            id=f"{sid}:{keys}:{number}",
            channel=self.name,
            sender=form.get("To", ""),
            kind="key",
            text=keys,
            to=form.get("From", ""),
            at=news.at,
            message=message,
            attempt=attempt,
            raw={"reading": number},
        )
        # Nobody but a person presses a key: it proves that the call was heard, whatever it means.
        proof = Receipt(attempt=attempt, at=news.at, status="delivered" if keys else "sent", provider_id=sid)
        return Reading(
            receipts=((message, proof),),
            inbound=(pressed,) if keys else (),
            speaks=(message, attempt),
            respond=lambda out: _spoken(twiml.after_key(out, self._voices, keys, number)),
        )

    def _machine(self, out: Outbound | None, sid: str) -> Reply:
        if out is not None and sid not in self._machines:
            self._machines[sid] = None
            if len(self._machines) > _REMEMBERED:
                del self._machines[next(iter(self._machines))]
            self._start(self.leave_voicemail(sid, out))
        return Reply()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            _log.error("voicemail_failed", exc_info=bug)

    async def close(self) -> None:
        """Wait for voicemails that are being left, each at most the channel's time-out; the session is shared."""
        if self._tasks:
            await asyncio.wait(self._tasks)


def _spoken(document: str) -> Reply:
    return Reply(content_type="text/xml", body=document)


def _accepted(made: Any) -> Accepted:
    return Accepted(
        provider_id=str(made.sid),
        status="sent" if _STATUS.get(str(made.status)) == "sent" else "accepted",
        cost=cost_of(made.price, made.price_unit),
    )


def _answered_by(said: str) -> AnsweredBy:
    if said.startswith("machine"):
        return "machine"
    if said not in _ANSWERED_BY:
        _log.warning("new_provider_status", provider="twilio", resource="answered_by", status=clean(said)[:32])
    return _ANSWERED_BY.get(said, "unknown")


def _receipt(form: MultiDict[str], attempt: str, sid: str, now: int) -> Receipt:
    said = form.get("CallStatus", "")
    status = _STATUS.get(said)
    if status is None:
        _log.warning("new_provider_status", provider="twilio", resource="call", status=clean(said)[:32])
        status = "accepted"  # whatever it means, Twilio has the call
    sip, code = form.get("SipResponseCode") or None, code_in(form.get("ErrorCode"))
    fault, detail = None, None
    if status == "failed":
        fault, detail = _FAULTS.get(said), sip
        if fault is None and code is not None:
            fault, detail = fault_for(code), str(code)
        fault = fault or _SIP_FAULTS.get(sip or "", Fault.UNREACHABLE)
    seconds = code_in(form.get("CallDuration"))
    return Receipt(
        attempt=attempt,
        at=now,
        status=status,
        answered_by=_answered_by(form["AnsweredBy"]) if form.get("AnsweredBy") else None,
        ended=status == "failed" or said == "completed",
        fault=fault,
        provider_id=sid,
        provider_code=detail,
        units=None if seconds is None else -(-seconds // 60),  # begun minutes
        cost=cost_of(form.get("Price"), form.get("PriceUnit")),
    )
