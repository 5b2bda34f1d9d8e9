"""How a broadcast stands, from its record, its jobs and the counts. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from gateway.broadcasts.nouns import ALL, Broadcast, Counts, Job, Progress, Report
from gateway.store.standing import ByChannel

WINDOW_MS: Final = 60_000


def report(
    broadcast: Broadcast, jobs: Sequence[Job], counts: Mapping[str, int], channels: dict[str, ByChannel], now: int
) -> Report:
    """All that is shown of it at `now` (ms)."""
    state = broadcast.state
    names = ("waiting", "told_only", "reached", "unreached", "suppressed")
    made = sum(counts[name] for name in names)
    shown = Counts(
        audience=made,
        unknown=sum(job.unknown for job in jobs),
        **{name: counts[name] for name in (*names, "told", "acknowledged")},
    )
    of = _of(broadcast, shown)
    if of is not None and state == "cancelled":
        # Who has no message will not get one.
        shown = msgspec.structs.replace(shown, audience=of, suppressed=shown.suppressed + of - made)
    rate = _rate(jobs, made - shown.waiting, now)
    goes_on = state in ("expanding", "sending")
    whole = of if of is not None else _guessed(jobs, made)
    left = 0 if whole is None else whole - (made - shown.waiting)
    return Report(
        broadcast=broadcast,
        state=state,
        counts=shown,
        by_channel=channels,
        progress=Progress(percent=_percent(broadcast, shown, whole), expanded=made, of=of),
        rate=rate if goes_on else 0.0,
        eta=now + math.ceil(left / rate * 1000) if goes_on and left > 0 and rate > 0 else None,
    )


def _of(broadcast: Broadcast, counts: Counts) -> int | None:
    """How many people it is for, as soon as that is known."""
    named = None if broadcast.listed is None else max(counts.audience, broadcast.listed - counts.unknown)
    if broadcast.cancelled_at is not None:
        return counts.audience if named is None else named
    return counts.audience if broadcast.expanded_by == ALL else named


def _guessed(jobs: Sequence[Job], made: int) -> float | None:
    """How many people it will be for, if the rest of those to look at are like those looked at."""
    totals = [job.total for job in jobs]
    seen = sum(job.seen for job in jobs)
    if not totals or None in totals or not seen:
        return None
    return made * max(1.0, sum(total or 0 for total in totals) / seen)


def _percent(broadcast: Broadcast, counts: Counts, of: float | None) -> int | None:
    """The share of those who no longer wait, rounded down: 100 is kept for what is done."""
    if broadcast.state == "done":
        return 100
    if of is None:
        return None
    gone = counts.audience - counts.waiting
    if broadcast.cancelled_at is not None:
        gone -= counts.suppressed
    return 0 if not of else min(99, math.floor(100 * gone / of))


def _rate(jobs: Sequence[Job], gone: int, now: int) -> float:
    """How many a second ceased to wait, over the last minute or since it began."""
    windows = [[sample for sample in job.samples if sample.at >= now - WINDOW_MS] for job in jobs]
    firsts = [window[0] for window in windows if window]
    if not firsts:
        return 0.0
    since = min(sample.at for sample in firsts)
    quiet = sum(job.samples[-1].gone for job, window in zip(jobs, windows, strict=True) if job.samples and not window)
    before = sum(sample.gone for sample in firsts) + quiet
    return round(max(0, gone - before) / max(1.0, (now - since) / 1000), 2)
