"""The HTML of an e-mail: a calm page around a text, buttons for a prompt, a footer.

Tables and inline styles are what e-mail programs understand; the one <style> adds the dark colours and narrow screens
where they are supported. All colours keep a contrast of at least 4.5 to 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import escape

_URL: Final = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]}，。；：！？）」』]")
_PARAGRAPHS: Final = re.compile(r"\n[ \t]*\n\s*")
_END_OF_BODY: Final = re.compile(r"</body\s*>", re.IGNORECASE)
_WHOLE_PAGE: Final = re.compile(r"<(html|body)\b", re.IGNORECASE)
_RIGHT_TO_LEFT: Final = frozenset(("ar", "fa", "he", "ur"))

_FONT: Final = (
    "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,"
    "'PingFang SC','PingFang TC','Microsoft YaHei','Microsoft JhengHei',sans-serif"
)
_BUTTON: Final = (
    "display:inline-block;box-sizing:border-box;margin:0 8px 8px 0;border-radius:8px;background:#0b57d0;color:#ffffff;"
    "font-size:16px;line-height:20px;font-weight:600;text-align:center;text-decoration:none;"
)
_STYLE: Final = (
    ":root{color-scheme:light dark;supported-color-schemes:light dark}"
    "@media (max-width:480px){.gw-card{padding:24px 20px!important}.gw-wide{display:block!important;margin-right:0!important}}"
    "@media (prefers-color-scheme:dark){.gw-page{background:#101418!important}.gw-card{background:#1b2026!important}"
    ".gw-ink{color:#e8eaed!important}.gw-soft{color:#b4bac2!important}.gw-link{color:#a8c7fa!important}"
    ".gw-button{background:#a8c7fa!important;color:#062e6f!important}}"
)
_PAGE: Final = (
    '<!DOCTYPE html>\n<html lang="{language}" dir="{direction}">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
    '<meta name="color-scheme" content="light dark">\n<meta name="supported-color-schemes" content="light dark">\n'
    "<title>{title}</title>\n<style>" + _STYLE.replace("{", "{{").replace("}", "}}") + "</style>\n</head>\n"
    '<body class="gw-page" style="margin:0;padding:0;background:#f1f3f5">\n'
    '<table role="presentation" class="gw-page" width="100%" cellpadding="0" cellspacing="0" border="0" '
    'style="background:#f1f3f5"><tr><td align="center" style="padding:24px 12px">\n'
    '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:600px">'
    '<tr><td class="gw-card gw-ink" style="padding:32px;border-radius:12px;background:#ffffff;color:#1b1f24;'
    + _FONT
    + ';font-size:16px;line-height:1.6">\n{body}\n</td></tr>\n<tr><td>{footer}</td></tr></table>\n'
    "</td></tr></table>\n</body>\n</html>\n"
)


def page(language: str, title: str, body: str, footer: str) -> str:
    """A whole HTML page; `body` and `footer` are HTML already."""
    direction = "rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"
    return _PAGE.format(language=escape(language), direction=direction, title=escape(title), body=body, footer=footer)


def from_text(title: str, text: str) -> str:
    """HTML of a plain text: a heading, paragraphs at blank lines, links that can be clicked."""
    heading = (
        f'<h1 class="gw-ink" style="margin:0 0 16px;color:#1b1f24;font-size:20px;line-height:1.3">{escape(title)}</h1>\n'
        if title
        else ""
    )
    paragraphs = (_paragraph(part) for part in _PARAGRAPHS.split(text.strip()))
    return heading + "\n".join(paragraphs)


def _paragraph(text: str) -> str:
    html = _linked(text).replace("\n", "<br>\n")
    return f'<p style="margin:0 0 16px">{html}</p>'


def _linked(text: str) -> str:
    if "http" not in text:
        return str(escape(text))
    pieces: list[str] = []
    at = 0
    for found in _URL.finditer(text):
        url = str(escape(found[0]))
        pieces += [
            str(escape(text[at : found.start()])),
            f'<a class="gw-link" style="color:#0b57d0" href="{url}">{url}</a>',
        ]
        at = found.end()
    pieces.append(str(escape(text[at:])))
    return "".join(pieces)


def question(text: str, buttons: Sequence[tuple[str, str]], *, small: bool) -> str:
    """A question with its buttons: (URL, what it says). `small`: a row of numbers."""
    size = "min-width:44px;padding:12px 8px" if small else "padding:13px 24px"
    style = "gw-button" if small else "gw-button gw-wide"
    drawn = "\n".join(
        f'<a class="{style}" href="{escape(url)}" style="{_BUTTON}{size}">{escape(label)}</a>' for url, label in buttons
    )
    asked = f'<p style="margin:0 0 12px;font-weight:600">{_linked(text)}</p>\n' if text else ""
    return f'<div style="margin:8px 0 0;padding:16px 0 0">{asked}{drawn}</div>'


def footer(links: Iterable[tuple[str, str]]) -> str:
    """The links under the text: (URL, what it says)."""
    drawn = "\n".join(
        f'<a class="gw-soft" href="{escape(url)}" style="display:inline-block;margin:0 8px;color:#4a525c">{escape(label)}</a>'
        for url, label in links
    )
    if not drawn:
        return ""
    return (
        f'<p class="gw-soft" style="margin:16px 0 0;padding:0 32px;color:#4a525c;{_FONT};font-size:13px;'
        f'line-height:1.8;text-align:center">{drawn}</p>'
    )


def around(language: str, title: str, html: str, asked: str, foot: str) -> str:
    """The author's own HTML with the prompt and the footer: set into a whole page, or a page put round a fragment."""
    if not _WHOLE_PAGE.search(html):
        return page(language, title, html + asked, foot)
    at = max((found.start() for found in _END_OF_BODY.finditer(html)), default=len(html))
    return f'{html[:at]}<div style="{_FONT};max-width:600px;margin:0 auto">{asked}{foot}</div>{html[at:]}'
