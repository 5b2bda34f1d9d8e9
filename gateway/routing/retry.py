"""What each fault asks for: the one home of durable retries.

`tenacity` repeats only what is provably safe inside a channel (no connection was made). Everything that must outlive
the process, and everything a provider answered, is decided here.
"""

from __future__ import annotations

import zlib
from typing import Final, Literal

import msgspec

from gateway.message import Attempt, Fault

Effect = Literal["nothing", "doubt", "suppress", "opted_out"]
MONTH_S: Final = 30 * 86_400
HALF_YEAR_S: Final = 180 * 86_400


class Remedy(msgspec.Struct, frozen=True):
    """What to do about a fault.

    `here`: try the same channel again, `tries` times at most, first after `first` seconds, doubling up to `most`.
    Without `here` the next channel follows at once. `address`: what the fault says about the address. `shuts`: the
    provider refuses us as a whole, so the channel's breaker opens.

    What it says is held against the address for `held` seconds. Of a "doubt" so many within that time make the address
    `suspect`, and one more than `doubts` suppress it (None: however many there are).
    """

    text: str
    here: bool = False
    tries: int = 0
    first: int = 0
    most: int = 0
    address: Effect = "nothing"
    shuts: bool = False
    held: int = MONTH_S
    suspect: int = 1
    doubts: int | None = None


REMEDIES: Final[dict[Fault, Remedy]] = {
    Fault.THROTTLED: Remedy("The provider asked us to slow down.", here=True, tries=20, first=1, most=300),
    Fault.QUOTA: Remedy("The provider's daily allowance is used up."),
    Fault.UNAVAILABLE: Remedy("The provider could not take it just now.", here=True, tries=20, first=1, most=600),
    Fault.NOT_TAKEN: Remedy("The provider says that it never got it.", here=True, tries=3, first=0, most=60),
    Fault.UNREACHABLE: Remedy("The person's device or mailbox could not be reached.", address="doubt", doubts=10),
    Fault.NO_ANSWER: Remedy("Nobody answered.", address="doubt", suspect=3),
    Fault.BUSY: Remedy("The line was busy."),
    Fault.BAD_ADDRESS: Remedy("The address does not exist on this channel.", address="suppress", held=HALF_YEAR_S),
    Fault.DOUBTFUL_ADDRESS: Remedy("The address seems not to exist.", address="doubt", doubts=1, held=HALF_YEAR_S),
    Fault.MAILBOX_FULL: Remedy("The mailbox is full.", address="doubt", doubts=5),
    Fault.OPTED_OUT: Remedy("The person has blocked us there.", address="opted_out"),
    Fault.DECLINED: Remedy("The person refuses this kind of message there."),
    Fault.BLOCKED: Remedy("The carrier blocks our messages to this address.", address="suppress"),
    Fault.FILTERED: Remedy("The carrier took the message for unwanted traffic."),
    Fault.CONTENT_REFUSED: Remedy("The provider refused the content."),
    Fault.TOO_LATE: Remedy("It waited too long at the provider and was dropped there."),
    Fault.NO_WINDOW: Remedy("The person has not written lately, so the provider allows no free text."),
    Fault.MISCONFIGURED: Remedy("Our settings at the provider are wrong for this."),
    Fault.ACCOUNT_SHUT: Remedy("The provider refuses our account.", shuts=True),
    Fault.CANCELED: Remedy("It was cancelled before it left."),
    Fault.UNEXPLAINED: Remedy("The provider gave no usable reason."),
}


def retry_at(attempt: Attempt, tries: int) -> int | None:
    """When (ms) a failed attempt may be repeated on the same channel; None: never.

    `tries` counts the failed attempts of this step so far, this one included. The wait doubles, is jittered by ±20 %
    from the attempt's own id (so that deciding again gives the same answer), and honours the provider's Retry-After.
    """
    remedy = REMEDIES[attempt.fault or Fault.UNEXPLAINED]
    if not remedy.here or tries > remedy.tries:
        return None
    wait_ms = min(remedy.first * 2 ** (tries - 1), remedy.most) * 1000
    jitter = zlib.crc32(f"{attempt.provider_id}{attempt.id}{attempt.started_at}".encode()) % 401 - 200
    wait_ms += wait_ms * jitter // 1000
    return attempt.times.get("failed", attempt.started_at) + max(wait_ms, (attempt.retry_after or 0) * 1000)
