"""Rules: what follows from an event, as data that is checked when it is uploaded and can be tried out."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final, cast

import msgspec

from gateway.delivery.request import Rejected
from gateway.message import Message, RouteStep
from gateway.rules.checks import problems
from gateway.rules.rule import Kept, Rule
from gateway.rules.rulebook import MOST_RULES, TooMany
from gateway.rules.trial import Tried
from gateway.web.api.events import checked_cursor, data_faults, time_faults
from gateway.web.api.message_view import view
from gateway.web.api.rule_types import (
    CheckedOut,
    ContraryOut,
    DryRunIn,
    DryRunOut,
    RuleIn,
    RuleList,
    RuleOut,
)
from gateway.web.api.sound import Sound
from gateway.web.api.types import internal, wire_time
from gateway.web.api.types_out import WhyOut
from gateway.web.operations import Answer, Call, NoQuery, Operation, Page
from gateway.web.problems import FieldError, invalid, not_found

_ID: Final = re.compile(r"[A-Za-z0-9._:@-]{1,128}")
_STAND_INS: Final[dict[str, Any]] = {"on": "event", "type": "event", "then": {}, "kind": "text"}
_WHY: Final = {
    "disabled": "The rule is not enabled.",
    "another_event": "The rule waits for events of another type.",
    "conditions": "Its conditions don't hold.",
    "refused": "What it would do is refused: see problems.",
}


async def listed(call: Call[None, Page]) -> Answer:
    """A page of rules."""
    cursor = checked_cursor(call.query.cursor)
    rules, following = await call.gateway.rulebook.page(call.key.mode, call.query.limit, cursor)
    return Answer(body=RuleList(tuple(_out(kept, kept.rule) for kept in rules if kept.rule is not None), following))


async def put(call: Call[RuleIn, NoQuery]) -> Answer:
    """Make a rule, or replace it."""
    name, rule = call.path["id"], msgspec.convert(call.tree, Rule)
    faults = await problems(call.key.mode, rule, call.gateway.acts)
    if not _ID.fullmatch(name):
        faults.append(("/id", "must be 1 to 128 letters, digits, or . _ : @ -"))
    if faults:
        raise invalid(faults)
    try:
        kept, new = await call.gateway.rulebook.put(call.key.mode, name, rule)
    except TooMany:
        raise invalid([("/", f"There are {MOST_RULES} rules already: delete those that nobody needs.")]) from None
    return Answer(status=201 if new else 200, body=_out(kept, rule))


async def check(call: Call[RuleIn, NoQuery], _spoilt: Collection[str]) -> list[tuple[str, str]]:
    """What is wrong with the parts of a rule that have the right type."""
    sound = Sound(call.tree, RuleIn, lambda name, _beside, _n: _STAND_INS.get(name, "-"))
    if sound.tree is None:
        return []
    return sound.more(await problems(call.key.mode, msgspec.convert(sound.tree, Rule), call.gateway.acts))


async def _found(call: Call[Any, Any]) -> tuple[Kept, Rule]:
    kept = await call.gateway.rulebook.get(call.key.mode, call.path["id"])
    if kept is None or kept.rule is None:
        raise not_found("rule")
    return kept, kept.rule


async def look(call: Call[None, NoQuery]) -> Answer:
    """One rule."""
    return Answer(body=_out(*await _found(call)))


async def delete(call: Call[None, NoQuery]) -> Answer:
    """Delete a rule."""
    if not await call.gateway.rulebook.delete(call.key.mode, call.path["id"]):
        raise not_found("rule")
    return Answer(status=204)


async def dry_run(call: Call[DryRunIn, NoQuery]) -> Answer:
    """Try a rule out."""
    kept, rule = await _found(call)
    asked, now = call.body, call.gateway.clock.now()
    at = None if asked.at is None else internal(asked.at)
    faults = [*time_faults(at, now), *data_faults(asked.data)]
    if faults:
        raise invalid(faults)
    try:
        tried = await call.gateway.trial.of(kept.mode, rule, asked.type or rule.on, asked.customer, at, asked.data)
    except Rejected as rejected:
        raise invalid(rejected.problems) from None
    return Answer(body=_tried_out(tried, rule, now, unmasked=call.key.may("customers")))


def _tried_out(tried: Tried, rule: Rule, now: int, *, unmasked: bool) -> DryRunOut:
    kind, message = rule.then.kind, None
    if kind == "message" and tried.shown is not None:
        made, route = cast("tuple[Message, tuple[RouteStep, ...]]", tried.shown)
        message = view(made, route, now, unmasked=unmasked)
    return DryRunOut(
        acts=tried.acts,
        why=tuple(WhyOut(code, _WHY[code]) for code in tried.why),
        conditions=tuple(
            CheckedOut(
                pointer=one.pointer,
                field=one.field,
                test=one.test,
                wanted=one.wanted,
                found=one.found,
                holds=one.holds is True,
            )
            for one in tried.conditions
        ),
        due_at=wire_time(tried.due_at),
        message=message,
        survey=tried.shown if kind == "survey" else None,
        case=tried.shown if kind == "case" else None,
        problems=tuple(FieldError(pointer, detail) for pointer, detail in tried.problems),
        cancelled_by=tuple(ContraryOut(type_, values) for type_, values in tried.cancelled_by),
    )


def _out(kept: Kept, rule: Rule) -> RuleOut:
    tree = msgspec.to_builtins(rule)
    times = {"created_at": wire_time(kept.born), "changed_at": wire_time(kept.changed_at)}
    return msgspec.convert({**tree, **times, "id": kept.id, "version": kept.version}, RuleOut)


_RULE: Final = {
    "on": "order.delivered",
    "when": [{"field": "event.total", "gte": 20}],
    "wait": {"seconds": 86400, "until_local": "10:00"},
    "unless": [{"type": "order.returned", "match": ["order_id"]}],
    "then": {
        "category": "survey",
        "content": {"text": "Your order {{ event.order_id }} has arrived. How did we do?"},
        "prompt": {"kind": "scale", "min": 0, "max": 10},
    },
}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/v1/rules",
        name="listRules",
        tag="Events",
        scope="operate",
        or_scope="read",
        handler=listed,
        summary="List the rules in force",
        query=Page,
        answers={200: RuleList},
        example_query="limit=20",
    ),
    Operation(
        method="PUT",
        path="/v1/rules/{id}",
        name="putRule",
        tag="Events",
        scope="operate",
        handler=put,
        check=check,
        stores=True,
        summary="Make or replace a rule",
        body=RuleIn,
        answers={201: RuleOut, 200: RuleOut},
        example=_RULE,
        example_path={"id": "ask-after-delivery"},
        description="Checked as a whole: categories, templates and the names in their data, conditions, times. In force "
        "everywhere within a second; runs under way finish with the version they began with.",
    ),
    Operation(
        method="GET",
        path="/v1/rules/{id}",
        name="getRule",
        tag="Events",
        scope="operate",
        or_scope="read",
        handler=look,
        summary="Read a rule",
        answers={200: RuleOut},
        refuses=(404,),
    ),
    Operation(
        method="DELETE",
        path="/v1/rules/{id}",
        name="deleteRule",
        tag="Events",
        scope="operate",
        handler=delete,
        summary="Delete a rule",
        answers={204: None},
        refuses=(404,),
        description="Nothing begins any more, and the runs that wait are cancelled. What has been sent is untouched. To let "
        "them finish, put `enabled: false` instead.",
    ),
    Operation(
        method="POST",
        path="/v1/rules/{id}/dry-run",
        name="tryRule",
        tag="Events",
        scope="operate",
        handler=dry_run,
        summary="Try a rule with an event",
        body=DryRunIn,
        answers={200: DryRunOut},
        refuses=(404,),
        example={"customer": "c-1001", "data": {"order_id": "4711", "total": 59.9}},
        description="Nothing is kept or sent. Says of every condition whether it holds, when the rule would act, what it would "
        "send and by which route, and what would cancel it.",
    ),
)
