"""The counts of an outage add up, whatever was sent, answered or stopped meanwhile."""

from __future__ import annotations

import asyncio

from tests.contract.outage_acts import CLEAR, begun, heard, listed, outage, recipients, retried, shown
from tests.contract.waiting import eventually
from tests.contract.world import World


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


async def test_the_acknowledged_are_among_the_reached(w: World) -> None:
    early, late = [await w.person("sms") for _ in range(2)]
    id_ = await begun(w, [early, late])
    await w.twilio.inbound(early.number, "1")
    await shown(w, id_, lambda one: one["counts"]["acknowledged"] == 1)
    await w.api("POST", f"/v1/outages/{id_}/updates", {"content": {"text": "update"}})
    await eventually(lambda: "update" in heard(w, late) and "update" in heard(w, early))
    now = await shown(w, id_, lambda one: not one["counts"]["waiting"])
    assert now["counts"]["acknowledged"] <= now["counts"]["reached"], now["counts"]
    await w.api("POST", f"/v1/outages/{id_}/resolve", CLEAR)
    await eventually(lambda: "clear" in heard(w, late))
    await w.twilio.inbound(late.number, "1")
    now = await shown(w, id_, lambda one: one["counts"]["acknowledged"] == 1 and one["state"] != "active")
    assert now["counts"]["reached"] == 1, now["counts"]
    assert [one["customer"] for one in await recipients(w, id_, state="reached")] == [late.id]


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
