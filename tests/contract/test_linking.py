"""Joining WeChat on the preference page: by a code to be scanned, or by signing in within WeChat."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import parse_qs, urlsplit

from tests.contract.self_service import CUT, Centre, addresses, ledger, open_to
from tests.contract.waiting import eventually
from tests.contract.wire import path_of
from tests.contract.world import Person, World

INSIDE = {"User-Agent": "Mozilla/5.0 MicroMessenger/8.0"}


async def scene_of(w: World, page: Centre) -> str:
    """What the code on the page holds."""
    before = set(w.wechat.scenes)
    assert (await page.get("/wechat")).status == 303
    shown = [one for one in w.wechat.scenes if one not in before]
    return shown[-1]


async def joined(w: World, person: Person) -> list[str]:
    return [value for channel, value in await addresses(w, person) if channel == "wechat"]


async def test_a_scan_joins_once_and_nobody_else(w: World) -> None:
    person = await w.person("sms")
    page = await Centre.of(w, person)
    scene = await scene_of(w, page)
    assert person.id not in scene
    assert len(scene) >= 32
    await w.wechat.scans(person.openid, scene, follows=False)
    await eventually(lambda: joined(w, person))
    assert "linked" in (await w.wechat.got(person.openid))["text"]["content"]
    await w.wechat.scans(person.openid, scene)
    await w.wechat.scans("oThief" + person.openid, scene)
    other = await w.person("sms")
    await w.wechat.scans(other.openid, await scene_of(w, await Centre.of(w, other)))
    await eventually(lambda: joined(w, other))
    assert await joined(w, person) == [person.openid]
    assert {(one["channel"], one["address"]) for one in await ledger(w, person)} == {("wechat", person.openid)}


async def test_of_those_who_scan_at_once_one_is_joined(w: World) -> None:
    person = await w.person("sms")
    scene = await scene_of(w, await Centre.of(w, person))
    await asyncio.gather(*(w.wechat.scans(f"{person.openid}{one}", scene) for one in range(5)))
    await eventually(lambda: joined(w, person))
    assert len(await joined(w, person)) == 1


async def test_scenes_that_are_not_ours_join_nobody(w: World) -> None:
    person = await w.person("sms")
    for scene in ("nonsense", person.id, "0" * 40):
        assert (await w.wechat.scans(person.openid, scene))[0] == 200
    assert await joined(w, person) == []


async def test_a_family_may_share_one_wechat(w: World) -> None:
    one, two = await w.person("sms"), await w.person("sms")
    for person in (one, two):
        await w.wechat.scans(one.openid, await scene_of(w, await Centre.of(w, person)))
        await eventually(lambda person=person: joined(w, person))
    assert await joined(w, one) == await joined(w, two) == [one.openid]


async def test_a_code_of_somebody_erased_joins_nobody(w: World) -> None:
    person, other = await w.person("sms"), await w.person("sms")
    scene = await scene_of(w, await Centre.of(w, person))
    await w.api("DELETE", f"/v1/customers/{person.id}")
    await w.api("PUT", f"/v1/customers/{person.id}", {"addresses": []})
    await w.wechat.scans(person.openid, scene)
    await w.wechat.scans(other.openid, await scene_of(w, await Centre.of(w, other)))
    await eventually(lambda: joined(w, other))
    assert await joined(w, person) == []


async def test_linking_agrees_to_nothing_else(w: World) -> None:
    person = await w.person("sms")
    page = await Centre.of(w, person)
    await page.post("/stop")
    await w.wechat.scans(person.openid, await scene_of(w, page))
    await eventually(lambda: joined(w, person))
    assert await open_to(w, person) == set()


async def test_leaving_closes_and_following_again_opens(w: World) -> None:
    person = await w.person("wechat", "sms")
    for event, wanted in (("unsubscribe", {"sms"}), ("subscribe", {"sms", "wechat"})):
        second = int(time.time())
        await w.wechat.post(person.openid, f"<MsgType>event</MsgType><Event>{event}</Event><EventKey></EventKey>")

        async def so(wanted: set[str] = wanted) -> bool:
            return await open_to(w, person) == wanted

        await eventually(so)
        await eventually(lambda second=second: int(time.time()) != second)  # WeChat's events know whole seconds
    message = await w.send(person, content=CUT, reach={"channels": ["wechat"]})
    await w.wechat.got(person.openid)
    assert (await w.get(message))["skipped"] is not None


async def test_codes_are_few_an_hour(w: World) -> None:
    page = await Centre.of(w, await w.person("sms"))
    statuses = [(await page.get("/wechat")).status for _ in range(22)]
    assert statuses == [303] * 20 + [429] * 2


async def signing_in(page: Centre) -> tuple[str, str, str]:
    """Where WeChat sends the person back to, with which state, and the browser's cookie."""
    set_out = await page.get("/wechat/sign-in", **INSIDE)
    asked = parse_qs(urlsplit(set_out.headers["Location"]).query)
    assert asked["scope"] == ["snsapi_base"]
    cookie = set_out.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    return path_of(asked["redirect_uri"][0]), asked["state"][0], cookie.partition(";")[0]


async def comes_back(w: World, where: str, state: str, cookie: str | None, openid: str) -> int:
    w.wechat.signed_in[f"code-{openid}"] = openid
    headers = {"Authorization": None, "Cookie": cookie}
    return (await w.api("GET", f"{where}?code=code-{openid}&state={state}", headers=headers)).status


async def test_a_sign_in_joins_in_the_browser_that_set_out(w: World) -> None:
    person = await w.person("sms")
    where, state, cookie = await signing_in(await Centre.of(w, person))
    assert await comes_back(w, where, state, cookie, person.openid) == 303
    assert await joined(w, person) == [person.openid]


async def test_a_sign_in_that_was_forged_or_borrowed_joins_nobody(w: World) -> None:
    person, other = await w.person("sms"), await w.person("sms")
    where, state, cookie = await signing_in(await Centre.of(w, person))
    _, strange, _ = await signing_in(await Centre.of(w, other))
    tries = ((state, None), (state[:-2] + "xx", cookie), (strange, cookie), (state, "wechat_sign_in=0000000000000000"))
    for number, (given, held) in enumerate(tries):
        assert await comes_back(w, where, given, held, f"oThief{number}{person.openid}") == 403
    assert await joined(w, person) == await joined(w, other) == []


async def test_a_sign_in_counts_once(w: World) -> None:
    person = await w.person("sms")
    where, state, cookie = await signing_in(await Centre.of(w, person))
    await comes_back(w, where, state, cookie, person.openid)
    await eventually(lambda: joined(w, person))
    await comes_back(w, where, state, cookie, "oAgain" + person.openid)
    assert await joined(w, person) == [person.openid]
