"""From a message and its stored content to the words for one channel, with the signed links in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from gateway.channels.base import Outbound, Rendered
from gateway.content.content import Body
from gateway.content.render import Unfit, render
from gateway.customer import Customer
from gateway.links import ANSWER, MESSAGE, PREFERENCES, UNSUBSCRIBE, Links, message_payload, preference_payload
from gateway.message import Attempt, Message
from gateway.routing.policy import Category
from gateway.settings_types import Settings

PAGE_LIVES_MS: Final = 30 * 86_400_000
UNSUBSCRIBE_LIVES_MS: Final = 365 * 86_400_000
_body_decoder: Final = msgspec.msgpack.Decoder(Body)
_body_encoder: Final = msgspec.msgpack.Encoder()


def pack(body: Body) -> bytes:
    """A body as it is stored."""
    return _body_encoder.encode(body)


def unpack(raw: bytes) -> Body:
    """A stored body. Raises msgspec.DecodeError."""
    return _body_decoder.decode(raw)


class SignedPages:
    """A message's own pages. An address is signed when it is asked for, and is the same whenever that is.

    `channel`: the one whose words carry them, which those to the message itself name; None: they name none.
    """

    def __init__(self, links: Links, message: Message, category: Category, channel: str | None = None) -> None:
        self._links = links
        self._message = message
        self._category = category
        self._mine = message_payload(message.id, channel)
        self._made: dict[str, str] = {}

    @property
    def message(self) -> str:
        """The whole message."""
        return self._url("m", MESSAGE, self._mine, PAGE_LIVES_MS)

    @property
    def answer(self) -> str:
        """The answer page."""
        return self._url("a", ANSWER, self._mine, PAGE_LIVES_MS)

    @property
    def unsubscribe(self) -> str | None:
        """Unsubscribing, from a category that one can leave."""
        if not self._category.unsubscribe:
            return None
        return self._url("u", UNSUBSCRIBE, self._message.id, UNSUBSCRIBE_LIVES_MS)

    @property
    def preferences(self) -> str | None:
        """The person's preferences; codes and replies, which somebody just asked for, don't lead there."""
        if self._category.consent == "asked":
            return None
        whose = preference_payload(self._message.mode, self._message.customer, self._message.born)
        return self._url("p", PREFERENCES, whose, PAGE_LIVES_MS)

    def _url(self, path: str, purpose: str, payload: str, lives: int) -> str:
        known = self._made.get(path)
        if known is None:
            ends = self._message.created_at + lives
            known = self._made[path] = self._links.url_until(path, purpose, payload, ends)
        return known


class Words:
    """Renders messages. `voices` says whether voice can speak a language."""

    def __init__(self, settings: Settings, links: Links, voices: Callable[[str], bool]) -> None:
        self._settings = settings
        self._links = links
        self._voices = voices

    def links(self, message: Message, category: Category, channel: str | None = None) -> SignedPages:
        """The message's own pages, as the words for a channel carry them."""
        return SignedPages(self._links, message, category, channel)

    def render(
        self,
        message: Message,
        body: Body,
        customer: Customer,
        category: Category,
        channel: str,
        *,
        in_window: bool,
        led_by: str | None = None,
    ) -> Rendered | Unfit:
        """The words for one channel, or why it can't carry them.

        `led_by`: of words shown on a page, the channel that brought the link there: the links in them name it.
        """
        wechat = self._settings.wechat
        return render(
            body,
            channel,
            language=customer.preferences.language or customer.locale,
            default_locale=self._settings.default_locale,
            time_zone=customer.time_zone or self._settings.default_time_zone,
            prompt=message.prompt,
            links=self.links(message, category, led_by or channel),
            voices=self._voices,
            default_wechat_template=wechat.default_template if wechat else None,
            in_window=in_window,
            carries_unsubscribe=category.unsubscribe,
        )

    def outbound(
        self,
        message: Message,
        attempt: Attempt,
        words: Rendered,
        category: Category,
        callback_base: str,
        deadline: int,
        now: int,
        *,
        in_window: bool,
    ) -> Outbound:
        """One attempt, ready to be handed over."""
        return Outbound(
            message=message.id,
            attempt=attempt.id,
            mode=message.mode,
            round=attempt.round,
            token=token_of(message, attempt),
            to=attempt.address,
            category=message.category,
            words=words,
            valid_for=max(1, (deadline - now) // 1000),
            callback_base=callback_base,
            prompt=message.prompt,
            unsubscribe_url=self.links(message, category).unsubscribe if attempt.channel == "email" else None,
            in_window=in_window,
        )


def token_of(message: Message, attempt: Attempt) -> str:
    """The same for every repeat of a (message, channel, address, round), so that a repeat can be recognised."""
    first = next(
        n
        for n, other in enumerate(message.attempts, 1)
        if (other.channel, other.address, other.round) == (attempt.channel, attempt.address, attempt.round)
    )
    return f"{message.id}-{first}"


def in_window(customer: Customer, channel: str, window: int | None, now: int) -> bool:
    """Whether free text may be sent: always, or for `window` seconds after the person last wrote there."""
    return window is None or customer.wrote_at.get(channel, 0) + window * 1000 > now
