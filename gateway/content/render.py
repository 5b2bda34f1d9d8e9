"""From a body to the words for one channel, or the reason why that channel can't carry it.

Nothing is cut silently: what is too long for a channel is refused there, or stands whole behind a link that the words
carry.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from gateway.content.content import Body
from gateway.content.email import email
from gateway.content.language import DataError, TemplateError
from gateway.content.links import Pages, Unfit
from gateway.content.phrases import Phrases, keys_instruction, phrases, reply_instruction, stop_instruction
from gateway.content.run import one_line
from gateway.content.sources import Source, source
from gateway.content.words import Rendered, WeChatTemplate
from gateway.preferences.locales import chain
from gateway.prompts import Prompt
from gateway.text import segments

__all__ = ["Pages", "Unfit", "render"]

MAX_SMS: Final = 1600
"""Twilio takes no longer body (error 21617)."""
MAX_SEGMENTS: Final = 10
MAX_SPEECH: Final = 3000
MAX_WECHAT_BYTES: Final = 2048
"""A customer service message of WeChat, in UTF-8."""

FIELD_LIMITS: Final[dict[str, int]] = {
    "thing": 20,
    "name": 20,
    "const": 20,
    "character_string": 32,
    "letter": 32,
    "number": 32,
    "phone_number": 17,
    "car_number": 8,
    "phrase": 5,
    "symbol": 5,
}
"""Characters that a field of a WeChat template holds, by the name before its digits (WeChat cuts what is longer)."""

_FIELD_KIND: Final = re.compile(r"\d+$")

# Which parts each channel takes, the best first; a channel that isn't built in reads text.
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "sms": ("sms", "text"),
    "voice": ("speech", "text"),
    "email": ("text", "html"),
    "wechat": ("wechat", "text"),
}


class DefaultTemplate(Protocol):
    """The WeChat template for messages that name none: `data` is field -> template text."""

    @property
    def id(self) -> str:
        """WeChat's id of the template."""
        ...

    @property
    def data(self) -> dict[str, str]:
        """Field -> text in the template language; it knows `subject`, `text` and the message's data."""
        ...


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What every channel's words are made from."""

    texts: Source
    language: str
    phrases: Phrases
    prompt: Prompt | None
    question: str
    links: Pages


def render(
    body: Body,
    channel: str,
    *,
    language: str | None,
    default_locale: str,
    time_zone: str,
    prompt: Prompt | None,
    links: Pages,
    voices: Callable[[str], bool],
    default_wechat_template: DefaultTemplate | None,
    in_window: bool,
    carries_unsubscribe: bool,
) -> Rendered | Unfit:
    """The final words for one channel, or why it can't carry them.

    `language` is the reader's (BCP 47), `time_zone` IANA; `voices` says whether a language can be spoken. Raises
    DataError only for data that `problems` would have refused.
    """
    supplied = {"preferences_link": links.preferences or links.message}
    texts = source(body, _NAMES.get(channel, ("text",)), language, default_locale, time_zone, supplied)
    spoken = texts.language
    job = Job(
        texts=texts,
        language=spoken,
        phrases=phrases(spoken, default_locale),
        prompt=prompt,
        question=_question(prompt, spoken, language, default_locale),
        links=links,
    )
    match channel:
        case "sms":
            return _sms(job)
        case "voice":
            return _voice(job, voices, carries_unsubscribe=carries_unsubscribe)
        case "email":
            return email(texts, job.phrases, prompt, job.question, links, carries_unsubscribe=carries_unsubscribe)
        case "wechat" if not in_window:
            return _wechat_template(job, default_wechat_template)
        case "wechat":
            return _free_text(job, MAX_WECHAT_BYTES)
        case _:
            return _free_text(job, None)


def _question(prompt: Prompt | None, language: str, wanted: str | None, default: str) -> str:
    asked = prompt.question if prompt is not None else None
    if isinstance(asked, dict):
        tags = (*chain(language, default), *chain(wanted, default), *asked)
        asked = next((asked[tag] for tag in tags if tag in asked), None)
    return (asked or "").strip()


def _text(job: Job, names: tuple[str, ...]) -> str | None:
    """The text for a text channel. Where there is HTML alone: the subject and a link to the whole."""
    found = job.texts.text(names, "sms")
    if found is not None:
        if job.texts.has_files:
            found += "\n" + job.phrases.page.files_line.format(link=job.links.message)
        return found
    return _behind_link(job) if job.texts.text(("html",), "html") else None


