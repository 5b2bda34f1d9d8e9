"""The rules of consent read from the public contract alone, by somebody who never saw the gateway's own reading.

    The newest entry of a pair decides, an entry naming the pair beats `*`, a tie is a withdrawal. Nothing overrides a
    withdrawal; only a later grant. Withdrawals made from an address follow the address.

It says when a message is *forbidden*. The gateway may be stricter, never laxer.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.customer import ConsentEntry


def forbidden(
    ledger: Sequence[ConsentEntry], channel: str, category: str, address: str | None, *, opt_in: bool
) -> str | None:
    """Why nothing of that kind may go to that address; None: the contract's words don't forbid it."""
    heard = [
        line
        for line in ledger
        if line.channel in ("*", channel) and line.category in ("*", category) and line.address in (None, address)
    ]
    for withdrawal in (line for line in heard if line.state == "withdrawn"):
        if not any(line.state == "granted" and line.at > withdrawal.at for line in heard):
            return f"nothing was granted after {withdrawal}"
    by_name = [line for line in heard if (line.channel, line.category) == (channel, category)]
    deciding = by_name or heard
    if deciding:
        newest = max(line.at for line in deciding)
        if any(line.state == "withdrawn" for line in deciding if line.at == newest):
            return f"the newest of {deciding} is a withdrawal"
    if opt_in and not any(line.state == "granted" for line in heard):
        return "there is no consent"
    return None
