"""What the tests of customers' own choices share: the preference page as a browser without scripts, and the phone menu."""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import msgspec

from tests.contract.client import Answer
from tests.contract.waiting import eventually
from tests.contract.wire import ACCOUNT, SENDER, path_of
from tests.contract.world import Person, World

_calls = itertools.count(1)
CUT = {"subject": "Cut", "text": "Cut", "wechat": {"template_id": "t1", "data": {"thing1": {"value": "Cut"}}}}


async def dry(w: World, who: Person, category: str = "outage") -> tuple[set[str], dict[str, str]]:
    """The channels that would be used, and why the others wouldn't."""
    given = {"customer": who.id, "category": category, "content": CUT}
    answer = await w.api("POST", "/v1/messages", given, dry_run="true")
    assert answer.status == 200, answer
    skipped = {one["channel"]: one["why"]["code"] for one in answer.body["skipped"]}
    return {one["channel"] for one in answer.body["route"]}, skipped


async def open_to(w: World, who: Person, category: str = "outage") -> set[str]:
    return (await dry(w, who, category))[0]


async def ledger(w: World, who: Person) -> list[Any]:
    return (await w.api("GET", f"/v1/customers/{who.id}/consents")).body["items"]


async def said(w: World, who: Person) -> list[tuple[str, str, str]]:
    """The ledger's pairs and states, newest first."""
    return [(one["channel"], one["category"], one["state"]) for one in await ledger(w, who)]


async def addresses(w: World, who: Person) -> list[tuple[str, str]]:
    stored = (await w.api("GET", f"/v1/customers/{who.id}")).body["addresses"]
    return [(one["channel"], one["value"]) for one in stored]


async def outcome(w: World, number: str, words: str) -> str:
    """What became of the newest text with these words from there, once it was understood."""

    async def look() -> str | None:
        items = (await w.api("GET", "/v1/inbound", limit=100)).body["items"]
        mine = [one for one in items if one["from"] == number and one["text"] == words]
        return mine[0]["outcome"] if mine else None

    return await eventually(look)


class Centre(msgspec.Struct):
    """One person's preference page, without scripts and cookies."""

    w: World
    path: str

    @classmethod
    async def of(cls, w: World, who: Person, **given: Any) -> Centre:
        made = await w.api("POST", f"/v1/customers/{who.id}/preference-link", given)
        assert made.status == 201, made
        return cls(w, path_of(made.body["url"]))

    async def get(self, where: str = "", **headers: str) -> Answer:
        return await self.w.api("GET", self.path + where, headers={"Authorization": None, **headers})

    async def post(self, where: str, site: str | None = "same-origin", **fields: str) -> Answer:
        headers = {
            "Authorization": None, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": site,
        }  # fmt: skip
        return await self.w.api("POST", self.path + where, raw=urlencode(fields).encode(), headers=headers)

    async def seen(self, where: str = "") -> str:
        found = re.search(r'name="seen" value="([^"]*)"', (await self.get(where)).text)
        assert found
        return found[1]

    async def switch(self, kind: str, on: str, where: str = "/switch") -> None:
        done = await self.post(where, seen=await self.seen(), kind=kind, on=on)
        assert done.status == 303, done


class Call:
    """Somebody calls the gateway's number, and presses keys."""

    def __init__(self, w: World, number: str, **fields: str) -> None:
        self.w = w
        self.fields = {
            "AccountSid": ACCOUNT,
            "CallSid": f"CA{next(_calls):032x}",
            "From": number,
            "To": SENDER,
            **fields,
        }
        self.heard: list[tuple[str, str]] = []
        self.action = self.onward = ""

    async def ring(self) -> Call:
        return await self._hear(self.w.twilio.public + "/callbacks/voice/inbound", "ringing")

    async def press(self, *keys: str) -> Call:
        for key in keys:
            await self._hear(self.action, "in-progress", Digits=key)
        return self

    async def wait(self) -> Call:
        return await self._hear(self.onward, "in-progress")

    async def _hear(self, url: str, status: str, **more: str) -> Call:
        code, text = await self.w.twilio.post(url, {**self.fields, "CallStatus": status, **more})
        assert code == 200, text
        root = ET.fromstring(text)  # noqa: S314 - our own gateway's
        verbs = {one.tag for one in root.iter()}
        assert verbs <= {"Response", "Gather", "Say", "Pause", "Redirect", "Hangup"}, text
        self.heard = [(one.get("language", ""), one.text or "") for one in root.iter("Say")]
        assert all(words.strip() for _, words in self.heard), text
        gather = root.find("Gather")
        self.action = gather.get("action", "") if gather is not None else ""
        self.onward = root.findtext("Redirect") or ""
        assert bool(self.action) == bool(self.onward), "a menu goes on, or the call ends"
        return self

    @property
    def words(self) -> str:
        return " ".join(words for _, words in self.heard)
