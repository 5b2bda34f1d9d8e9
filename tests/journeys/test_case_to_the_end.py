"""Story 9, second half. She chooses how it is made good, says no when asked whether it is solved, and yes the second time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import pytest

from tests.support.running import Running, until

ANA: Final = "+447400000741"
EVA: Final = "+447400000742"
NIKOS: Final = "nikos@example.org"
OPENID: Final = "oCaseLi000000000000000000001"
OPTIONS: Final = [{"id": "credit", "label": "20 euros off"}, {"id": "visit", "label": "A visit tomorrow"}]
CAUSE: Final = "A worn cable in the street"


async def arrived(gw: Running, message: str | None) -> None:
    """A message is on her phone, and we know it."""
    assert message is not None
    await gw.when(message, lambda found: found["attempts"] and found["attempts"][0]["status"] == "delivered")


async def asked(gw: Running, name: str, number: int) -> None:
    """The question after the number-th resolution has arrived."""
    case = await when(gw, name, lambda case: case["follow_up"]["round"] == number and case["follow_up"]["message"])
    await arrived(gw, case["follow_up"]["message"])


async def open_case(gw: Running, name: str, customer: str) -> None:
    asked = {"customer": customer, "subject": "Flickering light", "kind": "power", "id": name}
    answer = await gw.api("POST", "/v1/cases", asked)
    assert answer.status == 201, answer


async def offer(gw: Running, name: str) -> dict[str, Any]:
    answer = await gw.api("POST", f"/v1/cases/{name}/offer", {"options": OPTIONS})
    assert answer.status == 201, answer
    return answer.body


async def when(gw: Running, name: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The case once something holds for it."""
    last: dict[str, Any] = {}

    async def fits() -> bool:
        last.update((await gw.api("GET", f"/v1/cases/{name}")).body)
        return bool(holds(last))

    await until(fits, seen=lambda: last)
    return last


async def resolve(gw: Running, name: str, action: str) -> None:
    body = {"root_cause": CAUSE, "action": action, "follow_up_after": 0}
    answer = await gw.api("POST", f"/v1/cases/{name}/resolve", body)
    assert (answer.status, answer.body["status"]) == (200, "resolved"), answer


def heard(gw: Running, number: str, words: str) -> int:
    """How many texts on a phone say so."""
    return sum(words in text.body for text in gw.sandbox.world.texts(number))


