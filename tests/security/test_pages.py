"""Public pages: what strangers put into an address, a form or a header never becomes markup, and links hold for one purpose."""

from __future__ import annotations

import html
import re
from urllib.parse import quote

import aiohttp
import pytest

from gateway.links import ANSWER, MESSAGE, PREFERENCES, UNSUBSCRIBE
from tests.support.front import Front

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"
HTML_PAGES = [
    "/docs",
    "/problems/invalid",
    "/m/x",
    "/a/x",
    "/u/x",
    "/a/x?v=" + quote(EVIL),
    "/m/" + quote(EVIL, safe=""),
]
OTHERS = ["/openapi.json", "/healthz", "/assets/page.css", "/" + quote(EVIL), "/v1/" + quote(EVIL), "/problems/" + quote(EVIL, safe=""), "/assets/" + quote(EVIL, safe="")]  # fmt: skip


def markup(text: str) -> bool:
    return bool(re.search(r"<script>alert|<img src=x|onerror=alert\(1\)>", text))


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
async def test_nothing_of_a_request_becomes_markup(door: Front, http: aiohttp.ClientSession, method: str) -> None:
    before = await door.stored()
    headers = {"Accept": "text/html", "Accept-Language": EVIL, "X-Request-Id": EVIL, "Referer": EVIL, "User-Agent": EVIL, "Host": "evil.example"}  # fmt: skip
    for path in (*HTML_PAGES, *OTHERS):
        body = None if method in ("GET", "HEAD") else f"v={quote(EVIL)}&List-Unsubscribe=One-Click".encode()
        async with http.request(method, f"http://127.0.0.1:{door.port}{path}", data=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status < 500, path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert EVIL not in answer.headers["X-Request-Id"]
            assert "evil.example" not in text, path
            assert "Set-Cookie" not in answer.headers
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Server"] == "gateway"
            if answer.content_type == "text/html":
                assert not markup(text), path
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy, path
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-store"
                assert "noindex" in answer.headers.get("X-Robots-Tag", "noindex")
    assert await door.stored() == before


async def test_a_link_holds_for_one_purpose_one_message_and_one_time(door: Front, http: aiohttp.ClientSession) -> None:
    """The customer's words are evil, too."""
    base, key = f"http://127.0.0.1:{door.port}", {"Authorization": f"Bearer {door.key}"}
    person = {"addresses": [{"channel": "email", "value": "ana@example.com"}]}
    sent = {"category": "survey", "content": {"subject": EVIL, "text": EVIL}, "prompt": {"kind": "choice", "question": EVIL, "options": [{"id": "a", "label": EVIL}, {"id": "b", "label": "b"}]}, "customer": "ana"}  # fmt: skip
    async with http.put(f"{base}/v1/customers/ana", json=person, headers=key) as answer:
        assert answer.status == 201
    async with http.post(f"{base}/v1/messages", json=sent, headers=key) as answer:
        assert answer.status == 202, await answer.text()
        message = (await answer.json())["id"]
    purposes, links = {"m": MESSAGE, "a": ANSWER, "u": UNSUBSCRIBE}, door.gateway.links
    before = await door.stored()
    for path, purpose in purposes.items():
        for other in {MESSAGE, ANSWER, UNSUBSCRIBE, PREFERENCES} - {purpose}:
            for method in ("GET", "POST") if path != "m" else ("GET",):
                async with http.request(method, f"{base}/{path}/{links.sign(other, message, 60)}") as answer:
                    assert answer.status == 404, (path, other)
        good = links.sign(purpose, message, 60)
        for number in range(0, len(good), 7):
            spoilt = good[:number] + ("A" if good[number] != "A" else "B") + good[number + 1 :]
            async with http.get(f"{base}/{path}/{spoilt}") as answer:
                assert answer.status == 404, (path, number)
        for method in ("GET", "HEAD"):
            async with http.request(method, f"{base}/{path}/{good}") as answer:
                assert answer.status == 200
                text = await answer.text()
                assert not markup(text)
                assert method == "HEAD" or path == "u" or html.escape(EVIL)[:20] in text or "&#34;" in text
    assert await door.stored() == before, "looking changes nothing, by none of the links"


async def test_the_internal_listener_is_not_the_public_one(door: Front, http: aiohttp.ClientSession) -> None:
    async with http.get(f"http://127.0.0.1:{door.port}/metrics") as answer:
        assert answer.status == 404
