"""What routing knows of a channel: what it can do, and whether it is open now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.message import Lane, Level
from gateway.prompts import PromptKind


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel can do.

    `proves`: levels it can ever prove. `timeout`: seconds after which a send's answer is given up (the attempt's lease
    is longer). `window`: seconds after a person's last message in which free text may be sent (None: always).
    `finds`: can the provider be asked whether it took an attempt. `recalls`: can an unanswered attempt be ended.
    `rings`: seconds an attempt may still ring or run; no step ends meanwhile (0: not a call).
    """

    proves: frozenset[Level]
    prompts: frozenset[PromptKind] = frozenset(("acknowledge", "yes_no", "text", "scale", "choice"))
    timeout: float = 15.0
    window: int | None = None
    finds: bool = False
    recalls: bool = False
    rings: int = 0


class ChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as it stands now.

    `shut`: why nothing goes out (None: open); `until`: when to look again (ms). `paced_until`: nothing goes out before
    (ms), because the provider asked us to wait. `waits`: expected wait in line by lane, ms.
    """

    traits: Traits
    shut: Literal["channel_down", "paused"] | None = None
    until: int = 0
    paced_until: int = 0
    waits: Mapping[Lane, int] = {}
