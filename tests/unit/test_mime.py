"""The bytes of a mail."""

from __future__ import annotations

import email
import email.policy
import time
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels import mime
from gateway.channels.base import Attachment, Rendered
from gateway.channels.verp import read_verp, verp_address, verp_token

ENVELOPE = mime.Envelope(
    sender="Acme Δίκτυα <no-reply@acme.example>",
    to="maria@example.org",
    token="tok-1",
    now=1_795_327_932_000,
    ref="m.a.tag",
    unsubscribe_url="https://gw.example/u/" + "t" * 420,
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)


def built(envelope: mime.Envelope = ENVELOPE, **words: Any) -> mime.Mail:
    given: dict[str, Any] = {"language": "en", "subject": "Hello", "text": "Hi"}
    return mime.build(Rendered(**(given | words)), envelope)


def parsed(mail: mime.Mail) -> EmailMessage:
    return email.message_from_bytes(mail.data, policy=email.policy.default)


def body(mail: mime.Mail, kind: str) -> str:
    part = parsed(mail).get_body((kind,))
    assert part is not None
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw.decode()


def check_wire(data: bytes) -> None:
    assert data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert data.isascii()


HEADERS = [
    "Date",
    "From",
    "To",
    "Message-ID",
    "Subject",
    "MIME-Version",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "Content-Language",
    "X-Message-Ref",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Content-Type",
]


@given(subject=TEXTS, text=TEXTS, html=TEXTS, name=TEXTS, file=TEXTS)
def test_any_text_survives_and_adds_no_header(subject: str, text: str, html: str, name: str, file: str) -> None:
    envelope = msgspec.structs.replace(ENVELOPE, sender="no-reply@acme.example")
    mail = built(envelope, subject=subject, text=text, html=html, attachments=(Attachment(file, name, b"\x00\n."),))
    check_wire(mail.data)
    read = parsed(mail)
    assert list(read.keys()) == HEADERS
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert body(mail, "plain").rstrip("\r\n") == "\r\n".join(lines).rstrip("\r\n")
    (attached,) = read.iter_attachments()
    assert attached.get_payload(decode=True) == b"\x00\n."


@pytest.mark.parametrize(
    "subject",
    [
        "Hello",
        "",
        "Διακοπή ρεύματος στην Κυψέλη — επείγον, παρακαλούμε διαβάστε προσεκτικά όλο το κείμενο",
        "停电通知" * 40,
        "=?utf-8?B?SGVsbG8=?= looks encoded",
        "word " * 60 + "end",
        "x" * 300,
        "🙂" * 50,
    ],
)
def test_subject(subject: str) -> None:
    mail = built(subject=subject)
    check_wire(mail.data)
    assert parsed(mail)["subject"] == subject
    header = mail.data.partition(b"Subject:")[2].partition(b"MIME-Version")[0]
    assert all(len(line) <= 78 for line in header.split(b"\r\n"))


@pytest.mark.parametrize(
    "sender, name",
    [
        ("no-reply@acme.example", ""),
        ("Acme <no-reply@acme.example>", "Acme"),
        ('"Acme, Inc. (GR)" <no-reply@acme.example>', "Acme, Inc. (GR)"),
        (r'"A \"quoted\" name" <no-reply@acme.example>', 'A "quoted" name'),
        (
            "Ακμή Δίκτυα Ηλεκτρισμού Ανώνυμη Εταιρεία <no-reply@acme.example>",
            "Ακμή Δίκτυα Ηλεκτρισμού Ανώνυμη Εταιρεία",
        ),
    ],
)
def test_sender(sender: str, name: str) -> None:
    mail = built(msgspec.structs.replace(ENVELOPE, sender=sender))
    # The old policy: the new one keeps the blank between encoded words of a phrase.
    given = parseaddr(str(email.message_from_bytes(mail.data)["from"]))
    assert (str(make_header(decode_header(given[0]))), given[1]) == (name, "no-reply@acme.example")


@pytest.mark.parametrize("length", [30, 78, 420, 950, 960, 990])
def test_unsubscribe_link_is_never_broken(length: int) -> None:
    link = "https://gw.example/u/".ljust(length, "t")
    mail = built(msgspec.structs.replace(ENVELOPE, unsubscribe_url=link))
    check_wire(mail.data)
    assert f"<{link}>\r\n".encode() in mail.data
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in mail.data


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "a@b.example\r\nBcc: c@d.example"},
        {"to": "a@b.example, c@d.example"},
        {"to": "a@b.example>"},
        {"to": ""},
        {"to": "a\x00@b.example"},
        {"sender": "Acme <no-reply>"},
        {"sender": '"Ac\r\nBcc: x" <no-reply@acme.example>'},
        {"sender": "Ac\r\nBcc: x@y.example <no-reply@acme.example>"},
        {"unsubscribe_url": "https://a.example/\r\nBcc: c@d.example"},
        {"unsubscribe_url": "https://a.example/>, <mailto:x@y.example"},
        {"unsubscribe_url": "javascript:alert(1)"},
        {"unsubscribe_url": "https://a.example/" + "x" * 1000},
    ],
)
def test_dangerous_values_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as refused:
        built(msgspec.structs.replace(ENVELOPE, **changes))
    assert "example" not in str(refused.value)


