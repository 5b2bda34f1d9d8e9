"""Story 9, first half. She answers where she likes to be written to; a low score has an owner and a due time at once."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, Final

from tests.support.running import Running, until

ANA: Final = "+447400000791"
NIKOS: Final = "+447400000792"
EVA: Final = "eva@example.org"
FORM: Final[dict[str, Any]] = {
    "title": "After the repair",
    "questions": [
        {
            "id": "nps",
            "kind": "nps",
            "text": {
                "en": "How likely are you to recommend us to a friend?",
                "el": "Πόσο πιθανό είναι να μας συστήσετε σε έναν φίλο;",
            },
        },
        {"id": "why", "kind": "text", "text": {"en": "What is the main reason?", "el": "Ποιος είναι ο λόγος;"}},
    ],
    "alerts": [{"question": "nps", "at_most": 6, "owner": "anna", "due_in": 14400}],
}


async def asked(gw: Running, customer: str, number: int) -> dict[str, Any]:
    """The newest of so many messages to a customer, once it is with the provider."""
    last: list[dict[str, Any]] = []

    async def there() -> bool:
        last[:] = (await gw.api("GET", f"/v1/messages?customer={customer}")).body["items"]
        return len(last) >= number and any("accepted" in one["times"] for one in last[0]["attempts"])

    await until(there, seen=lambda: last)
    return last[0]


async def results(gw: Running) -> dict[str, Any]:
    answer = await gw.api("GET", "/v1/surveys/repair/results?by=day")
    assert answer.status == 200, answer
    return answer.body


async def test_a_low_score_is_acted_on_at_once(gw: Running) -> None:
    await gw.customer("ana", sms=ANA, preferences={"channels": ["sms"]})
    await gw.customer("nikos", sms=NIKOS, preferences={"channels": ["sms"], "language": "el"})
    await gw.customer("eva", email=EVA, preferences={"channels": ["email"]})
    assert (await gw.api("PUT", "/v1/surveys/repair", FORM)).status == 201
    body = {"audience": {"customers": ["ana", "nikos", "eva"]}, "data": {"about": "the repair"}}
    invited = await gw.api("POST", "/v1/surveys/repair/invitations", body)
    assert (invited.status, invited.body["invited"]) == (202, 3), invited

    # Ana answers where she was asked, in one word with a reason.
    await asked(gw, "ana", 1)
    began = time.monotonic()
    await gw.texts_us(ANA, "3 - still flickering")
    case: dict[str, Any] = {}

    async def opened() -> bool:
        items = (await gw.api("GET", "/v1/cases?customer=ana")).body["items"]
        case.update(items[0] if items else {})
        return bool(items)

    await until(opened)
    assert time.monotonic() - began < 10
    assert (case["owner"], case["kind"], case["status"]) == ("anna", "survey", "open")
    due = dt.datetime.fromisoformat(case["due_at"]) - dt.datetime.fromisoformat(case["created_at"])
    assert due.total_seconds() == 14400
    assert "still flickering" in case["description"]

    # The next question follows on the same channel, and her own words are kept.
    await asked(gw, "ana", 2)
    await gw.texts_us(ANA, "The light still flickers when it rains.")

    # Nikos reads it in Greek; Eva taps her score in the mail and writes on the page.
    await asked(gw, "nikos", 1)
    assert any("Πόσο πιθανό" in text.body for text in gw.sandbox.world.texts(NIKOS))
    await gw.texts_us(NIKOS, "10")
    await until(lambda: gw.sandbox.world.mails(EVA))
    link = next(link for link in gw.sandbox.world.mails(EVA)[0].links if "/a/" in link and "v=9" in link)
    async with gw.http.get(link) as page:
        assert page.status == 200
    assert "page" not in (await results(gw))["questions"][0]["by_channel"]  # looking counts nothing
    async with gw.http.post(link, data={"v": "9"}) as page:
        assert "What is the main reason?" in await page.text()
    async with gw.http.post(link, data={"more": "1", "q.why": "He came on time."}) as page:
        assert page.status == 200

    async def all_in() -> bool:
        found = await results(gw)
        return (found["responses"], found["completed"]) == (3, 2)

    await until(all_in)
    found = await results(gw)
    nps = found["questions"][0]
    assert nps["score"] == 33.33
    assert nps["interval"][0] < 33.33 < nps["interval"][1]
    assert {channel: one["answers"] for channel, one in nps["by_channel"].items()} == {"sms": 2, "page": 1}
    assert {one["text"] for one in found["verbatims"]} == {
        "still flickering",
        "The light still flickers when it rains.",
        "He came on time.",
    }
    # Everything of hers in one thread.
    kinds = {line["kind"] for line in (await gw.api("GET", "/v1/customers/ana/timeline")).body["items"]}
    assert {"message", "answer", "case"} <= kinds
    assert len((await gw.api("GET", "/v1/cases?customer=ana")).body["items"]) == 1
