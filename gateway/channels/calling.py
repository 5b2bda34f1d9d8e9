"""People who call our number, by Twilio: who it is, which keys they press, and where in their menu they are.

Twilio: TwiML for programmable voice, request parameters; caller id values of withheld numbers; trusted calling (StirVerstat).
The place in the menu is a part of the address that Twilio is told to come back to, and Twilio signs whole addresses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from multidict import MultiDict

from gateway.channels import twiml
from gateway.channels.base import Callback, Dialled, Inbound, Reading, Reply
from gateway.numbers import normalise
from gateway.settings_types import Voice

_PATH: Final = re.compile(r"inbound|menu/(?P<state>[A-Za-z0-9._-]{1,200})")
_WITHHELD: Final = frozenset(("+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"))
"""ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN, UNAVAILABLE spelt by keys: what may stand for a number that Twilio isn't told."""


def read_dialled(form: MultiDict[str], call: Callback, voices: Mapping[str, Voice]) -> Reading | None:
    """A call to our number (which is noted), or its next keys; None for another callback. `form`: verified, with CallSid."""
    path = _PATH.fullmatch(call.path)
    if path is None:
        return None
    number, state = _caller(form.get("From", "")), path["state"]
    dialled = Dialled(
        call=form["CallSid"],
        caller=number,
        at=call.now,
        state=state or "",
        keys=keys_in(form),
        # A number that the network proves to be borrowed opens nobody's record.
        trusted=not form.get("StirVerstat", "").startswith("TN-Validation-Failed"),
    )
    noted: tuple[Inbound, ...] = ()
    if state is None and number is not None:
        called = Inbound(
            id=dialled.call, channel="voice", sender=number, kind="call", to=form.get("To", ""), at=call.now
        )
        noted = (called,)
    base = call.url.partition("/callbacks/voice/")[0]
    return Reading(
        inbound=noted,
        dialled=dialled,
        speak=lambda speech: Reply(content_type="text/xml", body=twiml.menu(speech, voices, base)),
    )


def keys_in(form: MultiDict[str]) -> str:
    """The keys that were pressed."""
    return re.sub("[^0-9*#]", "", form.get("Digits", ""))[:8]


def _caller(said: str) -> str | None:
    """The number that calls; None where it is withheld, or where somebody calls by another way than a telephone."""
    if said in _WITHHELD or not said.startswith("+"):
        return None
    try:
        return normalise("voice", said)
    except ValueError:
        return None