def test_control_characters_become_blanks() -> None:
    hostile = built(subject="Hi\r\nBcc: x@y.example\r\n\r\nbody", language="en\r\nBcc: x@y.example")
    assert parsed(hostile)["bcc"] is None
    assert parsed(hostile)["subject"] == "Hi Bcc: x@y.example body"


def test_half_a_character_is_refused() -> None:
    for field in ("subject", "text", "html"):
        words: dict[str, Any] = {field: "a\ud800b"}
        with pytest.raises(ValueError, match="surrogate"):
            built(**words)


@pytest.mark.parametrize(
    "text, encoding",
    [
        ("plain\ntext", "7bit"),
        ("x" * 1200, "quoted-printable"),
        ("mostly plain text with one é in it", "quoted-printable"),
        ("停电通知", "base64"),
        ("bell \x07", "quoted-printable"),
    ],
)
def test_bodies_are_seven_bit_and_whole(text: str, encoding: str) -> None:
    mail = built(text=text)
    check_wire(mail.data)
    assert parsed(mail)["content-transfer-encoding"] == encoding
    assert body(mail, "plain").rstrip("\r\n") == text.replace("\n", "\r\n")


def test_message_id_is_stable_and_safe() -> None:
    assert built().message_id == built(subject="other").message_id == "<tok-1@acme.example>"
    odd = built(msgspec.structs.replace(ENVELOPE, token="a b>\r\n")).message_id
    assert odd == built(msgspec.structs.replace(ENVELOPE, token="a b>\r\n")).message_id
    assert odd.endswith("@acme.example>")
    assert len(odd) == 47


@pytest.mark.parametrize("kind", ["multipart/mixed", "message/rfc822", "no type", "text/html\r\nX: y", ""])
def test_attachments_never_nest(kind: str) -> None:
    (part,) = parsed(built(attachments=(Attachment("a.bin", kind, b"1"),))).iter_attachments()
    assert part.get_content_type() == "application/octet-stream"


@pytest.mark.parametrize(
    "name", ["a.pdf", "Λογαριασμός Νοεμβρίου 2026 με αναλυτικά στοιχεία.pdf", 'q"uo;te.txt', "x" * 150]
)
def test_attachment_names(name: str) -> None:
    (part,) = parsed(built(attachments=(Attachment(name, "application/pdf", b"1"),))).iter_attachments()
    assert part.get_filename() == name.replace('"', "'")


def test_idna() -> None:
    assert mime.ascii_address("μ@bücher.example") == "μ@xn--bcher-kva.example"
    with pytest.raises(ValueError):
        mime.ascii_address("a@" + "é" * 80)
    mail = built(msgspec.structs.replace(ENVELOPE, to="μαρία@example.org"))
    assert mail.eight_bit
    assert not built().eight_bit


def test_building_is_quick() -> None:
    words = Rendered(language="el", subject="Διακοπή ρεύματος", text="Καλημέρα " * 60, html="<p>Καλημέρα</p>" * 150)
    fastest = 1.0
    for _ in range(20):
        began = time.perf_counter()
        mime.build(words, ENVELOPE)
        fastest = min(fastest, time.perf_counter() - began)
    assert fastest < 0.0006


def test_return_paths() -> None:
    key, old = b"k" * 32, b"o" * 32
    path = verp_address("00m_1-Xy", "a1", domain="b.example", key=key)
    assert path.partition("@")[0].startswith("b+")
    assert len(path.partition("@")[0]) <= 64
    assert read_verp(path, [key]) == read_verp(f"<{path}>", [old, key]) == ("00m_1-Xy", "a1")
    assert read_verp(verp_token("00m_1-Xy", "a1", old), [key, old]) == ("00m_1-Xy", "a1")
    folded = verp_address("m0a1", "a1", domain="b.example", key=key).upper()
    assert read_verp(folded, [key]) == ("m0a1", "a1")
    assert read_verp(path, [old]) is None
    assert read_verp(path.replace("a1", "a2"), [key]) is None
    for odd in ("", "@", "b+@x", "b+a.b.c@x", "é.é.é", "b+" + "a" * 500, "<>"):
        assert read_verp(odd, [key]) is None
    with pytest.raises(ValueError):
        verp_address("m" * 50, "a1", domain="b.example", key=key)
    with pytest.raises(ValueError):
        verp_token("m@x", "a1", key)


@given(TEXTS)
def test_no_text_is_a_return_path_by_chance(text: str) -> None:
    assert read_verp(text, [b"k" * 32]) is None
