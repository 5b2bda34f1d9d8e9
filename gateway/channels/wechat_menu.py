"""The menu below the conversation: what people steer us by without writing.

WeChat: "Creating a custom-defined menu" (menu/create): at most three entries on the bar, five behind each. Everybody sees
one menu: by language it can no longer be told apart, so the languages stand in it, each by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gateway.locales import table
from gateway.preferences.locales import pick

Menu = dict[str, Any]


def menu(language: str | None, default: str) -> Menu:
    """The body of menu/create, in the language that suits best. Its keys are those that `wechat_callback` understands."""
    found = cast("dict[str, dict[str, str]]", table("wechat_menu"))
    languages = found["languages"]
    chosen = pick({tag: found[tag] for tag in languages}, language, default)
    words = chosen[1] if chosen is not None else found["en"]
    by_language = [_entry(f"language:{tag}", name) for tag, name in languages.items()]
    more = [_entry(key, words[key]) for key in ("help", "stop", "start")]
    return {
        "button": [
            _entry("pref", words["pref"]),
            {"name": words["language"], "sub_button": by_language},
            {"name": words["more"], "sub_button": more},
        ]
    }


def entries(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All entries of a menu that can be pressed: (key, name), in their order."""
    pressed: list[tuple[str, str]] = []
    for button in made["button"]:
        pressed += [(one["key"], one["name"]) for one in button.get("sub_button", [button])]
    return pressed


def _entry(key: str, name: str) -> dict[str, str]:
    return {"type": "click", "name": name, "key": key}
