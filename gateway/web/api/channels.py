"""Channels: what is up, and the operators' hand on it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway.message import Lane, Level
from gateway.web.context import ChannelCondition, ChannelState
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import not_found


class ChannelOut(msgspec.Struct, frozen=True, kw_only=True):
    """A channel. `missing`: its settings are; `broken`: its provider doesn't answer, and is tried again by itself."""

    name: str
    state: ChannelCondition
    reason: str | None
    proves: tuple[Level, ...]
    waiting: dict[Lane, int]


class ChannelList(msgspec.Struct, frozen=True):
    """Every channel, the missing ones too."""

    items: tuple[ChannelOut, ...]
    next: str | None = None


class PauseIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; colleagues read it."""

    reason: Annotated[str, Meta(min_length=1, max_length=512)]


def _out(state: ChannelState) -> ChannelOut:
    return ChannelOut(
        name=state.name, state=state.state, reason=state.reason, proves=state.proves, waiting=dict(state.waiting)
    )


async def listed(call: Call[None, NoQuery]) -> Answer:
    """All channels."""
    return Answer(body=ChannelList(tuple(_out(state) for state in await call.gateway.board.states())))


def _by(call: Call[Any, Any]) -> str:
    return f"key {call.key.id}"


async def pause(call: Call[PauseIn, NoQuery]) -> Answer:
    """Nothing new begins on it; critical messages go on by others."""
    state = await call.gateway.board.pause(call.path["name"], call.body.reason, _by(call))
    if state is None:
        raise not_found("channel")
    return Answer(body=_out(state))


async def resume(call: Call[PauseIn, NoQuery]) -> Answer:
    """Its line goes on at the allowed rate, whatever its provider had asked us to wait."""
    state = await call.gateway.board.resume(call.path["name"], call.body.reason, _by(call))
    if state is None:
        raise not_found("channel")
    return Answer(body=_out(state))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/channels",
        name="listChannels",
        tag="Channels",
        scope="read",
        handler=listed,
        summary="What is up",
        answers={200: ChannelList},
    ),
    Operation(
        method="POST",
        path="/v1/channels/{name}/pause",
        name="pauseChannel",
        tag="Channels",
        scope="operate",
        handler=pause,
        summary="Pause a channel",
        body=PauseIn,
        answers={200: ChannelOut},
        refuses=(404,),
        example={"reason": "Wrong sender name"},
        example_path={"name": "sms"},
    ),
    Operation(
        method="POST",
        path="/v1/channels/{name}/resume",
        name="resumeChannel",
        tag="Channels",
        scope="operate",
        handler=resume,
        summary="Resume a channel",
        body=PauseIn,
        answers={200: ChannelOut},
        refuses=(404,),
        example={"reason": "Mended"},
        example_path={"name": "sms"},
    ),
)
