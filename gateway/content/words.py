"""The words for one channel: what rendering makes and channels send."""

from __future__ import annotations

import msgspec


class WeChatTemplate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A WeChat template message: `data` maps a field to its value, already rendered."""

    template_id: str
    data: dict[str, str]
    url: str | None = None


class Attachment(msgspec.Struct, frozen=True):
    """A file that travels with an e-mail. `type` is a MIME type."""

    name: str
    type: str
    data: bytes


class Rendered(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The words for one channel, final: the question, its instructions and links are already in them.

    `text` is what SMS, WeChat free text and the text part of an e-mail carry; `speech` what voice reads, `asks` what it
    says after the speech to ask for a key; `language` is BCP 47.
    """

    language: str
    subject: str = ""
    text: str = ""
    html: str | None = None
    speech: str = ""
    asks: str = ""
    thanks: str = ""
    again: str = ""
    wechat: WeChatTemplate | None = None
    attachments: tuple[Attachment, ...] = ()
