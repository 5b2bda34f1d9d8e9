"""The commands: `gateway --help`. Each file holds one command or one family of them.

They import what they work with when they run, so that help and mistakes in the command line are answered at once.
"""

from __future__ import annotations

import typer

from gateway.cli import backup, bench, bounce, check, customers, dev, keys, morgue, send, serve, templates, wechat

app = typer.Typer(
    name="gateway",
    help="Reaches each customer by the channel they want, and falls back until somebody was reached.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("dev")(dev.dev)
app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("send")(send.send)
app.command("bounce")(bounce.bounce)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("bench")(bench.bench)
app.add_typer(keys.app, name="keys")
app.add_typer(customers.app, name="customers")
app.add_typer(templates.app, name="templates")
app.add_typer(morgue.app, name="morgue")
app.add_typer(wechat.app, name="wechat")
