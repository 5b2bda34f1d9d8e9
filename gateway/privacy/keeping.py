"""What an erasure leaves, why, and for how long: said on every certificate."""

from __future__ import annotations

from gateway.privacy.certificate import Kept


def kept_after(keep_records: int) -> list[Kept]:
    """What stays after an erasure. `keep_records`: how long message records are kept, days."""
    return [
        Kept(
            "withdrawals",
            "So that nobody writes to the person against their will, not even under a new id: keyed hashes without words.",
            "until the person agrees again",
        ),
        Kept(
            "message records",
            "For the statistics: that a message was sent, how and when, without person, address, content and answer.",
            f"{keep_records} days after each message ended",
        ),
        Kept(
            "counters",
            "Limits against toll fraud count texts and calls by keyed hashes of addresses, and by minute and channel.",
            "1 day; by the minute 8 days",
        ),
        Kept(
            "this certificate",
            "To prove the erasure, and to erase again if an older back-up is restored: a keyed hash of the customer's id.",
            "3 years",
        ),
        Kept(
            "back-ups, and Redis' own file",
            "They can't be changed one person at a time. What is restored from one is erased again at once.",
            "until they are overwritten",
        ),
    ]
