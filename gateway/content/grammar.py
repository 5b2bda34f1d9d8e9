"""From Jinja2's syntax tree to a program of plain functions.

Only the parser of Jinja2 is used; nothing of it runs at rendering. Every node of the tree is either known here or
refused, so what the language can do is exactly what this module can translate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from jinja2 import nodes

from gateway.content.expressions import Expressions, TemplateError, Where, pointer_part
from gateway.content.html_context import HtmlContext
from gateway.content.run import CLEAN, MISSING, Kind, Run, safe_url, written

Step = Callable[[Run], None]

MAX_LOOP_DEPTH: Final = 2
MAX_DEPTH: Final = 40

_REFUSED: Final[dict[str, str]] = {
    "Assign": "{% set %}",
    "AssignBlock": "{% set %}",
    "Macro": "{% macro %}",
    "CallBlock": "{% call %}",
    "FilterBlock": "{% filter %}",
    "Include": "{% include %}",
    "Import": "{% import %}",
    "FromImport": "{% from %}",
    "Extends": "{% extends %}",
    "Block": "{% block %}",
    "With": "{% with %}",
    "ScopedEvalContextModifier": "{% autoescape %}",
}


class Program:
    """A translator for one text; `body` gives the program."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.expressions = Expressions(kind)
        self._html = HtmlContext() if kind == "html" else None
        self._loops = 0
        self._depth = 0

    def body(self, tree: list[nodes.Node]) -> Step:
        """The program for a list of nodes. Raises TemplateError for what the language doesn't have."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TemplateError(tree[0].lineno, "Blocks are nested too deeply.", "Nest fewer {% if %}.")
        steps = [step for node in tree for step in self._statement(node)]
        self._depth -= 1
        if len(steps) == 1:
            return steps[0]

        def run_all(run: Run) -> None:
            for step in steps:
                step(run)

        return run_all

    def finish(self, lines: int) -> None:
        """The text has ended. Raises TemplateError when a tag is left open in it."""
        if self._html is not None and self._html.state != "text":
            raise TemplateError(lines, "A tag, comment or <style> is not closed.", "Close it.")

    def _statement(self, node: nodes.Node) -> list[Step]:
        if isinstance(node, nodes.Output):
            return [self._output(part) for part in node.nodes]
        if isinstance(node, nodes.If):
            return [self._if(node)]
        if isinstance(node, nodes.For):
            return [self._for(node)]
        name = _REFUSED.get(type(node).__name__, "This block")
        raise TemplateError(node.lineno, f"{name} is not part of the template language.", "Use if and for alone.")

    def _output(self, node: nodes.Expr) -> Step:
        if isinstance(node, nodes.TemplateData):
            return self._literal(node.data, node.lineno)
        as_url = self._place(node)
        text = self.expressions.filtered(node) if isinstance(node, nodes.Filter) else self._plain(node)
        clean = CLEAN[self.kind]

        def put(run: Run) -> None:
            run.spend(1)
            found = text(run)
            if found is None:
                return
            if as_url and not safe_url(found):
                where = self.expressions.where(node)
                run.fail(where(run), "must be a link that begins with https://, http://, mailto: or tel:")
                return
            run.write(clean(found))

        return put

    def _literal(self, text: str, line: int) -> Step:
        if self._html is not None:
            wrong = self._html.feed(text)
            if wrong is not None:
                raise TemplateError(line, f"In HTML, {wrong}.", "Leave it out.")

        def put(run: Run) -> None:
            run.write(text)

        return put

    def _place(self, node: nodes.Expr) -> bool:
        """Check where in HTML the expression stands; True where it begins a link."""
        if self._html is None:
            return False
        wrong = self._html.expression()
        if wrong is not None:
            raise TemplateError(node.lineno, f"In HTML, {wrong}.", "Put it in the text or in a quoted attribute.")
        url = self._html.takes_url()
        self._html.value_begins()
        return url

    def _plain(self, node: nodes.Expr) -> Callable[[Run], str | None]:
        get, where = self.expressions.value(node), self.expressions.where(node)
        if isinstance(node, nodes.Const):
            _writable(node)

        def text(run: Run) -> str | None:
            value = get(run)
            try:
                return None if value is MISSING else written(value)
            except ValueError as error:
                run.fail(where(run), f"{error}.")
                return None

        return text

    def _if(self, node: nodes.If) -> Step:
        before = self._state()
        branches: list[tuple[Callable[[Run], bool], Step]] = []
        for arm in (node, *node.elif_):
            branches.append((self.expressions.condition(arm.test), self.body(arm.body)))
            self._same_state(before, arm.lineno)
        otherwise = self.body(node.else_)
        self._same_state(before, node.lineno)

        def choose(run: Run) -> None:
            for condition, body in branches:
                if condition(run):
                    body(run)
                    return
            otherwise(run)

        return choose

    def _for(self, node: nodes.For) -> Step:
        target = node.target
        if node.recursive or node.test is not None or not isinstance(target, nodes.Name):
            raise TemplateError(node.lineno, "This form of for is not known.", "Write {% for item in items %}.")
        self._loops += 1
        if self._loops > MAX_LOOP_DEPTH:
            raise TemplateError(node.lineno, "Loops stand at most two deep.", "Bring the data in a flatter form.")
        items, where = self.expressions.lookup(node.iter, "for goes through a list of the data")
        before = self._state()
        with self.expressions.local(target.name, node.lineno):
            body = self.body(node.body)
        self._same_state(before, node.lineno)
        otherwise = self.body(node.else_)
        self._same_state(before, node.lineno)
        self._loops -= 1
        return _loop(target.name, items, where, body, otherwise)

    def _state(self) -> str:
        return self._html.state if self._html is not None else ""

    def _same_state(self, before: str, line: int) -> None:
        if self._state() != before:
            raise TemplateError(line, "A block opens or closes a tag or quote that lies outside.", "Keep tags whole.")


def _writable(node: nodes.Const) -> None:
    try:
        written(node.value)
    except ValueError as error:
        raise TemplateError(node.lineno, f"What is written out here {error}.", "Write the words themselves.") from None


def _loop(name: str, items: Callable[[Run], Any], where: Where, body: Step, otherwise: Step) -> Step:
    def turn(run: Run) -> None:
        values = items(run)
        pointer = where(run)
        if not isinstance(values, list):
            if values is not MISSING:
                run.fail(pointer, "must be a list.")
            return
        if not values:
            otherwise(run)
            return
        _turns(run, name, values, pointer, body)  # pyright: ignore[reportUnknownArgumentType] - JSON values

    return turn


def _turns(run: Run, name: str, values: list[Any], pointer: str, body: Step) -> None:
    kept_names, kept_pointers = run.names, run.pointers
    last = len(values) - 1
    for index, value in enumerate(values):
        run.turn(pointer)
        place = {"index": index + 1, "first": index == 0, "last": index == last}
        run.names = {**kept_names, name: value, "loop": place}
        run.pointers = {**kept_pointers, name: f"{pointer}/{pointer_part(str(index))}", "loop": pointer}
        body(run)
    run.names, run.pointers = kept_names, kept_pointers
