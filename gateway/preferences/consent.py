"""What a person agreed to and what they took back, read from the append-only ledger.

A withdrawal binds until a later grant lifts it, and only a grant as specific as the withdrawal does: "you may write to
me" in general never undoes "no marketing by SMS", while "stop everything" also ends what was once allowed by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from gateway.customer import ConsentEntry

Rule = Literal["asked", "opt_out", "opt_in"]
ANY: Final = "*"
LIFTED: Final = "lifted_by_"
"""What the way of a grant begins with that only takes back a withdrawal (START, following again): it is no opt-in."""
LEFT: Final = ("unfollow", "block")
"""How the way of a withdrawal ends that nobody said: they left the account, and come back by following again."""

_SAID_AT: Final = "address "


class Permission(msgspec.Struct, frozen=True):
    """May we write? `code` is stable (`opted_out`, `no_consent`, `granted`, `not_withdrawn`), `text` is for people."""

    allowed: bool
    code: str
    text: str


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one pair of channel and category stands today, and which entry decides it. `at` in ms."""

    channel: str
    category: str
    state: Literal["granted", "withdrawn"]
    at: int
    way: str
    wording: str
    proof: str | None = None
    address: str | None = None
    version: str | None = None
    source: str | None = None


def applies(entry: ConsentEntry, channel: str, category: str, address_key: str | None) -> bool:
    """True when the entry speaks of this channel, category and address (`address_key`: its keyed hash, or None)."""
    return (
        entry.channel in (channel, ANY)
        and entry.category in (category, ANY)
        and (entry.address is None or entry.address == address_key)
    )


def says(entry: ConsentEntry) -> str:
    """What an entry does: "granted", or "lifted" for a grant that is no opt-in; "withdrawn", or "left" where nobody said so.

    A word is thus never hidden by a later leaving, which coming back would lift.
    """
    if entry.state == "withdrawn":
        return "left" if entry.way.endswith(LEFT) else "withdrawn"
    return "lifted" if entry.way.startswith(LIFTED) else "granted"


def lifts(grant: ConsentEntry, withdrawal: ConsentEntry, at: str | None = None) -> bool:
    """True when the grant ends the withdrawal, for whatever both of them apply to, at the address `at` (its keyed hash).

    It must be later (a tie is a withdrawal), name each of channel and category that the withdrawal names, and, given
    from an address, speak to a withdrawal of that very address. Where the withdrawal was said, a general word
    without proof doesn't lift it: the address may be another's, too. A grant that only takes back (`LIFTED`) lifts what
    names the same, nothing wider.
    """
    source, given = where_said(withdrawal), where_said(grant)
    return (
        grant.state == "granted"
        and withdrawal.state == "withdrawn"
        and grant.at > withdrawal.at
        and withdrawal.channel in (ANY, grant.channel)
        and withdrawal.category in (ANY, grant.category)
        and grant.address in (None, withdrawal.address)
        and given in (None, source)
        and (at is None or at != source or given == source or grant.channel != ANY or grant.proof is not None)
        and (says(grant) != "lifted" or names(grant, withdrawal))
    )


def names(grant: ConsentEntry, withdrawal: ConsentEntry) -> bool:
    """True when both speak of the same category, or of the same whole channel: a word on surveys is none on STOP."""
    return withdrawal.category == grant.category and (grant.category != ANY or withdrawal.channel == grant.channel)


def ends(grant: ConsentEntry, withdrawal: ConsentEntry, at: str | None = None) -> bool:
    """True when the grant lifts the withdrawal and leaves nothing of it: it speaks of exactly as much."""
    same = grant.channel == withdrawal.channel and grant.category == withdrawal.category
    return same and lifts(grant, withdrawal, at)


def in_force(entries: Sequence[ConsentEntry]) -> list[ConsentEntry]:
    """The withdrawals that still bind something: no grant has ended them, though one may have lifted a part."""
    newest = _newest(entries)
    grants = [entry for entry in newest if entry.state == "granted"]
    withdrawn = [entry for entry in newest if entry.state == "withdrawn"]
    return [one for one in withdrawn if not any(ends(grant, one, where_said(one)) for grant in grants)]


