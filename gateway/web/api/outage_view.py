"""Outages and their people as callers see them."""

from __future__ import annotations

import msgspec

from gateway.outages.board import Standing
from gateway.outages.counting import Counts
from gateway.outages.nouns import Outage, Visit
from gateway.outages.recipients import Recipient
from gateway.text import mask
from gateway.web.api.message_view import attempt_view, plain
from gateway.web.api.outage_types import (
    OutageChannel,
    OutageCounts,
    OutageOut,
    OutagePart,
    RecipientAddress,
    RecipientOut,
    VisitOut,
)
from gateway.web.api.types import wire_time, wire_time_or_none
from gateway.web.api.types_out import WhyOut
from gateway.web.worklist.rows import area_of


def outage_view(outage: Outage, standing: Standing) -> OutageOut:
    """An outage with its counts."""
    parts = [OutagePart(broadcast=one.broadcast, kind=one.kind, at=wire_time(one.at)) for one in outage.parts]
    parts += [OutagePart(broadcast=one.id, kind="retry", at=wire_time(one.created_at)) for one in standing.repeats]
    return OutageOut(
        id=outage.id,
        title=outage.title,
        state=outage.state,
        thread=outage.thread,
        broadcast=outage.newest.broadcast,
        counts=_counts(standing.counts),
        by_channel={
            name: msgspec.convert(msgspec.to_builtins(share), OutageChannel)
            for name, share in standing.by_channel.items()
        },
        all_clear=None if standing.all_clear is None else _counts(standing.all_clear),
        broadcasts=tuple(sorted(parts, key=lambda part: part.at)),
        created_at=wire_time(outage.created_at),
        resolved_at=wire_time_or_none(outage.resolved_at),
    )


def recipient_view(one: Recipient, *, unmasked: bool) -> RecipientOut:
    """One person. What says who they are is for those who may know customers."""
    show, customer = plain if unmasked else mask, one.customer
    why = one.why
    return RecipientOut(
        customer=customer.id,
        name=customer.name if unmasked else None,
        state=one.state,
        medical_priority=one.medical,
        told=one.told,
        acknowledged=one.acknowledged,
        why=None if why is None else WhyOut(why.code, why.text),
        area=area_of(one) if unmasked else None,
        attributes=customer.attributes if unmasked else {},
        addresses=tuple(RecipientAddress(a.channel, show(a.channel, a.value)) for a in customer.addresses),
        attempts=tuple(attempt_view(attempt, show) for attempt in one.attempts),
        visited=None if one.visit is None else visit_view(one.visit),
        message=one.message.id,
    )


def visit_view(visit: Visit) -> VisitOut:
    """A mark."""
    return VisitOut(by=visit.by, at=wire_time(visit.at), note=visit.note)


def _counts(counts: Counts) -> OutageCounts:
    return msgspec.convert(msgspec.to_builtins(counts), OutageCounts)
