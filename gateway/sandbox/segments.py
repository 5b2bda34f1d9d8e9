"""How many segments an SMS takes (3GPP TS 23.038: 160/153 septets, 70/67 UTF-16 units)."""

from __future__ import annotations

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[~]|€\f")


def segments(text: str) -> int:
    """The number of parts a carrier charges; an empty text is one."""
    if all(char in BASIC or char in EXTENDED for char in text):
        widths, single, part = [2 if char in EXTENDED else 1 for char in text], 160, 153
    else:
        widths, single, part = [2 if ord(char) > 0xFFFF else 1 for char in text], 70, 67
    if sum(widths) <= single:
        return 1
    count, used = 1, 0
    for width in widths:
        # A character of two units never straddles a border.
        if used + width > part:
            count, used = count + 1, 0
        used += width
    return count
