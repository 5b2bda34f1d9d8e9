"""Every mail of the corpus comes to what its table says, and none without our signature to anything."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

import pytest

from gateway.channels.bounces import parse
from gateway.channels.verp import verp_reader
from gateway.customer import Evidence
from gateway.delivery.returns import FOR_A_PERSON, bounce_id, outcome_of
from gateway.routing.health import weigh
from tests.support.mail_corpus import FOLDER, KEY, NOW

EXPECTED: Final[dict[str, dict[str, Any]]] = tomllib.loads((FOLDER / "expected.toml").read_text())
MAILS: Final = {place.stem: place.read_bytes() for place in FOLDER.glob("*.eml")}
EACH = pytest.mark.parametrize("name", sorted(EXPECTED))
FOR_NOBODY = {"bounced", "in_transit", "delivered", "complaint", "no_complaint", "auto_reply"}


def test_the_table_and_the_folder_agree() -> None:
    assert set(EXPECTED) == set(MAILS)
    assert {one["outcome"] for one in EXPECTED.values()} <= FOR_NOBODY | FOR_A_PERSON
    assert len({bounce_id(raw) for raw in MAILS.values()}) == len(MAILS)


@EACH
def test_what_comes_of_it(name: str) -> None:
    expected = EXPECTED[name]
    news = parse(MAILS[name], verp_reader(KEY), NOW)
    assert outcome_of(news) == expected["outcome"]
    assert news.about == ((name, "a1") if expected.get("matched", True) else None)
    assert len(news.receipts) == (expected["outcome"] in ("bounced", "in_transit", "delivered", "complaint"))
    for message, receipt in news.receipts:
        status = {"bounced": "failed", "in_transit": "sent"}.get(expected["outcome"], "delivered")
        assert (message, receipt.attempt, receipt.status, receipt.at) == (name, "a1", status, NOW)
        assert (receipt.fault, receipt.provider_code) == (expected.get("fault"), expected.get("code"))
        told = [Evidence("m/a1", NOW, receipt.fault)] if receipt.fault else []
        health = weigh(told, NOW)
        assert (health.state if health else "") == expected.get("health", "")


@EACH
def test_without_our_signature_it_is_nobody_s(name: str) -> None:
    for raw in (re.sub(rb"\.[a-z2-7]{12}", b".aaaaaaaaaaaa", MAILS[name]), MAILS[name].replace(b".a1.", b".a2.")):
        news = parse(raw, verp_reader(KEY), NOW, [])
        assert (news.about, news.receipts) == (None, ())
    assert parse(MAILS[name], verp_reader(b"another key of thirty-two bytes!"), NOW).receipts == ()


@EACH
def test_the_old_key_still_reads_it(name: str) -> None:
    new = b"another key of thirty-two bytes!"
    assert parse(MAILS[name], verp_reader(new, KEY), NOW) == parse(MAILS[name], verp_reader(KEY), NOW)
