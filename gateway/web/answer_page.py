"""The page of a question (`/a/{token}`): one tap answers, then there is room for more.

Looking counts nothing, because mail scanners and previews look at every link: only POST counts. A link without an answer
shows buttons, each of which sends the form; one with an answer (`?v=`, as in e-mails) shows it chosen, and one button.
Once the message's own question is answered the page shows what else is asked (`delivery.following`) and a field for words,
which are kept with the answer. It works without scripts and cookies.

Fields of the form: `v`, the answer to the message's own question, by its key of `prompts.key_map`, or a text; `q.<id>`, the
same for a question that follows; `words`; `more`, which says that this is the second step, where nothing must be filled in.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp import web

from gateway.delivery.answers import closed
from gateway.links import ANSWER
from gateway.message import Message
from gateway.prompts import Prompt, PromptKind, Value, remark
from gateway.text import clean
from gateway.web.context import GATEWAY, Opened
from gateway.web.linked import NotHere, form_of, framed, linked_by, message_id, public, said, texts_for
from gateway.web.page_answers import LONGEST_TEXT, choices, label_of, question_of, value_of, words_of
from gateway.web.page_texts import AnswerTexts, Texts

_LONGEST_EXCERPT = 280


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A question as the page puts it. `chosen`: the value that is marked, or the words that were written."""

    name: str
    id: str
    kind: PromptKind
    question: str
    choices: list[tuple[str, str]]
    chosen: str = ""


def _field(name: str, prompt: Prompt, language: str, texts: AnswerTexts, chosen: str = "") -> Field:
    return Field(
        name=name,
        id=f"f-{name.replace('.', '-')}",
        kind=prompt.kind,
        question=question_of(prompt, language, texts),
        choices=choices(prompt, texts) or ([("1", texts.confirm)] if prompt.kind == "acknowledge" else []),
        chosen=chosen,
    )


async def _asked(request: web.Request) -> tuple[Opened, Prompt | None]:
    opened = await request.app[GATEWAY].pages.asked(message_id(request, ANSWER))
    if opened is None:
        raise NotHere(410, "gone")
    return opened, opened.message.prompt


async def shown(request: web.Request) -> web.Response:
    """The question, with the answer of the link chosen; or what has been answered, and what is left. Nothing counts yet."""
    opened, prompt = await _asked(request)
    if prompt is None:
        return _nothing(request, opened)
    answer, chosen = opened.message.answer, request.query.get("v", "")
    wanted = value_of(prompt, chosen) if chosen else None
    left = answer is not None and await request.app[GATEWAY].pages.following(opened.message)
    if answer is not None and (left or wanted in (None, answer.value)):
        _, texts = texts_for(request, opened)
        return await _afterwards(request, opened, prompt, texts.answer.answered, more=True)
    return await _question(request, opened, prompt, chosen if wanted is not None else "")


async def given(request: web.Request) -> web.Response:
    """Count the answer; the first counts, later ones are noted. Then what follows, and words."""
    opened, prompt = await _asked(request)
    if prompt is None:
        return _nothing(request, opened)
    form = await form_of(request)
    _, texts = texts_for(request, opened)
    if "more" in form and opened.message.answer is not None:
        return await _more(request, opened, prompt, texts, form)
    sent = form.get("v", "")
    value = value_of(prompt, sent)
    if value is None:
        return await _question(request, opened, prompt, sent, missing=True)
    linked, via = linked_by(request, ANSWER)
    counted = await request.app[GATEWAY].pages.answer(
        opened.message.id, value, words_of(prompt, sent, texts.answer), via if opened.message.id == linked else None
    )
    if counted is None:
        raise NotHere(410, "gone")
    heading = _heading(opened.message, counted, prompt, texts.answer)
    return await _afterwards(request, Opened(counted, opened.words), prompt, heading, more=True)


async def _more(
    request: web.Request, opened: Opened, prompt: Prompt, texts: Texts, form: Mapping[str, str]
) -> web.Response:
    """The second step: whatever was filled in of what follows, and words."""
    pages, message = request.app[GATEWAY].pages, opened.message
    answers: dict[str, tuple[Value, str]] = {}
    for question in await pages.following(message):
        sent = form.get(f"q.{question.id}", "")
        value = value_of(question.prompt, sent)
        if value is not None:
            answers[question.id] = value, words_of(question.prompt, sent, texts.answer)
    words = clean(form.get("words", "")).strip()[:LONGEST_TEXT]
    if words:
        message = await pages.add_words(message.id, words)
        if message is None:
            raise NotHere(410, "gone")
    if answers:
        await pages.answer_following(message, answers)
    heading = texts.answer.noted if words or answers else texts.answer.over
    return await _afterwards(request, Opened(message, opened.words), prompt, heading, more=False)


async def _question(
    request: web.Request, opened: Opened, prompt: Prompt, chosen: str, *, missing: bool = False
) -> web.Response:
    language, texts = texts_for(request, opened)
    pages, clock, message = request.app[GATEWAY].pages, request.app[GATEWAY].clock, opened.message
    known = chosen if prompt.kind == "text" or value_of(prompt, chosen) is not None else ""
    return framed(
        request,
        "answer.html",
        language,
        status=422 if missing else 200,
        title=texts.answer.title,
        texts=texts.answer,
        field=_field("v", prompt, language, texts.answer, known),
        following=[question_of(one.prompt, language, texts.answer) for one in await pages.following(message)],
        missing=missing,
        before=_chosen_before(message, prompt, texts.answer),
        late=closed(message, prompt, clock.now()),
        newer=message.id != message_id(request, ANSWER),
        excerpt=_excerpt(opened),
        words_language=language if opened.words is None else opened.words.language,
    )


async def _afterwards(
    request: web.Request, opened: Opened, prompt: Prompt, heading: str, *, more: bool
) -> web.Response:
    language, texts = texts_for(request, opened)
    message = opened.message
    asked = await request.app[GATEWAY].pages.following(message) if more else ()
    own = remark(prompt, message.answer) if message.answer is not None else ""
    return framed(
        request,
        "answered.html",
        language,
        title=heading,
        texts=texts.answer,
        given=_chosen_before(message, prompt, texts.answer),
        own="" if own == _chosen_before(message, prompt, texts.answer) else own,
        following=[_field(f"q.{one.id}", one.prompt, language, texts.answer) for one in asked],
        more=more,
    )


def _chosen_before(message: Message, prompt: Prompt, texts: AnswerTexts) -> str:
    """The answer that counts, as people read it; empty: there is none."""
    return "" if message.answer is None else label_of(prompt, message.answer, texts)


def _heading(before: Message, after: Message, prompt: Prompt, texts: AnswerTexts) -> str:
    if before.answer is not None and prompt.kind != "acknowledge":
        return texts.already
    return texts.late if after.answer is not None and after.answer.late else texts.thanks


def _nothing(request: web.Request, opened: Opened) -> web.Response:
    language, texts = texts_for(request, opened)
    return said(request, language, texts.answer.title, texts.answer.none, status=404, tone="bad")


def _excerpt(opened: Opened) -> str:
    """Enough of the message to know what is asked about."""
    text = "" if opened.words is None else opened.words.subject or opened.words.text
    return text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 1].rstrip() + "…"


def routes() -> list[web.RouteDef]:
    """The page, and where it is sent to."""
    return [web.get("/a/{token}", public(shown)), web.post("/a/{token}", public(given))]
