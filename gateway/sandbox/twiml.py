"""TwiML, the part of it that notices and menus use: Say, Pause, Play, Gather, Redirect, Hangup, Reject, Message.

Source: Twilio, "TwiML for Programmable Voice".
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from msgspec import Struct


class TwimlError(ValueError):
    """The document is not TwiML (Twilio's error 12100 or 12200)."""


class Say(Struct, frozen=True):
    """A spoken text."""

    text: str
    voice: str = ""
    language: str = ""


class Pause(Struct, frozen=True):
    """Silence, in seconds."""

    length: float = 1.0


class Play(Struct, frozen=True):
    """A recording or touch tones; only named here, never fetched."""

    what: str


class Gather(Struct, frozen=True):
    """A question: prompts are heard while keys are awaited; ``timeout`` in seconds of silence."""

    prompts: tuple[Say | Pause | Play, ...] = ()
    digits: int | None = None
    timeout: float = 5.0
    finish: str = "#"
    action: str = ""
    method: str = "POST"
    on_empty: bool = False


class Redirect(Struct, frozen=True):
    """Goes on with another document."""

    url: str
    method: str = "POST"


class Hangup(Struct, frozen=True):
    """Ends the call."""


Verb = Say | Pause | Play | Gather | Redirect | Hangup


def root_of(document: str) -> ET.Element:
    """The Response element; raises TwimlError."""
    try:
        # Only the gateway's own answers are parsed here, on loopback.
        root = ET.fromstring(document.strip())  # noqa: S314
    except ET.ParseError as problem:
        raise TwimlError(f"not well-formed: {problem}") from problem
    if root.tag != "Response":
        raise TwimlError("the document element is not Response")
    return root


def parse(document: str) -> list[Verb]:
    """The verbs of a voice document, in order; raises TwimlError."""
    return [_verb(element) for element in root_of(document)]


def replies(document: str) -> list[str]:
    """The texts of the Message verbs of an answer to an inbound SMS; raises TwimlError."""
    texts: list[str] = []
    for element in root_of(document).iter("Message"):
        body = element.find("Body")
        texts.append("".join((body if body is not None else element).itertext()).strip())
    return texts


def _verb(element: ET.Element) -> Verb:
    match element.tag:
        case "Say" | "Pause" | "Play":
            return _prompt(element)
        case "Gather":
            return Gather(
                prompts=tuple(_prompt(child) for child in element),
                digits=int(element.get("numDigits", "0")) or None,
                timeout=float(element.get("timeout", "5")),
                finish=element.get("finishOnKey", "#"),
                action=element.get("action", ""),
                method=element.get("method", "POST"),
                on_empty=element.get("actionOnEmptyResult", "false") == "true",
            )
        case "Redirect":
            return Redirect((element.text or "").strip(), element.get("method", "POST"))
        case "Hangup" | "Reject":
            return Hangup()
        case _:
            raise TwimlError(f"verb {element.tag} is not known here")


def _prompt(element: ET.Element) -> Say | Pause | Play:
    match element.tag:
        case "Say":
            text = " ".join("".join(element.itertext()).split())
            return Say(text, element.get("voice", ""), element.get("language", ""))
        case "Pause":
            return Pause(float(element.get("length", "1")))
        case "Play":
            return Play((element.text or element.get("digits", "")).strip())
        case _:
            raise TwimlError(f"{element.tag} may not stand here")
