"""What a template looks like on each channel, with given data, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from gateway.content.content import Body, Template, problems
from gateway.content.language import SUPPLIED
from gateway.content.links import Links, Unfit
from gateway.content.render import render
from gateway.content.words import WeChatTemplate
from gateway.text import segments

_LINKS: Final = Links(message="https://example.com/m/preview", preferences=SUPPLIED["preferences_link"])


class SegmentCount(msgspec.Struct, frozen=True):
    """How an SMS travels: `units` are the segments that a carrier charges."""

    encoding: str
    units: int
    length: int


class ChannelPreview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel's words, or `unfit`: why it can't carry them."""

    language: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    speech: str | None = None
    wechat: WeChatTemplate | None = None
    segments: SegmentCount | None = None
    unfit: Unfit | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All channels. `problems`: (JSON pointer, sentence) of data that doesn't fit; then `channels` is empty."""

    channels: dict[str, ChannelPreview] = {}
    problems: tuple[tuple[str, str], ...] = ()


def preview(
    template: Template,
    data: dict[str, Any],
    locale: str | None,
    *,
    channels: Iterable[str],
    default_locale: str = "en",
    time_zone: str = "UTC",
) -> Preview:
    """Render a template for each of `channels`, WeChat as outside its reply window where the template has such a part."""
    body = Body(template=template, data=data)
    wrong = problems(body)
    if wrong:
        return Preview(problems=tuple(wrong))
    return Preview(
        channels={channel: _channel(body, channel, locale, default_locale, time_zone) for channel in channels}
    )


def _channel(body: Body, channel: str, locale: str | None, default: str, zone: str) -> ChannelPreview:
    has_part = body.template is not None and any(parts.wechat for parts in body.template.locales.values())
    words = render(
        body,
        channel,
        language=locale,
        default_locale=default,
        time_zone=zone,
        prompt=None,
        links=_LINKS,
        voices=lambda _language: True,
        default_wechat_template=None,
        in_window=not has_part,
        carries_unsubscribe=False,
    )
    if isinstance(words, Unfit):
        return ChannelPreview(unfit=words)
    return ChannelPreview(
        language=words.language,
        subject=words.subject or None,
        text=words.text or None,
        html=words.html,
        speech=words.speech or None,
        wechat=words.wechat,
        segments=SegmentCount(*segments(words.text)) if channel == "sms" else None,
    )
