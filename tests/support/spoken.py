"""What a TwiML document says and does, for tests."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from gateway.channels.base import Reply


def spoken(document: str | Reply) -> list[tuple[str, dict[str, str], str]]:
    """The verbs of a document in order, nested ones too: name, attributes, text."""
    if isinstance(document, Reply):
        assert document.content_type == "text/xml"
        document = document.body
    return [(verb.tag, verb.attrib, verb.text or "") for verb in list(ET.fromstring(document).iter())[1:]]  # noqa: S314 - our own document


def verbs(document: str | Reply) -> list[str]:
    return [name for name, _, _ in spoken(document)]


def said(document: str | Reply) -> list[str]:
    return [text for name, _, text in spoken(document) if name == "Say"]
