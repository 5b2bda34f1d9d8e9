"""What outages and broadcasts must not get wrong: who stands where, on which channel, and what is said after the end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re

from tests.contract.outage_acts import (
    CLEAR,
    LONG,
    begun,
    broadcast,
    failed,
    heard,
    listed,
    name,
    outage,
    recipients,
    retried,
    sent,
    settled,
    shown,
    visited,
)
from tests.contract.waiting import eventually
from tests.contract.wire import path_of
from tests.contract.world import World, in_time

FORM = {"Authorization": None, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}


async def test_a_broadcast_that_is_cancelled_early_forgets_nobody(w: World) -> None:
    people = [await w.person("sms") for _ in range(12)]
    made = await broadcast(w, listed(people), category="service", rate=4)
    await sent(w, made, lambda one: one["counts"]["told"] >= 2)
    assert (await w.api("POST", f"/v1/broadcasts/{made.body['id']}/cancel")).status == 200
    ended = await sent(w, made, lambda one: not one["counts"]["waiting"])
    assert ended["progress"]["of"] == 12
    assert ended["progress"]["expanded"] <= ended["progress"]["of"]


async def test_retries_at_the_same_moment_are_one(w: World) -> None:
    people = [await w.person("sms") for _ in range(3)]
    made = await broadcast(w, listed(people), reach=LONG)
    await sent(w, made, settled)
    await failed(w, people)
    await sent(w, made, lambda one: one["counts"]["unreached"] == 3)
    again = await asyncio.gather(*(retried(w, made.body["id"]) for _ in range(4)))
    taken = [one for one in again if one.status == 202]
    assert {one.status for one in again} <= {202, 409}
    states = [await sent(w, one, settled) for one in taken]
    assert sum(one["counts"]["audience"] for one in {one["id"]: one for one in states}.values()) == 3
    assert [w.twilio.count(one.number) for one in people] == [2, 2, 2]


async def test_a_button_counts_for_the_channel_that_carried_it(w: World) -> None:
    person = await w.person("email")
    id_ = await begun(w, [person])
    mail = (await w.mail.mail(person.email)).get_body(("html",))
    assert mail is not None
    link = path_of(re.findall(r'https?://[^\s"<>]+/a/[^\s"<>]+', mail.get_content())[0])
    await w.api("POST", link, raw=b"v=1", headers=FORM)
    now = await shown(w, id_, lambda one: one["counts"]["acknowledged"] == 1)
    assert now["by_channel"] == {"email": {"told": 1, "reached": 1, "acknowledged": 1, "failed": 0}}


async def test_the_page_to_print_has_the_style_it_allows(w: World) -> None:
    id_ = await begun(w, [await w.person("sms")])
    for language in ("en", "el", "zh-Hans", "zh-Hant"):
        headers = {"Accept": "text/html", "Accept-Language": language}
        page = await w.api("GET", f"/v1/outages/{id_}/recipients", headers=headers)
        styles: list[str] = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)
        assert styles
        assert not [one for one in styles if "&" in one]
        for one in styles:
            digest = base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in page.headers["Content-Security-Policy"]


async def test_a_reason_is_one_for_where_they_stand(w: World) -> None:
    told, reached = [await w.person("sms") for _ in range(2)]
    id_ = await begun(w, [told, reached])
    await w.twilio.inbound(reached.number, "1")
    await shown(w, id_, lambda one: one["counts"]["reached"] == 1)
    whys = {one["state"]: one["why"] for one in await recipients(w, id_)}
    assert whys["reached"] is None
    assert whys["told_only"] is None or whys["told_only"]["code"] != "no_address"


async def test_nothing_of_the_outage_is_told_after_the_all_clear(w: World) -> None:
    person, other = [await w.person("sms") for _ in range(2)]
    id_ = await begun(w, [person, other], content={"text": "notice"})
    await failed(w, [other])
    now = await shown(w, id_, lambda one: one["counts"]["unreached"] == 1)
    again = await retried(w, now["broadcast"])
    assert again.status == 202
    await w.twilio.text(other.number, 2)
    assert (await w.api("POST", f"/v1/outages/{id_}/resolve", CLEAR)).status == 202
    for one in (now["broadcast"], again.body["id"]):
        refused = await retried(w, one, state=["told_only", "unreached", "suppressed"])
        assert refused.status == 409, refused
    await shown(w, id_, lambda one: one["all_clear"]["told"] == 2)
    assert heard(w, person) == ["notice", "clear"]
    assert heard(w, other) == ["notice", "notice", "clear"]


async def test_the_title_stays_inside(w: World) -> None:
    people = [await w.person("sms", locale=locale) for locale in ("en", "el", "zh-Hans", "zh-Hant")]
    id_ = await begun(w, people, title="Crew7 P-150")
    assert (await w.api("POST", f"/v1/outages/{id_}/resolve")).status == 202
    for one in people:
        words = (await w.twilio.text(one.number, 2)).form["Body"]
        assert "P-150" not in words
        assert "  " not in words


async def test_a_broadcast_for_later_has_one_of_the_five_states(w: World) -> None:
    made = await broadcast(w, listed(["nobody"]), send_at=in_time(hours=1))
    assert made.body["state"] in {"expanding", "sending", "paused", "done", "cancelled"}
    await w.api("POST", f"/v1/broadcasts/{made.body['id']}/cancel")


async def test_the_board_is_never_empty_after_an_update(w: World) -> None:
    town = name()
    people = [await w.person("sms", attributes={"town": town}) for _ in range(6)]
    id_ = name()
    made = await outage(w, {"where": {"town": town}}, id=id_, prompt=None, reach=LONG)
    await shown(w, made, lambda one: one["counts"]["told"] == 6)
    answer = await w.api("POST", f"/v1/outages/{id_}/updates", {"content": {"text": "update"}})
    assert answer.body["counts"]["audience"] == 6
    await eventually(lambda: all("update" in heard(w, one) for one in people))
    over = await w.api("POST", f"/v1/outages/{id_}/resolve", CLEAR)
    assert over.body["all_clear"]["audience"] == 6
    assert (await shown(w, id_, lambda one: one["all_clear"]["told"] == 6))["all_clear"]["audience"] == 6


async def test_a_paced_broadcast_says_when_it_ends(w: World) -> None:
    town = name()
    for _ in range(12):
        await w.person("sms", attributes={"town": town})
    made = await broadcast(w, {"where": {"town": town}}, category="service", rate=3)
    now = await sent(w, made, lambda one: one["counts"]["told"] >= 4 and one["counts"]["told"] < 11)
    assert now["eta"] is not None, now
    await w.api("POST", f"/v1/broadcasts/{made.body['id']}/cancel")


async def test_the_same_outage_again_is_the_same(w: World) -> None:
    id_ = name()
    answers = [await outage(w, listed(["nobody"]), id=id_) for _ in range(2)]
    assert [one.status for one in answers] == [202, 202]
    assert (await outage(w, listed(["nobody"]), id=id_, title="other")).status == 409


async def test_medical_priority_is_first_among_the_visited_too(w: World) -> None:
    ill = await w.person("sms", attributes={"medical_priority": True})
    others = [await w.person("sms") for _ in range(4)]
    id_ = await begun(w, [*others, ill])
    for one in (*others, ill):
        await visited(w, id_, one, by="t")
    assert (await recipients(w, id_))[0]["customer"] == ill.id


async def test_a_page_of_a_group_needs_a_true_cursor(w: World) -> None:
    path = f"/v1/groups/{name()}"
    await w.api("PUT", path, listed([await w.person("sms")]))
    refused = await w.api("GET", path, cursor="no such page!")
    assert (refused.status, refused.pointers) == (422, {"?cursor"})


async def test_medical_priority_goes_first(w: World) -> None:
    others = [await w.person("sms") for _ in range(16)]
    ill = [await w.person("sms", attributes={"medical_priority": True}) for _ in range(4)]
    await begun(w, [*others, *ill])
    order = [one.to for one in w.twilio.texts if one.to in {who.number for who in (*others, *ill)}]
    assert (len(order), set(order[:4])) == (20, {one.number for one in ill})


async def test_a_retry_counts_people_once_and_stays_listed(w: World) -> None:
    people = [await w.person("sms") for _ in range(3)]
    id_ = await begun(w, people)
    now = await shown(w, id_, lambda one: one["counts"]["told"] == 3)
    assert (await retried(w, now["broadcast"], state=["told_only"])).status == 202
    for one in people:
        await w.twilio.text(one.number, 2)
    now = await shown(w, id_, lambda one: len(one["broadcasts"]) == 2 and not one["counts"]["waiting"])
    assert now["by_channel"]["sms"]["told"] == now["counts"]["told"] == 3
    await w.api("POST", f"/v1/outages/{id_}/updates", {"content": {"text": "update"}})
    now = await shown(w, id_, lambda one: not one["counts"]["waiting"])
    assert [one["kind"] for one in now["broadcasts"]] == ["notice", "retry", "update"]


async def test_an_update_that_never_came_leaves_people_as_they_stood(w: World) -> None:
    people = [await w.person("sms") for _ in range(3)]
    id_ = await begun(w, people, prompt=None)
    update = {"content": {"text": "update"}}
    path = f"/v1/outages/{id_}"
    answers = await asyncio.gather(w.api("POST", path + "/updates", update), w.api("POST", path + "/resolve", CLEAR))
    assert answers[1].status == 202
    await eventually(lambda: all("clear" in heard(w, one) for one in people))
    now = await shown(w, id_, lambda one: not one["counts"]["waiting"] and one["all_clear"]["told"] == 3)
    assert now["counts"] == {**now["counts"], "audience": 3, "told_only": 3, "told": 3}
    assert len(await recipients(w, id_)) == 3
    early = await outage(w, listed(people), prompt=None)
    assert (await w.api("POST", f"/v1/outages/{early.body['id']}/resolve", CLEAR)).status == 202
    now = await shown(w, early, lambda one: one["state"] == "resolved")
    assert now["counts"]["audience"] == 3
