"""What operators wrote, as it stands in the built-in texts: a phrase inside a sentence, or a sentence by itself."""

from __future__ import annotations

from typing import Final

_STOPS: Final = ".。"
_ENDS: Final = (*_STOPS, "!", "?", "！", "？", "…", ";", ":", "：")
_IDEOGRAPHS: Final = ("\u3400", "\u9fff")


def phrase(text: str) -> str:
    """Without the full stop, which the sentence around it has."""
    return text.strip().rstrip(_STOPS).rstrip() or text


def sentence(text: str) -> str:
    """With a full stop, as its script has it, unless it ends in another way."""
    text = text.strip()
    if text.endswith(_ENDS):
        return text
    return text + ("。" if _IDEOGRAPHS[0] <= text[-1:] <= _IDEOGRAPHS[1] else ".")
