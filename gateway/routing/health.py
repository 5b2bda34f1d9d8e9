"""How healthy an address is on a channel: what its attempts taught us, weighed.

Evidence is a set: what comes twice counts once, and the order in which it comes doesn't matter. Which fault says what of
an address, how long it is held against it and how many doubts are too many stands in `routing.retry.REMEDIES`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from gateway.customer import AddressHealth, Evidence
from gateway.message import Fault
from gateway.routing.retry import REMEDIES

ALIVE: Final = ""
"""The fault of evidence that is none: the attempt reached the address after all, so what it taught before is void."""


_KNOWN: Final = {fault.value: fault for fault in Fault}


class _Finding(msgspec.Struct, frozen=True):
    """One fault's word on the address, since and until (ms), and the evidence it stands on."""

    state: Literal["good", "suspect", "suppressed"]
    since: int
    until: int
    evidence: tuple[Evidence, ...]


def weigh(
    evidence: Iterable[Evidence], now: int, *, proved_at: int | None = None, lifted_at: int | None = None
) -> AddressHealth | None:
    """The health that follows from all evidence at `now` (ms); None: nothing is held against the address.

    `proved_at`: the last proof of life; it takes away doubts up to then. `lifted_at`: when an operator lifted the
    suppression or the person proved the address theirs; it takes away everything up to then.
    """
    by_fault: dict[Fault, list[Evidence]] = {}
    for one in _by_attempt(evidence):
        fault = _KNOWN.get(one.fault)
        if fault is None or not counts(fault):
            continue  # a later release thinks more of it
        cleared = (lifted_at, proved_at) if REMEDIES[fault].address == "doubt" else (lifted_at,)
        if all(since is None or one.at > since for since in cleared):
            by_fault.setdefault(fault, []).append(one)
    findings = [found for fault, some in by_fault.items() if (found := _finding(fault, some, now)) is not None]
    for state in ("suppressed", "suspect", "good"):
        if said := [finding for finding in findings if finding.state == state]:
            return _health(said, proved_at)
    return None


def counts(fault: Fault) -> bool:
    """Whether a fault says something of the address."""
    return REMEDIES[fault].address in ("doubt", "suppress")


def _by_attempt(evidence: Iterable[Evidence]) -> list[Evidence]:
    """One piece of each attempt (as `news.absorb` merges them: the smaller word counts), the oldest first."""
    of: dict[str, Evidence] = {}
    for one in evidence:
        known = of.get(one.ref)
        of[one.ref] = one if known is None else min(known, one, key=_rank)
    return sorted((one for one in of.values() if one.fault != ALIVE), key=lambda one: (one.at, one.ref))


def _rank(one: Evidence) -> tuple[str, int, str]:
    return one.fault, one.at, one.provider_code or ""


def _finding(fault: Fault, evidence: list[Evidence], now: int) -> _Finding | None:
    """What one fault's evidence, the oldest first, says now; None: it has all lapsed."""
    remedy = REMEDIES[fault]
    held = remedy.held * 1000
    recent = tuple(one for one in evidence if one.at + held > now)
    if not recent:
        return None
    too_many = 1 if remedy.address == "suppress" else None if remedy.doubts is None else remedy.doubts + 1
    for state, least in (("suppressed", too_many), ("suspect", remedy.suspect)):
        spell = None if least is None else _spell(evidence, least, held, now)
        if spell is not None:
            return _Finding("suppressed" if state == "suppressed" else "suspect", *spell, recent)
    return _Finding("good", recent[0].at, recent[-1].at + held, recent)


def _spell(evidence: list[Evidence], least: int, held: int, now: int) -> tuple[int, int] | None:
    """Since when and until when there have without a break been `least` pieces of evidence not older than `held` ms."""
    since = until = None
    for last, one in enumerate(evidence):
        first = last - least + 1
        if first < 0 or evidence[first].at + held <= one.at:
            continue
        if until is None or until <= one.at:
            since = one.at
        until = one.at + held
    return (since, until) if since is not None and until is not None and until > now else None


def _health(findings: list[_Finding], proved_at: int | None) -> AddressHealth:
    """The findings of one state in one; the newest evidence gives the reason."""
    seen = sorted((one for found in findings for one in found.evidence), key=lambda one: (one.at, one.ref))
    newest = seen[-1]
    return AddressHealth(
        state=findings[0].state,
        reason=REMEDIES[Fault(newest.fault)].text,
        at=min(found.since for found in findings),
        until=max(found.until for found in findings),
        count=len(seen),
        code=newest.fault,
        evidence=newest,
        refs=tuple(sorted(one.ref for one in seen)),
        proved_at=proved_at,
    )
