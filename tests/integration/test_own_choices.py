"""What people chose themselves outlives the files of a business."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.people.people import Invalid, People, Way
from gateway.store.clock import Clock
from gateway.store.customers import Customers
from gateway.store.scripts import Scripts

pytestmark = pytest.mark.usefixtures("no_key_leaks")
WAYS: list[Way] = ["page", "keyword", "ivr", "wechat"]
SURVEY_OFF = {"survey": {"enabled": False}}
PROFILE: dict[str, Any] = {"name": "Ana", "addresses": [{"channel": "sms", "value": "+306900000001"}]}


@pytest.fixture
def customers(scripts: Scripts, clock: Clock) -> Customers:
    return Customers(scripts, clock, b"pepper of the tests")


@pytest.fixture
def people(customers: Customers, clock: Clock) -> People:
    return People(customers, clock, known_channels=("sms", "email"), categories=("outage", "survey"))


@pytest.mark.parametrize("way", WAYS)
async def test_what_people_chose_outlives_an_import(people: People, customers: Customers, way: Way) -> None:
    row = {"id": "ana", "name": "Nightly", "preferences": {"channels": ["email"], "categories": SURVEY_OFF}}
    rows = [(1, row)]
    await people.put("ana", PROFILE)
    chosen = await people.put_preferences("ana", {"channels": ["sms"]}, way=way)
    for dry_run in (True, False, False):
        [(_, told)] = [pair async for pair in people.import_rows(rows, dry_run=dry_run)]
        assert (told.problems, told.choices_kept) == ([], True)
    stands = await people.preferences("ana")
    assert stands is not None
    assert stands.view == chosen.view
    assert await customers.ledger("ana") == [], "what wasn't applied withdraws nothing"
    seen = await people.view("ana")
    assert seen is not None
    assert seen.view["name"] == "Nightly", "the profile is the business' own"

    [(_, told)] = [pair async for pair in people.import_rows(rows, overwrite=True)]
    assert not told.choices_kept
    [(_, told)] = [pair async for pair in people.import_rows([(1, {**row, "preferences": {}})])]
    assert not told.choices_kept, "nobody's own choice any more"


async def test_who_chose_last_counts(people: People, customers: Customers) -> None:
    async def chooser() -> str:
        found = await customers.load("ana")
        assert found is not None
        return found[0].preferences_by

    await people.put("ana", PROFILE)
    assert await chooser() == "business"
    await people.put_preferences("ana", {"channels": ["sms"]}, way="page")
    assert await chooser() == "person"
    await people.put("ana", {**PROFILE, "name": "Bo"})
    assert await chooser() == "person", "a profile says nothing of wishes"
    await people.put_preferences("ana", {"channels": ["sms"]})
    assert await chooser() == "business", "also when it says the same"
    await people.choose("ana", "survey", on=False, way="keyword", wording="STOP SURVEY")
    assert await chooser() == "person"
    await people.put_preferences("ana", {"categories": SURVEY_OFF})
    yes = {"channel": "*", "category": "survey", "state": "granted", "way": "page", "wording": "Yes"}
    await people.add_consent("ana", {**yes, "proof": "form 7"})
    assert await chooser() == "business"
    await people.put_preferences("ana", {"categories": SURVEY_OFF})
    await people.add_consent("ana", yes, by_person=True)
    assert await chooser() == "person", "they switched it on again"


async def test_whose_choice_it_was_goes_out_and_comes_in(people: People) -> None:
    await people.put("ana", PROFILE)
    await people.put_preferences("ana", {"channels": ["sms"]}, way="page")
    row = await people.portable("ana")
    assert row is not None
    assert row["preferences_by"] == "person"
    moved: dict[str, Any] = {**row, "id": "bo", "consents": []}
    wrong = {**moved, "id": "cy", "preferences_by": "nobody"}
    told = [told.problems async for _, told in people.import_rows([(1, moved), (2, wrong)])]
    assert [[pointer for pointer, _ in problems] for problems in told] == [[], ["/preferences_by"]]
    assert await people.portable("bo") == {name: value for name, value in moved.items() if name != "consents"}


async def test_however_many_change_them_at_once_each_goes_in(people: People) -> None:
    before = (await people.put("ana", PROFILE)).version

    async def quiet(minute: int) -> None:
        hours = {"start": f"21:{minute:02}", "end": "08:00"}
        await people.change_preferences("ana", lambda wishes: {**wishes, "quiet_hours": hours}, way="keyword")

    async def language() -> None:
        await people.change_preferences("ana", lambda wishes: {**wishes, "language": "el"}, way="keyword")

    await asyncio.gather(*(quiet(minute) for minute in range(40)), language())
    found = await people.preferences("ana")
    assert found is not None
    assert (set(found.view), found.version) == ({"quiet_hours", "language"}, before + 41)


async def test_a_wish_that_cannot_be_or_of_nobody_is_refused(people: People) -> None:
    await people.put("ana", PROFILE)
    with pytest.raises(Invalid):
        await people.change_preferences("ana", lambda wishes: {**wishes, "channels": ["pigeon"]}, way="keyword")
    with pytest.raises(KeyError):
        await people.change_preferences("bo", lambda wishes: {**wishes, "language": "el"}, way="keyword")
