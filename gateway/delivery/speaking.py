"""An attempt's words as they go to a provider: rendered when its turn comes, and once more when somebody asks again."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.channels.base import Outbound, Rendered
from gateway.content.render import Unfit
from gateway.delivery.desk import Case, Desk
from gateway.delivery.pacing import Switchboard
from gateway.delivery.words import Words, in_window, unpack
from gateway.message import Attempt, Mode
from gateway.routing.view import Turn
from gateway.store.clock import Clock


class Speaker:
    """Puts messages into words. `callback_base`: where the providers of a mode find us."""

    def __init__(
        self,
        desk: Desk,
        words: Words,
        boards: Mapping[Mode, Switchboard],
        clock: Clock,
        callback_base: Callable[[Mode], str],
    ) -> None:
        self._desk = desk
        self._words = words
        self._boards = boards
        self._clock = clock
        self._callback_base = callback_base

    async def render(self, case: Case, turn: Turn) -> Rendered | Unfit:
        """A message's words for a channel, or why there are none."""
        message = case.message
        raw = await self._desk.messages.body(message)
        if raw is None:
            return Unfit("no_template", "The content has outlived its retention.")
        traits = self._boards[message.mode].posts[turn.channel].channel.traits
        window = in_window(case.customer, turn.channel, traits.window, self._clock.now())
        category = self._desk.category(message)
        return self._words.render(message, unpack(raw), case.customer, category, turn.channel, in_window=window)

    def outbound(self, case: Case, attempt: Attempt, words: Rendered, deadline: int) -> Outbound:
        """What goes to the provider."""
        message, now = case.message, self._clock.now()
        traits = self._boards[message.mode].posts[attempt.channel].channel.traits
        return self._words.outbound(
            message,
            attempt,
            words,
            self._desk.category(message),
            self._callback_base(message.mode),
            deadline,
            now,
            in_window=in_window(case.customer, attempt.channel, traits.window, now),
        )

    async def speak(self, message_id: str, attempt_id: str) -> Outbound | None:
        """An attempt's words once more, for a callback that must be answered with them."""
        case = await self._desk.reopen(message_id)
        attempt = case.message.attempt(attempt_id) if case is not None else None
        if case is None or attempt is None:
            return None
        address = next((a for a in case.customer.addresses if a.value == attempt.address), None)
        turn = Turn(attempt.channel, address, attempt.round) if address is not None else None
        words = await self.render(case, turn) if turn is not None else None
        return (
            self.outbound(case, attempt, words, self._desk.decide(case).deadline)
            if isinstance(words, Rendered)
            else None
        )
