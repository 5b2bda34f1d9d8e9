"""`gateway wechat`: what is set up at the official account."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.common import fail, opened, out, run, settings_for

app = typer.Typer(help="Set up the WeChat account.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Set up the WeChat account."""


@app.command("menu")
def menu(
    language: Annotated[str | None, typer.Option(help="A tag such as zh-Hant; else DEFAULT_LOCALE.")] = None,
    *,
    apply: Annotated[bool, typer.Option("--apply/--show", help="Put it at the account, or only show it.")] = False,
) -> None:
    """The menu below the conversation: preferences, language, help, stop, start."""
    import msgspec

    from gateway.channels.base import Accepted, Refused, Unknown
    from gateway.channels.wechat import WeChatChannel
    from gateway.channels.wechat_menu import menu as made

    settings = settings_for("wechat")
    wanted = made(language, settings.default_locale)
    if not apply:
        out.print_json(msgspec.json.encode(wanted).decode())
        return

    async def work() -> Accepted | Refused | Unknown | None:
        async with opened(settings) as gateway:
            channel = gateway.channels["live"].get("wechat")
            return await channel.set_menu(wanted) if isinstance(channel, WeChatChannel) else None

    result = run(work())
    if result is None:
        fail("WeChat has no settings here.", "Set GATEWAY_WECHAT_APP_ID, _APP_SECRET and _TOKEN.")
    if not isinstance(result, Accepted):
        fail(f"WeChat did not take the menu: {result.detail}", "`--show` prints what was sent; it may be repeated.")
    out.print("The menu is at the account. People see it when they open the conversation again, within a day.")