async def test_from_the_offer_to_the_announcement(gw: Running) -> None:
    await gw.customer("ana", sms=ANA, preferences={"channels": ["sms"]})
    await gw.customer("eva", sms=EVA, preferences={"channels": ["sms"]})
    await gw.customer("nikos", email=NIKOS, preferences={"channels": ["email"]})
    for name, customer in (("c-ana", "ana"), ("c-ana-2", "ana"), ("c-eva", "eva"), ("c-nikos", "nikos")):
        await open_case(gw, name, customer)

    offered = await offer(gw, "c-ana")
    assert offered["status"] == "waiting"
    await arrived(gw, offered["offer"]["message"])
    assert heard(gw, ANA, "A visit tomorrow") == 1
    await gw.texts_us(ANA, "2")
    chosen = await when(gw, "c-ana", lambda case: case["chosen"])
    assert (chosen["status"], chosen["chosen"]) == ("open", "visit")

    await resolve(gw, "c-ana", "We replaced the cable")
    await asked(gw, "c-ana", 1)
    assert heard(gw, ANA, "Is it solved?") == 1
    await gw.texts_us(ANA, "No, it flickers when it rains")
    again = await when(gw, "c-ana", lambda case: case["status"] == "reopened")
    assert [note["text"] for note in again["notes"]] == ["it flickers when it rains"]
    await gw.texts_us(ANA, "And the lamp in the kitchen too")
    more = await when(gw, "c-ana", lambda case: len(case["notes"]) == 2)
    assert (more["notes"][1]["text"], more["notes"][1]["of"]) == ("And the lamp in the kitchen too", "customer")

    await resolve(gw, "c-ana", "We sealed the joint as well")
    await asked(gw, "c-ana", 2)
    assert heard(gw, ANA, "Is it solved?") == 2
    await gw.texts_us(ANA, "yes")
    assert (await when(gw, "c-ana", lambda case: case["status"] == "closed"))["follow_up"]["solved"] is True

    for name in ("c-ana-2", "c-eva", "c-nikos"):
        body = {"root_cause": CAUSE, "action": "We replaced the cable", "follow_up_after": 86_400}
        assert (await gw.api("POST", f"/v1/cases/{name}/resolve", body)).status == 200
    content = {
        "subject": "Mended",
        "text": {"en": "You said the light flickers. We replaced the cable in your street."},
    }
    told = await gw.api("POST", "/v1/cases/announce", {"root_cause": CAUSE, "content": content})
    assert (told.status, told.body["people"]) == (202, 3), told
    words = "We replaced the cable in your street"
    await until(lambda: heard(gw, ANA, words) and heard(gw, EVA, words) and gw.sandbox.world.mails(NIKOS))

    async def all_told() -> bool:
        board = await gw.api("GET", f"/v1/broadcasts/{told.body['broadcast']}")
        return board.body["counts"]["told"] == 3

    await until(all_told)
    assert (heard(gw, ANA, words), heard(gw, EVA, words)) == (1, 1), "once per person, however many cases"
    for name in ("c-ana", "c-ana-2", "c-eva", "c-nikos"):
        history = [step["what"] for step in (await gw.api("GET", f"/v1/cases/{name}")).body["history"]]
        assert history.count("announced") == 1, name


async def by_sms(gw: Running) -> None:
    await until(lambda: heard(gw, ANA, "A visit tomorrow"))
    await gw.texts_us(ANA, "２")


async def by_voice(gw: Running) -> None:
    await gw.picks_up(ANA, "2")


async def by_email(gw: Running) -> None:
    await until(lambda: gw.sandbox.world.mails(NIKOS))
    links = [link for link in gw.sandbox.world.mails(NIKOS)[0].links if "/a/" in link]
    async with gw.http.get(links[1]) as page:
        shown = re.findall(r'<input type="radio" name="([^"]+)" value="([^"]*)"([^>]*)>', await page.text())
    [(field, value)] = [(name, value) for name, value, more in shown if "checked" in more]
    async with gw.http.post(links[1], data={field: value}) as answer:
        assert answer.status == 200


async def by_wechat(gw: Running) -> None:
    await until(lambda: any("A visit tomorrow" in chat.text for chat in gw.sandbox.world.chats(OPENID)))
    await gw.sandbox.wechat.write(OPENID, "2")


WAYS: Final[Mapping[str, tuple[str, Callable[[Running], Awaitable[None]]]]] = {
    "sms": (ANA, by_sms),
    "voice": (ANA, by_voice),
    "email": (NIKOS, by_email),
    "wechat": (OPENID, by_wechat),
}


@pytest.mark.parametrize("channel", WAYS)
async def test_the_second_of_two_is_chosen_on_any_channel(gw: Running, channel: str) -> None:
    address, chooses = WAYS[channel]
    profile = {"addresses": [{"channel": channel, "value": address}]}
    assert (await gw.api("PUT", "/v1/customers/ana", profile)).status == 201
    assert (await gw.api("PUT", "/v1/customers/ana/preferences", {"channels": [channel]})).status == 200
    if channel == "voice":
        gw.lets_it_ring(ANA)
    if channel == "wechat":
        gw.sandbox.world.device("openid", OPENID).following = True
        await gw.sandbox.wechat.write(OPENID, "hello")
    await open_case(gw, "c", "ana")
    await offer(gw, "c")
    await chooses(gw)
    case = await when(gw, "c", lambda case: case["chosen"])
    assert (case["status"], case["chosen"], case["offer"]["state"]) == ("open", "visit", "chosen")
