"""Bodies, prompts and a short way to render them, for the tests of what messages say."""

from __future__ import annotations

from typing import Any

from gateway.content.content import Body, Content, LocaleParts, Template
from gateway.content.files import built_in
from gateway.content.links import Links, Unfit
from gateway.content.render import render
from gateway.content.words import Rendered
from gateway.prompts import Option, Prompt
from gateway.settings_types import WeChatTemplate as DefaultTemplate

LINKS = Links(
    message="https://g.example/m/tok",
    answer="https://g.example/a/tok",
    unsubscribe="https://g.example/u/tok",
    preferences="https://g.example/p/tok",
)
ACKNOWLEDGE = Prompt(kind="acknowledge")
YES_NO = Prompt(kind="yes_no", question={"en": "Is it solved?", "el": "Λύθηκε;"})
NPS = Prompt(kind="scale", min=0, max=10)
STARS = Prompt(kind="scale", min=1, max=5, question="How was it?")
CHOICE = Prompt(kind="choice", options=(Option("money", "20 EUR & more"), Option("month", "A month")))
TEXT = Prompt(kind="text", question="What was it?")
DEFAULT = DefaultTemplate(id="D1", data={"thing1": "{{ subject }}", "thing2": "{{ text }}"})
OUTAGE = Body(
    template=built_in()["outage-notice"], data={"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"}
)


def any_voice(_language: str) -> bool:
    return True


def made(body: Body | Content, channel: str, **given: Any) -> Rendered | Unfit:
    options: dict[str, Any] = {
        "language": None,
        "default_locale": "en",
        "time_zone": "Europe/Athens",
        "prompt": None,
        "links": LINKS,
        "voices": any_voice,
        "default_wechat_template": None,
        "in_window": True,
        "carries_unsubscribe": False,
    }
    body = Body(content=body) if isinstance(body, Content) else body
    return render(body, channel, **{**options, **given})


def words(body: Body | Content, channel: str, **given: Any) -> Rendered:
    found = made(body, channel, **given)
    assert isinstance(found, Rendered), found
    return found


def unfit(body: Body | Content, channel: str, **given: Any) -> str:
    found = made(body, channel, **given)
    assert isinstance(found, Unfit), found
    assert found.text.endswith(".")
    return found.code


def template(**locales: LocaleParts) -> Body:
    return Body(template=Template(id="t", locales={tag.replace("_", "-"): parts for tag, parts in locales.items()}))
