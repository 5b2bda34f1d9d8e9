"""The operator's colour on the public pages, by day and by night."""

from __future__ import annotations

from typing import Final

from gateway.settings_tables import luminance

_NIGHT: Final = "#19212a"
_READABLE: Final = 5.5
"""Contrast that letters in the colour have by night; WCAG 2.2 asks for 4.5 to 1."""


def stylesheet(colour: str) -> bytes:
    """A stylesheet that puts the colour (#rrggbb, dark enough for white letters) in the place of ours."""
    night = lightened(colour)
    return (
        f":root {{ --accent: {colour}; --on-accent: #ffffff; --wash: color-mix(in srgb, {colour} 10%, #ffffff); }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ --accent: {night}; --on-accent: #10161d; "
        f"--wash: color-mix(in srgb, {night} 16%, {_NIGHT}); }} }}\n"
    ).encode()


def contact_link(contact: str | None) -> str | None:
    """Where a link to the operator's contact leads: a telephone number, an e-mail address or a web address."""
    if contact is None:
        return None
    scheme = "tel:" if contact.startswith("+") else "mailto:" if "@" in contact and "://" not in contact else ""
    return scheme + contact


def lightened(colour: str) -> str:
    """The colour with as much white as it takes to be read by night."""
    for share in range(0, 101, 5):
        parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        mixed = "#" + "".join(f"{round(part + (255 - part) * share / 100):02x}" for part in parts)
        if (luminance(mixed) + 0.05) / (luminance(_NIGHT) + 0.05) >= _READABLE:
            return mixed
    return "#ffffff"
