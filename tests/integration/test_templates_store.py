from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from gateway.content.content import LocaleParts, Template
from gateway.store.clock import Clock
from gateway.store.scripts import Scripts
from gateway.store.templates import FRESH_MS, BadTemplate, Templates

pytestmark = pytest.mark.usefixtures("no_key_leaks")
FILES = {"outage-notice": Template(id="outage-notice", locales={"en": LocaleParts(text="From a file")})}


class At(Clock):
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1_000_000

    def now(self) -> int:
        return self.time


@pytest.fixture
def hands() -> At:
    return At()


@pytest.fixture
def templates(scripts: Scripts, hands: At) -> Templates:
    return Templates(scripts, hands, FILES)


async def test_a_stored_version_beats_the_file_and_the_file_can_still_be_had(templates: Templates) -> None:
    assert (await templates.get("outage-notice")) == FILES["outage-notice"]
    assert await templates.put("outage-notice", {"en": {"text": "Stored {{ area }}"}}) == 1
    found = await templates.get("outage-notice")
    assert found is not None
    assert (found.version, found.locales["en"].text) == (1, "Stored {{ area }}")
    assert await templates.get("outage-notice", 0) == FILES["outage-notice"]


async def test_versions_count_up_and_old_ones_stay(templates: Templates) -> None:
    assert [await templates.put("t", {"en": {"text": text}}) for text in ("one", "two", "two", "one")] == [1, 2, 2, 3]
    first = await templates.get("t", 1)
    assert first is not None
    assert first.locales["en"].text == "one"
    assert await templates.get("t", 4) is None
    assert await templates.get("t", -1) is None
    assert await templates.get("nowhere") is None


async def test_the_list_has_every_template_once_in_its_newest_version(templates: Templates) -> None:
    await templates.put("b", {"en": {"text": "one"}})
    await templates.put("b", {"en": {"text": "two"}})
    assert [(t.id, t.version) for t in await templates.list()] == [("b", 2), ("outage-notice", 0)]


async def test_two_at_once_get_two_numbers(redis_client: Redis, scripts: Scripts, hands: At) -> None:
    stores = [Templates(scripts, hands, {}) for _ in range(8)]
    numbers = await asyncio.gather(*(s.put("t", {"en": {"text": f"by {i}"}}) for i, s in enumerate(stores)))
    assert sorted(numbers) == list(range(1, 9))


async def test_another_process_sees_a_new_version_within_two_seconds(scripts: Scripts, hands: At) -> None:
    one, other = Templates(scripts, hands, {}), Templates(scripts, hands, {})
    assert await other.get("t") is None
    await one.put("t", {"en": {"text": "new"}})
    assert await one.get("t") is not None
    assert await other.get("t") is None
    hands.time += FRESH_MS
    assert await other.get("t") is not None


async def test_all_problems_are_told_at_once(templates: Templates) -> None:
    with pytest.raises(BadTemplate) as refused:
        await templates.put(
            "no spaces",
            {"en": {"text": "{{ x | upper }}"}, "xx-XX": {"text": "a"}, "el": {"txt": "a"}, "fr": {"text": 1}},
        )
    pointers = [pointer for pointer, _ in refused.value.problems]
    assert set(pointers) == {"/id", "/locales/en/text", "/locales/xx-XX", "/locales/el", "/locales/fr/text"}
    with pytest.raises(BadTemplate) as empty:
        await templates.put("t", {})
    assert [pointer for pointer, _ in empty.value.problems] == ["/locales"]
    assert await templates.get("t") is None


async def test_locales_are_kept_in_their_canonical_form(templates: Templates) -> None:
    await templates.put("t", {"zh_hk": {"text": "您好"}})
    found = await templates.get("t")
    assert found is not None
    assert list(found.locales) == ["zh-HK"]
    with pytest.raises(BadTemplate) as twice:
        await templates.put("t", {"zh_hk": {"text": "您好"}, "zh-HK": {"text": "您好"}})
    assert twice.value.problems == [("/locales/zh-HK", "is the same language as 'zh_hk'.")]
