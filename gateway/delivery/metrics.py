"""What Prometheus is told. Names and units follow its conventions: base units, `_total` for counters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from gateway.channels.base import Accepted, Refused, Unknown

SEND_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REACH_BUCKETS: Final = (1, 5, 15, 60, 300, 900, 3600, 14400, 86400)


class Metrics:
    """The figures of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accepted = Counter(
            "gateway_accepted_messages", "Messages accepted.", ["mode", "category"], registry=registry
        )
        self._attempts = Counter(
            "gateway_attempts",
            "Attempts handed to a provider, by how it answered.",
            ["channel", "outcome"],
            registry=registry,
        )
        self._send = Histogram(
            "gateway_send_seconds",
            "How long a provider took to answer.",
            ["channel"],
            buckets=SEND_BUCKETS,
            registry=registry,
        )
        self._verdicts = Counter(
            "gateway_verdicts", "Messages that ended, by verdict.", ["category", "state", "code"], registry=registry
        )
        self._reached = Histogram(
            "gateway_reach_seconds",
            "From falling due to the proof that the person was reached.",
            ["category", "channel"],
            buckets=REACH_BUCKETS,
            registry=registry,
        )
        self._window = Gauge(
            "gateway_channel_window",
            "Attempts that this process may have under way on a channel at a time.",
            ["channel"],
            registry=registry,
        )
        self._open = Gauge(
            "gateway_breaker_open", "1 while a channel's breaker is open.", ["channel"], registry=registry
        )
        self._mended = Counter(
            "gateway_housekeeping_mended",
            "What should not have been: live records that nothing would wake, entries without a record.",
            ["what"],
            registry=registry,
        )
        self._outlived = Counter(
            "gateway_housekeeping_outlived", "What was removed because its time was over.", ["what"], registry=registry
        )
        self._kept_house = Gauge(
            "gateway_housekeeping_finished_timestamp_seconds",
            "When this process last finished a walk through every key.",
            registry=registry,
        )

        self._memory = Gauge(
            "gateway_store_memory_ratio", "Used share of Redis' memory, of the fullest server.", registry=registry
        )
        self._refused = Counter(
            "gateway_refused_requests", "Requests refused for want of room.", ["lane", "why"], registry=registry
        )

        self._too_late = Counter(
            "gateway_news_of_erased", "News of messages whose person has been erased, not taken in", registry=registry
        )
        self._of_others = Counter(
            "gateway_news_of_others",
            "News for an attempt under another id than its provider gave it, not taken in.",
            ["channel"],
            registry=registry,
        )
        self._limited = Counter(
            "gateway_limited_attempts",
            "Texts and calls that a limit of the settings kept from beginning.",
            ["limit", "of"],
            registry=registry,
        )

        self._returned = Counter(
            "gateway_returned_mails", "Mails that came back, by what they were.", ["outcome"], registry=registry
        )

    def too_late(self) -> None:
        """News came of a message whose person has been erased; nothing is kept of it."""
        self._too_late.inc()

    def of_another(self, channel: str) -> None:
        """News came for an attempt under another id than the provider gave it."""
        self._of_others.labels(channel).inc()

    def returned(self, outcome: str) -> None:
        """A mail came back; `outcome`: what it was, or why nothing could be made of it."""
        self._returned.labels(outcome).inc()

    def limited(self, limit: str, of: str) -> None:
        """A limit bit: which, and the prefix or the country it is for."""
        self._limited.labels(limit, of).inc()

    def memory(self, share: float) -> None:
        """How full the store's memory is, 0 to 1."""
        self._memory.set(share)

    def refused(self, lane: str, why: str) -> None:
        """A request was refused for want of room: `why` is "memory" or "busy"."""
        self._refused.labels(lane, why).inc()

    def accepted(self, mode: str, category: str) -> None:
        """A message was accepted."""
        self._accepted.labels(mode, category).inc()

    def sent(self, channel: str, outcome: Accepted | Refused | Unknown, seconds: float) -> None:
        """A provider answered, or its answer was lost."""
        said = outcome.fault if isinstance(outcome, Refused) else type(outcome).__name__.lower()
        self._attempts.labels(channel, said).inc()
        self._send.labels(channel).observe(seconds)

    def ended(self, category: str, state: str, code: str | None) -> None:
        """A message is done."""
        self._verdicts.labels(category, state, code or "").inc()

    def reached(self, category: str, channel: str | None, seconds: float) -> None:
        """A person was reached."""
        self._reached.labels(category, channel or "").observe(max(0.0, seconds))

    def watch(self, channel: str, is_open: Callable[[], float], window: Callable[[], float]) -> None:
        """Look at a channel whenever somebody asks: whether its breaker is open, how many attempts may be under way."""
        self._open.labels(channel).set_function(is_open)
        self._window.labels(channel).set_function(window)

    def mended(self, what: str, count: int) -> None:
        """Housekeeping found something that should not have been."""
        if count:
            self._mended.labels(what).inc(count)

    def outlived(self, what: str, count: int) -> None:
        """Housekeeping removed what had outlived its time."""
        if count:
            self._outlived.labels(what).inc(count)

    def kept_house(self, seconds: float) -> None:
        """A walk through every key has ended; `seconds` since the epoch."""
        self._kept_house.set(seconds)