def of_person(entries: Sequence[ConsentEntry]) -> list[ConsentEntry]:
    """Of the withdrawals in force those that bind the person at any address, not only where they were said."""
    grants = [entry for entry in entries if entry.state == "granted"]
    general = [one for one in in_force(entries) if one.address is None]
    return [one for one in general if not any(ends(grant, one) for grant in grants)]


def dated(entries: Iterable[ConsentEntry], withdrawal: ConsentEntry) -> ConsentEntry:
    """A withdrawal that is said now, as it is to be written: no grant on record already lifts it, whatever clocks say.

    A clock that was set back, or that counts in whole seconds, would put it before a grant that came first.
    """
    latest = max((one.at for one in entries if lifts(one, withdrawal)), default=withdrawal.at)
    return msgspec.structs.replace(withdrawal, at=latest)


def following(entries: Iterable[ConsentEntry], grant: ConsentEntry) -> ConsentEntry:
    """A grant that is given now, as it is to be written: after what was taken back in its very millisecond.

    For those words alone whose order is known since one person gave them one after the other; a tie that comes from
    elsewhere stays a withdrawal.
    """
    later = msgspec.structs.replace(grant, at=grant.at + 1)
    return later if any(one.at == grant.at and lifts(later, one) for one in entries) else grant


def opens(entries: Sequence[ConsentEntry], grant: ConsentEntry) -> bool:
    """True when the grant would lift, of some withdrawal, a part that no grant has lifted so far."""
    earlier = [one for one in _newest(entries) if one.state == "granted" and _covers(one, grant)]
    return any(
        lifts(grant, withdrawal, at) and not any(lifts(one, withdrawal, at) for one in earlier)
        for withdrawal in in_force(entries)
        for at in {withdrawal.address, where_said(withdrawal)}
    )


def permission(
    entries: Sequence[ConsentEntry], channel: str, category: str, address_key: str | None, rule: Rule
) -> Permission:
    """May a message of `category` go to this address on this channel?

    `rule` is the category's: `asked` (the person asked for it) and `opt_out` need no grant, `opt_in` does. No rule
    overrides a withdrawal.
    """
    binding, grant = _binding(entries, channel, category, address_key)
    if binding is not None:
        return Permission(allowed=False, code="opted_out", text=f"The customer has opted out of {_scope(binding)}.")
    if grant is not None and says(grant) == "granted":
        return Permission(allowed=True, code="granted", text=f"The customer has agreed to {_scope(grant)}.")
    if rule == "opt_in":
        text = f"{category} needs the customer's consent on {channel}, and there is none."
        return Permission(allowed=False, code="no_consent", text=text)
    why = "The customer asked for it." if rule == "asked" else "The customer has not opted out."
    return Permission(allowed=True, code="not_withdrawn", text=why)


def effective(entries: Sequence[ConsentEntry]) -> tuple[Standing, ...]:
    """How things stand for each (channel, category, address) that the ledger names, ordered by these.

    A pair counts as withdrawn too when a wider withdrawal covers it; the entry that decides is the one shown.
    """
    named = {(entry.channel, entry.category, entry.address) for entry in entries}
    general = of_person(entries)
    left = [one for one in in_force(entries) if one.address is None and one not in general]
    named |= {(one.channel, one.category, where_said(one)) for one in left}
    ordered = sorted(named, key=lambda pair: (pair[0], pair[1], pair[2] or ""))
    return tuple(_standing(entries, *pair) for pair in ordered)


