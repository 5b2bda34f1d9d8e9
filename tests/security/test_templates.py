"""Templates are programs of strangers: what they may ask for is bounded in time and size."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import aiohttp
import pytest

from tests.support.front import Front

GREEDY: dict[str, str] = {
    "a product": "{{ 'a' * 10 ** 9 }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "padding": "{{ a.center(999999999) }}",
    "a format": "{{ '%0999999999d' % 1 }}",
    "a filter": "{{ a | center(999999999) }}",
    "a range": "{% for x in range(10 ** 9) %}x{% endfor %}",
    "the inside": "{{ a.__class__.__mro__[1].__subclasses__() }}",
    "a file": "{% include '/etc/passwd' %}",
    "a name of the program": "{{ self._TemplateReference__context }}{{ config }}{{ cycler.__init__.__globals__ }}",
    "depth": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "a chain": "{{ a" + ".b" * 4_000 + " }}",
    "alternatives": "{% if a %}" + "{% elif a %}x" * 5_000 + "{% endif %}",
    "size": "x" * 100_000,
}
WASTEFUL = {
    "loops in loops": "{% for x in l %}{% for y in l %}{{ y }}{% endfor %}{% endfor %}",
    "a long loop": "{% for x in l %}{{ x }}{{ x }}{{ x }}{% endfor %}",
    "a long value": "{{ s }}" * 400,
    "dates": "{% for x in l %}" + "{{ d | datetime('full') }}" * 90 + "{% endfor %}",
}


async def call(door: Front, http: aiohttp.ClientSession, method: str, path: str, body: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {door.key}"}
    async with http.request(method, f"http://127.0.0.1:{door.port}{path}", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("kind", ["text", "html", "speech", "sms", "subject"])
async def test_greedy_templates_are_never_saved(door: Front, http: aiohttp.ClientSession, kind: str) -> None:
    before, began = await door.stored(), time.process_time()
    for name, text in GREEDY.items():
        locale = {"text": "plain", kind: text}
        found, body = await call(door, http, "PUT", "/v1/templates/greedy", {"locales": {"en": locale}})
        assert found == 422, (name, body)
    assert time.process_time() - began < 10
    assert await door.stored() == before


async def test_wasteful_ones_end_with_the_reason(door: Front, http: aiohttp.ClientSession) -> None:
    data = {"l": list(range(5_000)), "s": "s" * 2_000, "d": "2026-11-22T18:00:00+02:00"}
    for number, (name, text) in enumerate(WASTEFUL.items()):
        path = f"/v1/templates/wasteful-{number}"
        found, body = await call(door, http, "PUT", path, {"locales": {"en": {"text": text}}})
        assert found == 201, (name, body)
        tracemalloc.start()
        began = time.process_time()
        found, body = await call(door, http, "POST", f"{path}/preview", {"data": data})
        assert found == 422, (name, body)
        assert time.process_time() - began < 5, name
        assert tracemalloc.get_traced_memory()[1] < 30_000_000, name
        tracemalloc.stop()


async def test_data_is_never_read_as_a_template(door: Front, http: aiohttp.ClientSession) -> None:
    """What a value holds is shown, not run; so is what a message says without a template."""
    await call(
        door, http, "PUT", "/v1/templates/echo", {"locales": {"en": {"text": "{{ a }}", "html": "<p>{{ a }}</p>"}}}
    )
    words = "{{ 7 * 7 }}<script>alert(1)</script>"
    found, body = await call(door, http, "POST", "/v1/templates/echo/preview", {"data": {"a": words}})
    assert found == 200
    assert body["channels"]["sms"]["text"] == words
    assert "&lt;script&gt;" in body["channels"]["email"]["html"]
    assert "<script" not in body["channels"]["email"]["html"]
    assert "49" not in str(body["channels"]["email"])
