"""The words of an e-mail: subject, text, HTML, with the prompt's buttons and the links below."""

from __future__ import annotations

from typing import Final

from gateway.content import layout
from gateway.content.links import Pages, Unfit, answer_url
from gateway.content.phrases import Phrases
from gateway.content.sources import Source
from gateway.content.words import Rendered
from gateway.prompts import Prompt, key_map

_LONGEST_SUBJECT: Final = 78
"""Where a text's first line stands in for a missing subject."""
_MOST_BUTTONS: Final = 11


def email(
    texts: Source, words: Phrases, prompt: Prompt | None, question: str, links: Pages, *, carries_unsubscribe: bool
) -> Rendered | Unfit:
    """An e-mail of the texts. Without HTML of its own it gets the gateway's layout; without text, the subject and a link."""
    if prompt is not None and links.answer is None:
        return Unfit("cannot_prompt", "An e-mail needs an answer page for a question.")
    text, html = texts.text(("text",), "text"), texts.text(("html",), "html")
    if text is None and html is None:
        return Unfit("no_template", "The message has no text for e-mail.")
    given = texts.text(("subject",), "line")
    subject = given or _first_line(text or question) or texts.language
    whole = words.page.whole_line.format(link=links.message)
    blocks = [text or f"{given or ''}\n\n{whole}".strip(), _asked_text(prompt, question, texts.language, words, links)]
    blocks.append(_footer_text(words, links, carries_unsubscribe=carries_unsubscribe))
    asked = _asked_html(prompt, question, texts.language, words, links)
    foot = layout.footer(_footer_links(words, links, carries_unsubscribe=carries_unsubscribe))
    if html is None:
        html = layout.page(texts.language, subject, layout.from_text(given or "", text or "") + asked, foot)
    else:
        html = layout.around(texts.language, subject, html, asked, foot)
    return Rendered(
        language=texts.language,
        subject=subject,
        text="\n\n".join(block for block in blocks if block) + "\n",
        html=html,
        attachments=texts.attachments(),
    )


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0].strip()
    return line if len(line) <= _LONGEST_SUBJECT else f"{line[: _LONGEST_SUBJECT - 1].rstrip()}…"


def _asked_text(prompt: Prompt | None, question: str, language: str, words: Phrases, links: Pages) -> str:
    if prompt is None or links.answer is None:
        return ""
    lines = [question] if question else []
    match prompt.kind:
        case "acknowledge":
            lines.append(words.page.confirm_line.format(link=answer_url(links.answer, "1")))
        case "yes_no" | "choice":
            if not question:
                lines.append(words.page.choose)
            lines += [f"{label}: {answer_url(links.answer, key)}" for key, label in key_map(prompt, language)]
        case "scale":
            lines += [_scale(prompt, words), words.page.answer_line.format(link=links.answer)]
        case "text":
            lines.append(words.page.answer_line.format(link=links.answer))
    return "\n".join(lines)


def _asked_html(prompt: Prompt | None, question: str, language: str, words: Phrases, links: Pages) -> str:
    if prompt is None or links.answer is None:
        return ""
    buttons = [(answer_url(links.answer, key), label) for key, label in key_map(prompt, language)]
    match prompt.kind:
        case "scale":
            question = question or _scale(prompt, words)
            buttons = buttons if len(buttons) <= _MOST_BUTTONS else [(links.answer, words.page.answer)]
        case "choice":
            question = question or words.page.choose
        case "text":
            buttons = [(links.answer, words.page.answer)]
        case "acknowledge" | "yes_no":
            pass
    return layout.question(question, buttons, small=prompt.kind == "scale" and len(buttons) > 1)


def _scale(prompt: Prompt, words: Phrases) -> str:
    return words.page.scale.format(min=prompt.min, max=prompt.max)


def _footer_links(words: Phrases, links: Pages, *, carries_unsubscribe: bool) -> list[tuple[str, str]]:
    shown = [(links.message, words.page.whole)]
    if links.preferences is not None:
        shown.append((links.preferences, words.page.preferences))
    if carries_unsubscribe and links.unsubscribe is not None:
        shown.append((links.unsubscribe, words.page.unsubscribe))
    return shown


def _footer_text(words: Phrases, links: Pages, *, carries_unsubscribe: bool) -> str:
    lines: list[str] = []
    if links.preferences is not None:
        lines.append(words.page.preferences_line.format(link=links.preferences))
    if carries_unsubscribe and links.unsubscribe is not None:
        lines.append(words.page.unsubscribe_line.format(link=links.unsubscribe))
    return "\n".join(["-- ", *lines]) if lines else ""
