"""Templates: texts with versions, and what they look like on every channel."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from gateway import settings_values
from gateway.content.content import LocaleParts, Template
from gateway.content.preview import ChannelPreview, preview
from gateway.store.templates import BadTemplate
from gateway.web.operations import Answer, Call, NoQuery, Operation
from gateway.web.problems import invalid, not_found

Locale = Annotated[str, Meta(min_length=2, max_length=35, description="BCP 47.")]


class TemplateIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A template in all its languages; a channel without a text of its own takes `text`."""

    locales: Annotated[dict[str, LocaleParts], Meta(min_length=1, max_length=100, description="Locale to texts.")]


class TemplateSaved(msgspec.Struct, frozen=True):
    """The version that is in force now."""

    id: str
    version: int


class TemplateOut(msgspec.Struct, frozen=True):
    """One version of a template; version 0 comes from a file or is built in."""

    id: str
    version: int
    locales: dict[str, LocaleParts]


class TemplateList(msgspec.Struct, frozen=True):
    """The templates in force, by id."""

    items: tuple[TemplateOut, ...]
    next: str | None = None


class VersionQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version; without one the one in force."""

    version: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None


class PreviewIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to fill in, and for whom."""

    data: dict[str, Any] = {}
    locale: Locale | None = None


class PreviewOut(msgspec.Struct, frozen=True):
    """The words of every channel, SMS with its segments, or why a channel can't carry them."""

    channels: dict[str, ChannelPreview]


def _out(template: Template) -> TemplateOut:
    return TemplateOut(template.id, template.version, template.locales)


async def listed(call: Call[None, NoQuery]) -> Answer:
    """All templates in force."""
    return Answer(body=TemplateList(tuple(_out(one) for one in await call.gateway.templates.list())))


async def _found(call: Call[Any, Any], version: int | None) -> Template:
    template = await call.gateway.templates.get(call.path["id"], version)
    if template is None:
        raise not_found("template")
    return template


async def look(call: Call[None, VersionQuery]) -> Answer:
    """One template."""
    return Answer(body=_out(await _found(call, call.query.version)))


async def put(call: Call[TemplateIn, NoQuery]) -> Answer:
    """Store a new version; messages already accepted keep theirs."""
    name = call.path["id"]
    try:
        version = await call.gateway.templates.put(name, call.tree["locales"])
    except BadTemplate as bad:
        raise invalid(bad.problems) from None
    return Answer(status=201 if version == 1 else 200, body=TemplateSaved(name, version))


async def show(call: Call[PreviewIn, VersionQuery]) -> Answer:
    """Render without sending."""
    template = await _found(call, call.query.version)
    locale = call.body.locale
    try:
        wanted = None if locale is None else settings_values.locale(locale)
    except ValueError as wrong:
        raise invalid([("/locale", str(wrong))]) from None
    settings = call.gateway.settings
    found = preview(
        template,
        call.body.data,
        wanted,
        channels=call.gateway.known_channels,
        default_locale=settings.default_locale,
        time_zone=settings.default_time_zone,
    )
    if found.problems:
        raise invalid(found.problems)
    return Answer(body=PreviewOut(found.channels))


_EXAMPLE: Final = {
    "locales": {
        "en": {"subject": "Your visit", "text": "We come on {{ day | date }}.", "sms": "Visit: {{ day | date }}."},
        "el": {"subject": "Η επίσκεψη", "text": "Ερχόμαστε στις {{ day | date }}."},
    }
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/templates",
        name="listTemplates",
        tag="Templates",
        scope="read",
        handler=listed,
        summary="List the templates in force",
        answers={200: TemplateList},
    ),
    Operation(
        method="GET",
        path="/v1/templates/{id}",
        name="getTemplate",
        tag="Templates",
        scope="read",
        handler=look,
        summary="Read a template",
        query=VersionQuery,
        answers={200: TemplateOut},
        refuses=(404,),
    ),
    Operation(
        method="PUT",
        path="/v1/templates/{id}",
        name="putTemplate",
        tag="Templates",
        scope="operate",
        handler=put,
        stores=True,
        summary="Store a new version",
        body=TemplateIn,
        answers={201: TemplateSaved, 200: TemplateSaved},
        example=_EXAMPLE,
        example_path={"id": "visit"},
        description="`{{ name }}`, `{% if %}`, `{% for %}` and the filters `date time datetime money number`. "
        "Messages already accepted keep the version they were accepted with.",
    ),
    Operation(
        method="POST",
        path="/v1/templates/{id}/preview",
        name="previewTemplate",
        tag="Templates",
        scope="read",
        handler=show,
        summary="See it on every channel",
        query=VersionQuery,
        body=PreviewIn,
        answers={200: PreviewOut},
        refuses=(404,),
        example={"data": {"area": "Kypseli", "restored_by": "2026-11-22T18:00:00+02:00"}, "locale": "el"},
    ),
)
