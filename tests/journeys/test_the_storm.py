"""Story 7. One call for a whole area: the outage overtakes the survey, an update takes the place of what has not gone out, the
all-clear goes to those who were told, and for those whom nobody reached there is a list of doors, medical priority on top.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any, Final

from gateway.sandbox.behaviour import Carrier, Fate
from gateway.sandbox.people import Sample, samples
from tests.support.running import Running, until

PEOPLE: Final = 40
EVERYBODY: Final = {"where": {"sample": True}}
REACH: Final = {"until": "delivered", "unproven": "settle", "step": 1, "within": 15}
STORM: Final = {
    "id": "storm-1",
    "title": "Storm over the whole region",
    "audience": EVERYBODY,
    "template": "outage-notice",
    "data": {"area": "your area"},
    "reach": REACH,
}
UPDATE: Final = {"template": "outage-update", "data": {"area": "your area", "news": "A line is down."}}
SURVEY: Final = {
    "id": "how-was-it",
    "category": "survey",
    "audience": EVERYBODY,
    "rate": 1,
    "content": {"subject": "How was it?", "text": "How was our visit?"},
    "prompt": {"kind": "scale", "min": 0, "max": 10},
}


async def test_the_storm(gw: Running) -> None:
    people = samples()[:PEOPLE]
    await gw.sample(*people)
    lost = _out_of_reach(gw, people)
    started = await gw.api("POST", "/v1/broadcasts", SURVEY)
    assert started.status == 202, started
    await until(lambda: sum(gw.taken().values()) > 0)

    begun = await gw.api("POST", "/v1/outages", STORM, headers={"Idempotency-Key": "storm"})

    assert begun.status == 202, begun
    assert (begun.body["state"], begun.body["thread"]) == ("active", "outage:storm-1")
    again = await gw.api("POST", "/v1/outages", STORM, headers={"Idempotency-Key": "storm"})
    assert again.headers["Idempotency-Replayed"] == "true"
    board = await _board(gw, lambda counts: counts["audience"] == PEOPLE and not counts["waiting"])
    survey = (await gw.api("GET", "/v1/broadcasts/how-was-it")).body
    assert survey["state"] in ("expanding", "sending"), "the outage has overtaken it"
    assert survey["counts"]["told"] < PEOPLE

    told = await gw.api("POST", "/v1/outages/storm-1/updates", UPDATE)
    assert told.status == 202, told
    board = await _board(gw, _over)
    assert board["counts"]["unreached"] == len(lost), "a partial failure is never shown as complete"
    assert board["counts"]["told"] >= board["counts"]["reached"] == PEOPLE - len(lost)
    assert {"sms", "email", "voice", "wechat"} <= board["by_channel"].keys()

    doors = (await gw.api("GET", "/v1/outages/storm-1/recipients?state=unreached&limit=500")).body["items"]
    assert {one["customer"] for one in doors} == lost
    medical = [one["medical_priority"] for one in doors]
    assert medical == sorted(medical, reverse=True)
    assert any(medical)
    await _knocks(gw, doors)
    await _tried_again(gw, board, lost)
    await _all_clear(gw)


def _out_of_reach(gw: Running, people: list[Sample]) -> set[str]:
    """Some whom nothing reaches, one of them with medical priority; the others are reached by what they chose first."""
    by_phone = [one for one in people if {*one.preferences["channels"]} <= {"sms", "voice"}]
    lost = [next(one for one in by_phone if one.customer["attributes"].get("medical_priority")), *by_phone[:2]]
    fates = gw.sandbox.behaviour.carrier_fates
    fates.clear()
    for one in lost:
        fates[Carrier.SMS, one.address("sms")] = Fate.UNDELIVERED
        fates[Carrier.VOICE, one.address("voice")] = Fate.RINGS_OUT
    return {one.id for one in lost}


async def _board(gw: Running, holds: Callable[[dict[str, int]], bool]) -> dict[str, Any]:
    last: dict[str, Any] = {}

    async def fits() -> bool:
        last.update((await gw.api("GET", "/v1/outages/storm-1")).body)
        counts = last["counts"]
        states = ("waiting", "told_only", "reached", "unreached", "suppressed")
        assert counts["audience"] == sum(counts[state] for state in states)
        return bool(holds(counts))

    await until(fits, 60.0, lambda: last)
    return last


def _over(counts: dict[str, int]) -> bool:
    return counts["audience"] == PEOPLE and not counts["waiting"] and not counts["told_only"]


async def _knocks(gw: Running, doors: list[dict[str, Any]]) -> None:
    """Somebody goes there: counted as visited, not as reached, and below the others from now on."""
    first = doors[0]["customer"]
    path = f"/v1/outages/storm-1/recipients/{first}/visited"
    marked = await gw.api("POST", path, {"by": "Team 4", "note": "At home."})
    assert (marked.status, marked.body["by"]) == (200, "Team 4")
    assert (await gw.api("GET", "/v1/outages/storm-1")).body["counts"]["visited"] == 1
    left = (await gw.api("GET", "/v1/outages/storm-1/recipients?state=unreached")).body["items"]
    assert [one["customer"] for one in left][-1] == first
    assert left[-1]["visited"]["note"] == "At home."
    headers = {"Accept": "text/csv", "Authorization": f"Bearer {gw.key}"}
    async with gw.http.get(f"{gw.url}/v1/outages/storm-1/recipients?state=unreached", headers=headers) as answer:
        rows = list(csv.DictReader(io.StringIO(await answer.text())))
    assert [row["customer"] for row in rows] == [one["customer"] for one in left]
    timeline = (await gw.api("GET", f"/v1/customers/{first}/timeline")).body["items"]
    assert any(one["kind"] == "visit" for one in timeline), timeline


async def _tried_again(gw: Running, board: dict[str, Any], lost: set[str]) -> None:
    """The numbers of these work again: "retry only these"."""
    gw.sandbox.behaviour.carrier_fates.clear()
    path = f"/v1/broadcasts/{board['broadcast']}/retry"
    again = await gw.api("POST", path, {"filter": {"state": ["unreached"]}})
    assert again.status == 202, again
    after = await _board(gw, lambda counts: counts["reached"] == PEOPLE)
    assert [one["kind"] for one in after["broadcasts"]] == ["notice", "update", "retry"]
    assert after["counts"]["told"] == PEOPLE
    assert lost


async def _all_clear(gw: Running) -> None:
    done = await gw.api("POST", "/v1/outages/storm-1/resolve", {})
    assert (done.status, done.body["state"]) == (202, "resolving")
    assert (await gw.api("POST", "/v1/outages/storm-1/updates", UPDATE)).status == 409
    last: dict[str, Any] = {}

    async def told() -> bool:
        last.update((await gw.api("GET", "/v1/outages/storm-1")).body)
        clear = last["all_clear"]
        return clear["audience"] == PEOPLE and clear["waiting"] == 0

    await until(told, 60.0, lambda: last)
