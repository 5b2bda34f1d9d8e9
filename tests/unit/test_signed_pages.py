"""A message's links: signed when they are asked for, the same in every rendering, readable with a changed key."""

from __future__ import annotations

import string
from typing import Final

import pytest

from gateway.delivery.words import SignedPages
from gateway.links import ANSWER, MESSAGE, PREFERENCES, UNSUBSCRIBE, BadLink, Links, message_subject
from gateway.routing.policy import CATEGORIES
from tests.support.changes import message

NOW: Final = 1_800_000_000_000
OLD, KEY = b"o" * 32, b"k" * 32
MINE: Final = message(at=NOW)


def links(key: bytes = KEY, old: bytes | None = None, *, now: int = NOW) -> Links:
    return Links("https://g.example/", key, old, lambda: now)


def pages(category: str, signing: Links) -> SignedPages:
    return SignedPages(signing, MINE, CATEGORIES[category])


def test_every_rendering_has_the_same_links() -> None:
    early, late = pages("service", links()), pages("service", links(now=NOW + 3_600_000))
    assert early.message == late.message == early.message
    assert (early.answer, early.unsubscribe) == (late.answer, late.unsubscribe)


def test_each_opens_its_own_page_alone() -> None:
    reader, made = links(), pages("service", links())
    assert made.unsubscribe is not None
    whose = {"m": (MESSAGE, made.message, MINE.id), "a": (ANSWER, made.answer, MINE.id)}
    whose["u"] = (UNSUBSCRIBE, made.unsubscribe, MINE.id)
    for path, (purpose, url, subject) in whose.items():
        token = url.removeprefix(f"https://g.example/{path}/")
        assert reader.read(purpose, token) == subject
        for other in {MESSAGE, ANSWER, UNSUBSCRIBE, PREFERENCES} - {purpose}:
            with pytest.raises(BadLink):
                reader.read(other, token)


def test_links_in_the_words_of_a_channel_name_it() -> None:
    made = SignedPages(links(), MINE, CATEGORIES["service"], "toy-mail_2")
    for path, purpose, url in (("m", MESSAGE, made.message), ("a", ANSWER, made.answer)):
        token = url.removeprefix(f"https://g.example/{path}/")
        assert message_subject(links().read(purpose, token)) == (MINE.id, "toy-mail_2")
    assert message_subject(MINE.id) == (MINE.id, None)


def test_a_category_that_nobody_can_leave_has_no_link_to_do_so() -> None:
    assert pages("code", links()).unsubscribe is None


def test_a_token_is_what_it_always_was() -> None:
    """Links in messages that are out already must go on working."""
    token = links().sign_until(MESSAGE, "m" + "1" * 23, NOW + 60_000)
    assert token == "m11111111111111111111111.tro8xo.PEao1kfFkGB644du8779ww"


def test_the_old_key_still_reads_and_no_longer_signs() -> None:
    before = links(OLD).sign(MESSAGE, "m-1", 60)
    changed = links(KEY, OLD)
    assert changed.read(MESSAGE, before) == "m-1"
    assert changed.sign(MESSAGE, "m-1", 60) == links(KEY).sign(MESSAGE, "m-1", 60) != before
    with pytest.raises(BadLink):
        links(KEY).read(MESSAGE, before)


def test_a_signature_has_one_spelling() -> None:
    """The last letter of 128 bits in base64 has four bits to spare."""
    token = links().sign(MESSAGE, "m-1", 60)
    letters = string.ascii_letters + string.digits + "-_"
    for letter in letters.replace(token[-1], ""):
        with pytest.raises(BadLink):
            links().read(MESSAGE, token[:-1] + letter)