def _behind_link(job: Job) -> str | None:
    subject = job.texts.text(("subject",), "line")
    return f"{subject}\n{job.phrases.page.whole_line.format(link=job.links.message)}" if subject else None


def _asked(job: Job) -> list[str]:
    if job.prompt is None:
        return []
    return [line for line in (one_line(job.question), reply_instruction(job.prompt, job.phrases)) if line]


def _sms(job: Job) -> Rendered | Unfit:
    text = _text(job, ("sms", "text"))
    if text is None:
        return _no_text("SMS")
    text = "\n".join([text, *_asked(job)])
    counted = segments(text)
    if len(text) > MAX_SMS or counted.units > MAX_SEGMENTS:
        return Unfit("too_long", f"An SMS of {len(text)} characters and {counted.units} segments is too long.")
    return Rendered(language=job.language, text=text)


def _voice(job: Job, voices: Callable[[str], bool], *, carries_unsubscribe: bool) -> Rendered | Unfit:
    speech = job.texts.text(("speech", "text"), "speech")
    if speech is None:
        return _no_text("voice")
    if not voices(job.language):
        return Unfit("no_voice", f"There is no voice for {job.language}.")
    asks = ""
    if job.prompt is not None:
        keys = keys_instruction(job.prompt, job.phrases)
        if keys is None:
            return Unfit("cannot_prompt", f"A telephone's keys can't answer a question of kind {job.prompt.kind}.")
        asks = f"{one_line(job.question)} {keys}".strip()
    if carries_unsubscribe:
        asks = f"{asks} {stop_instruction(job.prompt, job.phrases)}".strip()
    if len(speech) + len(asks) > MAX_SPEECH:
        return Unfit("too_long", f"{len(speech) + len(asks)} characters are too long to be read aloud.")
    said = job.phrases.keys
    return Rendered(language=job.language, speech=speech, asks=asks, thanks=said.thanks, again=said.again)


def _free_text(job: Job, limit: int | None) -> Rendered | Unfit:
    text = _text(job, ("text",))
    if text is None:
        return _no_text("a chat message")
    asked = _asked(job)
    if job.prompt is not None and job.links.answer is not None:
        asked.append(job.phrases.page.or_answer_line.format(link=job.links.answer))
    whole = "\n\n".join(part for part in (text, "\n".join(asked)) if part)
    if limit is not None and len(whole.encode()) > limit:
        short = _behind_link(job)
        whole = "\n\n".join(part for part in (short or "", "\n".join(asked)) if part)
        if short is None or len(whole.encode()) > limit:
            return Unfit("too_long", f"A chat message holds {limit} bytes, and there is no subject to put instead.")
    subject = job.texts.text(("subject",), "line") or ""
    return Rendered(language=job.language, subject=subject, text=whole)


def _wechat_template(job: Job, default: DefaultTemplate | None) -> Rendered | Unfit:
    message = job.texts.wechat()
    if message is None:
        message = _from_default(job, default)
        if isinstance(message, Unfit):
            return message
    for field, value in message.data.items():
        limit = FIELD_LIMITS.get(_FIELD_KIND.sub("", field))
        if limit is not None and len(value) > limit:
            return Unfit("too_long", f"The WeChat field {field} holds {limit} characters, the text has {len(value)}.")
    url = message.url or job.links.message
    if job.prompt is not None:
        if job.links.answer is None:
            return Unfit("cannot_prompt", "A WeChat template message needs an answer page for a question.")
        url = job.links.answer
    return Rendered(language=job.language, wechat=WeChatTemplate(message.template_id, message.data, url))


def _from_default(job: Job, default: DefaultTemplate | None) -> WeChatTemplate | Unfit:
    """The default template with the subject in it; what is too long for a field ends in … and is whole behind the link."""
    text = job.texts.text(("text",), "line")
    subject = job.texts.text(("subject",), "line") or text
    if default is None or subject is None:
        return Unfit("no_template", "Outside WeChat's reply window a template is needed, and there is none.")
    values = {"subject": subject, "text": text or subject}
    data: dict[str, str] = {}
    try:
        for field, template in default.data.items():
            value = job.texts.line(template, values)
            limit = FIELD_LIMITS.get(_FIELD_KIND.sub("", field))
            data[field] = value if limit is None or len(value) <= limit else f"{value[: limit - 1].rstrip()}…"
    except (DataError, TemplateError) as error:
        return Unfit("no_template", f"The default WeChat template can't carry this message: {error}")
    return WeChatTemplate(default.id, data)


def _no_text(channel: str) -> Unfit:
    return Unfit("no_template", f"The message has no text for {channel}.")
