"""`gateway send`: one message from the command line."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.common import fail, opened, out, run, settings_for

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.app import Gateway
    from gateway.delivery.request import NewMessage
    from gateway.message import Message

LOOK_S = 0.2


def send(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    category: Annotated[
        str, typer.Option(help="code, reply, outage, service, follow_up, survey, marketing or your own.")
    ],
    template: Annotated[str | None, typer.Option(help="A template's id.")] = None,
    text: Annotated[str | None, typer.Option(help="The text itself, instead of a template.")] = None,
    data: Annotated[str, typer.Option(help="The template's data, as JSON.")] = "{}",
    until: Annotated[str | None, typer.Option(help="accepted, delivered, read or acknowledged.")] = None,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the route until the verdict.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Send one message; with --wait, follow it until the verdict (status 0 only if it reached the customer)."""
    import msgspec

    from gateway.delivery.request import NewMessage

    try:
        values: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as bad:
        fail(f"--data must be a JSON object: {bad}")
    new = NewMessage(
        customer=customer,
        category=category,
        template=template,
        data=values,
        content={"text": text} if text is not None else None,
        reach={"until": until} if until else {},
    )
    message = run(_send(new, wait=wait, live=not json))
    if json:
        out.print_json(msgspec.json.encode({"id": message.id, "verdict": message.verdict}).decode())
    elif not wait:
        out.print(f"Accepted as [bold]{message.id}[/].", highlight=False)
    if wait and message.verdict.state != "reached":
        raise typer.Exit(1)


async def _send(new: NewMessage, *, wait: bool, live: bool) -> Message:
    from gateway.delivery.request import Rejected
    from gateway.delivery.room import NoRoom

    async with opened(settings_for("send")) as gateway:
        # Only checked here: the running gateway knows its channels, so its worker decides.
        [made] = await gateway.intake.accept_many("live", [new], gateway.intake.origin())
        if isinstance(made, Rejected):
            fail("the message can't be accepted.", *(f"{pointer}: {detail}" for pointer, detail in made.problems))
        if isinstance(made, NoRoom):
            fail(made.detail)
        return await _follow(gateway, made, live=live) if wait else made


async def _follow(gateway: Gateway, message: Message, *, live: bool) -> Message:
    from rich.live import Live

    with Live(story(message), console=out, refresh_per_second=8) if live else contextlib.nullcontext() as view:
        while not message.done:
            await asyncio.sleep(LOOK_S)
            found = await gateway.messages.load(message.id)
            if found is None:
                fail(f"message {message.id} is gone.")
            message = found.message
            if view is not None:
                view.update(story(message))
    return message


def story(message: Message) -> Table:
    """A message's route so far, for the terminal."""
    from rich.table import Table

    table = Table("try", "channel", "status", "why", title=f"{message.id}: {message.status}", title_justify="left")
    for attempt in message.attempts:
        heard = attempt.engagement if attempt.engagement != "none" else attempt.status
        table.add_row(attempt.id, attempt.channel, heard, attempt.fault or attempt.answered_by or "")
    if message.held is not None:
        table.add_row("", "", "held", message.held.text)
    if message.done:
        verdict = message.verdict
        colour = "green" if verdict.state == "reached" else "red"
        table.add_row(
            "", verdict.channel or "", f"[bold {colour}]{verdict.state}[/]", verdict.text or verdict.code or ""
        )
    return table