def closed_by(entries: Sequence[ConsentEntry], address_key: str) -> tuple[tuple[str, str], ...]:
    """The (channel, category) pairs that this address closed and that are closed still: what its START lifts.

    STOP ALL binds the whole person, so its entry is bound to no address; its proof names the one it came from.
    """
    own = [entry for entry in entries if entry.state == "withdrawn" and _said_at(entry, address_key)]
    pairs = dict.fromkeys((entry.channel, entry.category) for entry in own)
    return tuple(
        pair for pair in pairs if any(_said_at(entry, address_key) for entry in _sides(entries, *pair, address_key)[0])
    )


def said_at(address_key: str) -> str:
    """The proof of an entry that was given at an address but binds the whole person."""
    return _SAID_AT + address_key


def where_said(entry: ConsentEntry) -> str | None:
    """The address (keyed hash) at which a word was said that speaks of other addresses, too; None: not known, or none such.

    Of one that was said for every channel, before the address was the person's, the address it binds. Entries of earlier
    releases name it in the proof.
    """
    if entry.address is not None:
        return entry.source if entry.source == entry.address else None
    marked = entry.source is None and entry.proof is not None and entry.proof.startswith(_SAID_AT)
    return entry.proof.removeprefix(_SAID_AT) if marked and entry.proof is not None else entry.source


def _said_at(entry: ConsentEntry, address_key: str) -> bool:
    if entry.address is not None:
        return entry.address == address_key
    return where_said(entry) == address_key


def _covers(wide: ConsentEntry, narrow: ConsentEntry) -> bool:
    """True when the first speaks of everything the second speaks of."""
    return (
        wide.channel in (ANY, narrow.channel)
        and wide.category in (ANY, narrow.category)
        and wide.address in (None, narrow.address)
    )


def _newest(entries: Iterable[ConsentEntry]) -> list[ConsentEntry]:
    """The newest entry of each scope and kind, so a ledger of thousands of lines is still read in one pass."""
    newest: dict[tuple[str, str, str, str | None, str | None], ConsentEntry] = {}
    for entry in entries:
        scope = (says(entry), entry.channel, entry.category, entry.address, entry.source)
        if scope not in newest or entry.at >= newest[scope].at:
            newest[scope] = entry
    return list(newest.values())


def _binding(
    entries: Sequence[ConsentEntry], channel: str, category: str, address_key: str | None
) -> tuple[ConsentEntry | None, ConsentEntry | None]:
    """The newest withdrawal still in force, and the newest grant, of all that apply."""
    withdrawals, grants = _sides(entries, channel, category, address_key)
    return max(withdrawals, key=_age, default=None), max(grants, key=_age, default=None)


def _sides(
    entries: Sequence[ConsentEntry], channel: str, category: str, address_key: str | None
) -> tuple[list[ConsentEntry], list[ConsentEntry]]:
    """The withdrawals no grant has lifted, and the grants, of all that apply."""
    newest = _newest(entry for entry in entries if applies(entry, channel, category, address_key))
    grants = [entry for entry in newest if entry.state == "granted"]
    withdrawn = [entry for entry in newest if entry.state == "withdrawn"]
    binding = [entry for entry in withdrawn if not any(lifts(grant, entry, address_key) for grant in grants)]
    return binding, [grant for grant in grants if says(grant) == "granted"] or grants


def _age(entry: ConsentEntry) -> tuple[int, str, str, str]:
    """Sorts by time; the rest makes the choice among equals the same whatever their order."""
    return entry.at, entry.channel, entry.category, entry.address or ""


def _standing(entries: Sequence[ConsentEntry], channel: str, category: str, address: str | None) -> Standing:
    binding, grant = _binding(entries, channel, category, address)
    decides = binding or grant
    if decides is None:
        raise ValueError("the ledger has no entry for this pair")
    return Standing(
        channel,
        category,
        decides.state,
        decides.at,
        decides.way,
        decides.wording,
        decides.proof,
        address,
        decides.version,
        decides.source,
    )


def _scope(entry: ConsentEntry) -> str:
    what = "all messages" if entry.category == ANY else f"{entry.category} messages"
    where = "every channel" if entry.channel == ANY else entry.channel
    return f"{what} on {where}" + (" at this address" if entry.address is not None else "")
