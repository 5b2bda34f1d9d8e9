from __future__ import annotations

import json
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import aiohttp
import aiosmtplib
import pytest
from playwright.async_api import Page, async_playwright

from gateway.sandbox.app import Sandbox
from gateway.sandbox.behaviour import Carrier, Manner, State
from gateway.sandbox.people import samples
from tests.integration.test_sandbox_kit import FROM, browser, sandbox
from tests.integration.test_sandbox_sms import call, client_of

OURS = {"X-Phones": "1"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


async def act(box: Sandbox, session: aiohttp.ClientSession, person: str, action: str, **body: Any) -> int:
    async with session.post(f"{box.phones_url}/api/people/{person}/{action}", json=body, headers=OURS) as answer:
        return answer.status


async def detail(box: Sandbox, session: aiohttp.ClientSession, person: str) -> dict[str, Any]:
    async with session.get(f"{box.phones_url}/api/people/{person}") as answer:
        return await answer.json()


async def news(stream: aiohttp.StreamReader) -> dict[str, Any]:
    while not (line := await stream.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    return json.loads(line.removeprefix(b"data: "))


def letter(to: str, html: str) -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Power <notices@example.org>", to, "Planned cut"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content("The power will be off.")
    mail.add_alternative(html, subtype="html")
    return mail


async def post_letter(box: Sandbox, mail: EmailMessage) -> None:
    async with aiosmtplib.SMTP(hostname=box.mail.host, port=box.mail.port, start_tls=False) as client:
        await client.send_message(mail, sender="b@example.org")


async def test_the_stream_gives_a_snapshot_then_changes() -> None:
    async with sandbox(people=samples()) as (box, _), browser() as session:  # noqa: SIM117 - the stream needs the box
        async with session.get(box.phones_url + "/api/live") as stream:
            first = await news(stream.content)
            assert first["first"] is True
            assert len(first["people"]) == 200
            assert first["carriers"]["sms"] == {"state": "up", "accepted": 0}
            client = client_of(box)
            number = samples()[1].address("sms")
            await call(lambda: client.messages.create(to=number, from_=FROM, body="hello"))
            seen: dict[str, Any] = {}
            while not seen.get("people") or seen["carriers"]["sms"]["accepted"] == 0:
                seen = await news(stream.content)
            assert (seen["people"][0]["id"], seen["people"][0]["unread"]) == ("sample-001", 1)
            assert seen["people"][0]["latest"][0]["text"] == "hello"


async def test_what_a_visitor_does_reaches_the_webhooks() -> None:
    async with sandbox(people=samples()) as (box, hook), browser() as session:
        number = samples()[0].address("sms")
        assert await act(box, session, "ana", "text", text="hello") == 204
        assert await act(box, session, "ana", "chat", text="ni hao") == 204
        assert await act(box, session, "ana", "unfollow") == 204
        assert await act(box, session, "ana", "chat", text="too late") == 409
        assert await act(box, session, "ana", "press", key="1") == 409
        assert await act(box, session, "ana", "nonsense") == 409
        assert await act(box, session, "nobody", "seen") == 404
        await box.idle()
        assert hook.on("/callbacks/sms/inbound")[0].form["Body"] == "hello"
        assert len(hook.on("/callbacks/wechat")) == 2
        assert await act(box, session, "ana", "seen") == 204
        assert (await detail(box, session, "ana"))["following"] is False
        assert len(box.world.texts(number)) == 1


async def test_a_visitor_takes_a_call() -> None:
    async with sandbox(people=samples()) as (box, hook), browser() as session:
        number = samples()[0].address("voice")
        hook.answers["/gather"] = lambda _: "<Response><Say>Thank you.</Say></Response>"
        assert await act(box, session, "ana", "hands_on", on=True) == 204
        client = client_of(box)
        twiml = f'<Response><Gather numDigits="1" timeout="60" action="{hook.base}/gather"><Say>Press 1.</Say></Gather></Response>'
        await call(lambda: client.calls.create(to=number, from_=FROM, twiml=twiml))
        await box.world.until(lambda: [one.status for one in box.world.calls(number)] == ["ringing"])
        assert await act(box, session, "ana", "press", key="1") == 409
        assert await act(box, session, "ana", "answer") == 204
        await box.world.until(lambda: box.world.calls(number)[0].wants_key)
        assert await act(box, session, "ana", "press", key="12") == 409
        assert await act(box, session, "ana", "press", key="1") == 204
        await box.idle()
        assert hook.on("/gather")[0].form["Digits"] == "1"
        shown = (await detail(box, session, "ana"))["items"][0]
        assert [line["text"] for line in shown["lines"]] == ["Press 1.", "1", "Thank you."]


async def test_changes_need_our_header_and_pages_are_locked_down() -> None:
    async with sandbox(people=samples()) as (box, _), browser() as session:
        async with session.post(f"{box.phones_url}/api/carriers/sms", json={"state": "hangs"}) as answer:
            assert answer.status == 403
        async with session.post(f"{box.phones_url}/api/carriers/sms", json={"state": "hangs"}, headers=OURS) as answer:
            assert answer.status == 204
        assert box.behaviour.state(Carrier.SMS) is State.HANGS
        async with session.post(f"{box.phones_url}/api/carriers/sms", json={"state": "odd"}, headers=OURS) as answer:
            assert answer.status == 422
        async with session.post(f"{box.phones_url}/api/people/ana/text", data=b"{", headers=OURS) as answer:
            assert answer.status == 400
        async with session.get(box.phones_url + "/") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            page = await answer.text()
        assert "style=" not in page
        assert "http" not in page.replace("http-equiv", "")


async def test_a_mail_is_served_in_a_cage_and_can_be_unsubscribed() -> None:
    async with sandbox(people=samples()) as (box, hook), browser() as session:
        mail = letter("ana@example.org", "<script>alert(1)</script><p>Hello</p>")
        mail["List-Unsubscribe"] = f"<{hook.base}/u/1>"
        await post_letter(box, mail)
        [item] = (await detail(box, session, "ana"))["items"]
        assert (item["html"], item["one_click"]) == (True, True)
        async with session.get(f"{box.phones_url}/mail/ana/{item['id']}") as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert "sandbox allow-popups" in policy
            assert "default-src 'none'" in policy
            assert "allow-scripts" not in policy
        async with session.get(f"{box.phones_url}/mail/ana/other") as answer:
            assert answer.status == 404
        assert await act(box, session, "ana", "unsubscribe", mail=item["id"]) == 204
        await box.idle()
        assert hook.on("/u/1")[0].form["List-Unsubscribe"] == "One-Click"


@asynccontextmanager
async def visiting(box: Sandbox, **options: Any) -> AsyncGenerator[Page]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await chromium.new_page(**options)
        complaints: list[str] = []
        page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(box.phones_url + "/")
        await page.wait_for_selector(".small")
        yield page
        await chromium.close()
        assert complaints == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_the_page_shows_a_text_a_call_and_a_mail_on_a_small_screen() -> None:
    async with sandbox(people=samples()) as (box, hook):
        number, client = samples()[0].address("sms"), client_of(box)
        box.behaviour.carrier_fates.clear()
        async with visiting(box, viewport={"width": 360, "height": 740}) as page:
            await call(
                lambda: client.messages.create(to=number, from_=FROM, body="<b>Power</b> cut https://example.org/m")
            )
            await page.locator(".small", has_text="Ana").get_by_text("<b>Power</b> cut").wait_for()
            await page.get_by_role("button", name="Ana (sample)").click()
            assert await page.locator(".bubble a").get_attribute("href") == "https://example.org/m"
            await page.get_by_label("Your reply").fill("1")
            await page.get_by_label("Your reply").press("Enter")
            await hook.until(lambda: bool(hook.on("/callbacks/sms/inbound")))
            await page.locator(".bubble.mine").wait_for()
            await post_letter(box, letter("ana@example.org", "<p>Hello from the mail</p>"))
            await page.get_by_role("button", name="Mail, 1 items").click()
            await page.locator(".row").click()
            await page.frame_locator("iframe").get_by_text("Hello from the mail").wait_for()
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_a_call_is_taken_with_the_keyboard_alone() -> None:
    async with sandbox(people=samples()) as (box, hook):
        number, client = samples()[0].address("voice"), client_of(box)
        hook.answers["/gather"] = lambda _: "<Response><Say>Thank you.</Say></Response>"
        box.world.device("phone", number).hands_on = True
        box.behaviour.manners[number] = Manner()
        async with visiting(box, reduced_motion="reduce") as page:
            twiml = f'<Response><Gather numDigits="1" timeout="60" action="{hook.base}/gather"><Say>Press 1.</Say></Gather></Response>'
            await call(lambda: client.calls.create(to=number, from_=FROM, twiml=twiml))
            await page.locator(".small.ringing").wait_for()
            await page.locator(".small.ringing button").press("Enter")
            await page.get_by_role("button", name="Answer", exact=True).press("Enter")
            await page.get_by_role("log").get_by_text("Press 1.").wait_for()
            await page.get_by_role("group", name="Keypad").get_by_role("button", name="1", exact=True).press("Enter")
            await hook.until(lambda: bool(hook.on("/gather")))
            await page.locator(".recent").get_by_text("Thank you.").wait_for()
            await page.get_by_label("SMS: state").select_option("refuses")
            await box.world.until(lambda: box.behaviour.state(Carrier.SMS) is State.REFUSES)
