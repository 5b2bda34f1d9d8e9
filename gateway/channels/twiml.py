"""What a call says: voices by language, and the TwiML documents of a notice that asks for a key.

Twilio: TwiML for programmable voice (Gather, Say, Redirect). Reading 1 comes with the call; when nobody pressed a key during
it, its Redirect asks for reading 2, and that request proves that one full reading was played to the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from twilio.twiml.voice_response import Gather, VoiceResponse

from gateway.channels.base import Outbound, Speech
from gateway.prompts import digits_needed, opt_out_key, read_key
from gateway.settings_types import Voice
from gateway.text import clean

DEFAULT_VOICES: Final[dict[str, Voice]] = {
    "en": Voice("Polly.Joanna-Neural", "en-US"),
    "zh-Hans": Voice("Polly.Zhiyu-Neural", "cmn-CN"),
    "zh-Hant": Voice("Polly.Hiujin-Neural", "yue-CN"),
    "zh-TW": Voice("Polly.Zhiyu-Neural", "cmn-CN"),  # written in the same script as Hong Kong, spoken otherwise
    "el": Voice("Google.el-GR-Wavenet-A", "el-GR"),
}
LONGEST_INLINE: Final = 4000
"""Characters of TwiML that may travel with the request for a call (calls resource, parameter Twiml)."""
LAST_READING: Final = 5
_KEY_SECONDS: Final = 8
_MENU_SECONDS: Final = 10
"""How long a caller may think: nobody is hurried, and a phone held to the ear needs a moment to be looked at."""
_SCRIPTS: Final = {"zh-cn": "zh-hans", "zh-sg": "zh-hans", "zh-hk": "zh-hant", "zh-mo": "zh-hant", "zh": "zh-hans"}


def voice_for(language: str, voices: Mapping[str, Voice]) -> Voice | None:
    """The voice that speaks a language (BCP 47): the operator's for the tag or what it falls back to, else ours; None: no voice."""
    tags = list(dict.fromkeys(_fallbacks(language.replace("_", "-").lower())))
    for known in ({tag.lower(): voice for tag, voice in table.items()} for table in (voices, DEFAULT_VOICES)):
        if (found := next((known[tag] for tag in tags if tag in known), None)) is not None:
            return found
    return None


def _fallbacks(tag: str) -> Iterator[str]:
    parts = tag.split("-")
    if len(parts) == 3:
        yield f"{parts[0]}-{parts[2]}"  # the region says more of the spoken language than the script
    while parts:
        shorter = "-".join(parts)
        yield shorter
        if shorter in _SCRIPTS:
            yield _SCRIPTS[shorter]
        parts.pop()


def url(out: Outbound, kind: str, reading: int | None = None) -> str:
    """Where Twilio calls back about this attempt."""
    last = "" if reading is None else f"/{reading}"
    return f"{out.callback_base}/callbacks/voice/{kind}/{out.message}/{out.attempt}{last}#rc=3&rp=all"


def first_reading(out: Outbound, voice: Voice) -> str:
    """The speech and its question once, then on to reading 2."""
    response: Any = VoiceResponse()
    _gather(response, out, voice, 1, (_speech(out), out.words.asks))
    response.redirect(url(out, "reading", 1), method="POST")
    return str(response)


def next_reading(out: Outbound | None, voices: Mapping[str, Voice], number: int) -> str:
    """What follows reading `number`: after 0 (the words were too long to travel with the request) the first, after 1 the second.

    Without the attempt's words, and after the last reading, the call ends.
    """
    voice = None if out is None else voice_for(out.words.language, voices)
    if out is None or voice is None or number > 1:
        return _farewell("", None)
    if number == 0:
        return first_reading(out, voice)
    response: Any = VoiceResponse()
    _gather(response, out, voice, 2, (_speech(out), out.words.asks))
    response.hangup()
    return str(response)


def after_key(out: Outbound | None, voices: Mapping[str, Voice], keys: str, number: int) -> str:
    """Thanks for an answer (or an opt-out); for a key that is none, the question again, unless asked often enough."""
    voice = None if out is None else voice_for(out.words.language, voices)
    if out is None or voice is None:
        return _farewell("", None)
    understood = out.prompt is None or keys == opt_out_key(out.prompt) or read_key(out.prompt, keys) is not None
    if keys and understood:
        return _farewell(out.words.thanks, voice)
    response: Any = VoiceResponse()
    if number < LAST_READING:
        _gather(response, out, voice, number + 1, (out.words.again, out.words.asks))
    response.hangup()
    return str(response)


def voicemail(out: Outbound, voice: Voice) -> str:
    """The speech alone: a machine presses no key."""
    return _farewell(_speech(out), voice)


def menu(speech: Speech, voices: Mapping[str, Voice], base: str) -> str:
    """What a caller hears, each line in the voice of its language, then the keys that are waited for.

    Where none come, the call goes on to the same address without them. `base`: what our own address begins with.
    """
    response: Any = VoiceResponse()
    parent = response
    if speech.state is not None:
        here = f"{base}/callbacks/voice/menu/{speech.state}#rc=3&rp=all"
        parent = response.gather(
            input="dtmf", num_digits=speech.keys, timeout=_MENU_SECONDS, finish_on_key="", action=here, method="POST"
        )
        response.redirect(here, method="POST")
    for line in speech.lines:
        _say(parent, voice_for(line.language, voices) or DEFAULT_VOICES["en"], line.text)
    if speech.state is None:
        response.hangup()
    return str(response)


def _farewell(text: str, voice: Voice | None) -> str:
    response: Any = VoiceResponse()
    if voice is not None:
        _say(response, voice, text)
    response.hangup()
    return str(response)


def _speech(out: Outbound) -> str:
    return out.words.speech or out.words.text


def _gather(response: Any, out: Outbound, voice: Voice, reading: int, says: tuple[str, str]) -> None:
    keys = 1 if out.prompt is None else max(1, digits_needed(out.prompt))
    gather: Any = Gather(
        input="dtmf",
        num_digits=keys,
        timeout=_KEY_SECONDS,
        # One key is an answer by itself; with two, "#" ends a shorter one.
        finish_on_key="" if keys == 1 else "#",
        action=url(out, "gather", reading),
        method="POST",
    )
    first, second = says
    _say(gather, voice, first)
    if first and second:
        gather.pause(length=1)
    _say(gather, voice, second)
    response.append(gather)


def _say(parent: Any, voice: Voice, text: str) -> None:
    # The builder escapes markup but lets control characters through, which no XML parser takes (error 12100).
    if text:
        parent.say(clean(text), voice=voice.voice, language=voice.language)
