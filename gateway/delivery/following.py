"""More questions on one page: what a service asks after a message's own question, where there is room to show it all.

A text, a call or a chat asks one thing at a time. The answer page (`/a/{token}`) shows what else a survey would ask as soon
as the message's own question is answered, and lists it before. Whoever serves messages of a kind (`Message.about`,
"<kind>:<what>") registers a `Following` under that kind:

    gateway.following["response"] = surveys_page

An answer on the page comes in two steps. The message's own is written to the message like any other (`channel` "page"), so
the service's follower hears of it; as the page goes on asking, the service must send no next question after an answer by
"page". What is answered of the rest then comes by `Following.answered`, all that was filled in at once, perhaps a part,
perhaps more than once; a question that has been answered is shown no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from gateway.message import Message
from gateway.prompts import Answer, Prompt


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One question after a message's own. `id` is unique on the page, `prompt.question` are its words."""

    id: str
    prompt: Prompt


class Following(Protocol):
    """What a service asks after the questions of its messages."""

    async def following(self, message: Message, /) -> Sequence[Question]:
        """The questions still to be asked after this message's own, in order; none when it is over or closed."""
        ...

    async def answered(self, message: Message, given: Mapping[str, Answer], /) -> None:
        """Take in answers by the ids of their questions, each fitting its prompt. Again with the same ones changes nothing."""
        ...


def kind_of(message: Message) -> str | None:
    """The kind of thing a message serves; None: none."""
    return None if message.about is None else message.about.partition(":")[0]


class Questions:
    """Finds out what follows a message's question. `services`: by the kind of thing they serve."""

    def __init__(self, services: Mapping[str, Following]) -> None:
        self._services = services

    async def after(self, message: Message) -> Sequence[Question]:
        """What is still to be asked after a message's own question."""
        service = self._services.get(kind_of(message) or "")
        return () if service is None else await service.following(message)

    async def answered(self, message: Message, given: Mapping[str, Answer]) -> None:
        """Hand answers to whoever asks."""
        service = self._services.get(kind_of(message) or "")
        if service is not None and given:
            await service.answered(message, given)
