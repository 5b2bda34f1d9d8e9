"""Names, literals, filters and conditions of the template language, as plain functions of a `Run`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from jinja2 import nodes

from gateway.content.filters import FILTERS, check_argument, read, write
from gateway.content.run import FILTER_STEPS, MISSING, Kind, Run, child, plain_spaces

Get = Callable[[Run], Any]
Where = Callable[[Run], str]

MAX_DEPTH: Final = 40
MAX_DOTS: Final = 8
WIDEST_FILTERED: Final = 80
"""No filter writes more characters than this; a check of data counts with it."""

_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}
_NUMBERS: Final = (int, float)
_LARGEST: Final = 10**15


class TemplateError(Exception):
    """A template that isn't taken. `line` counts from 1; `remedy` says what to do."""

    def __init__(self, line: int | None, detail: str, remedy: str) -> None:
        self.line = line or 1  # a few of the parser's nodes carry no line
        super().__init__(f"line {self.line}: {detail} {remedy}")
        self.detail = detail
        self.remedy = remedy


def pointer_part(key: str) -> str:
    """A key as it stands in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


class Expressions:
    """A translator of expressions. It also collects which names of the data a text needs, and which it may do without."""

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.used: set[str] = set()
        self.optional: set[str] = set()
        self._locals: list[str] = []
        self._depth = 0

    @contextmanager
    def local(self, name: str, line: int) -> Generator[None, None, None]:
        """Within, `name` and `loop` belong to a loop."""
        _check_name(name, line)
        if name == "loop":
            raise TemplateError(line, "loop is a name of the language.", "Choose another name for the item.")
        self._locals += [name, "loop"]
        yield
        del self._locals[-2:]

    def value(self, node: nodes.Node) -> Get:
        """A literal or a name with dots."""
        if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const):
            number = _literal(node.node)
            if isinstance(number, _NUMBERS) and not isinstance(number, bool):
                return lambda _run: -number
        if isinstance(node, nodes.Const):
            constant = _literal(node)
            return lambda _run: constant
        return self.lookup(node, "only names, dots, texts and numbers can stand here")[0]

    def where(self, node: nodes.Node) -> Where:
        """The JSON pointer of what a node speaks of."""
        if isinstance(node, nodes.Filter) and node.node is not None:
            return self.where(node.node)
        path = _path(node)
        return (lambda _run: "/data") if path is None else _pointer(path)

    def lookup(self, node: nodes.Node, otherwise: str) -> tuple[Get, Where]:
        """A name with dots: its value (MISSING, and reported, when it isn't there) and its JSON pointer."""
        path = self._checked_path(node, otherwise)
        if path[0] not in self._locals:
            self.used.add(path[0])
        get, where, name = _getter(path), _pointer(path), ".".join(path)

        def strict(run: Run) -> Any:
            value = get(run)
            if value is MISSING:
                run.fail(where(run), f"The template needs {name}.")
            return value

        return strict, where

    def _checked_path(self, node: nodes.Node, otherwise: str) -> list[str]:
        path = _path(node)
        if path is None:
            raise _refused(node, otherwise)
        if len(path) > MAX_DOTS:
            raise TemplateError(node.lineno, "The name has too many dots.", f"Use at most {MAX_DOTS - 1}.")
        for part in path:
            _check_name(part, node.lineno)
        return path

    def filtered(self, node: nodes.Filter) -> Callable[[Run], str | None]:
        """A value with one filter, as text; None when it was reported as bad."""
        name = node.name
        if name not in FILTERS:
            raise TemplateError(node.lineno, f"There is no filter {name}.", "Filters: " + ", ".join(FILTERS) + ".")
        if node.node is None or isinstance(node.node, nodes.Filter):
            raise TemplateError(node.lineno, "A value takes one filter.", "Leave the others out.")
        get, where, argument = self.value(node.node), self.where(node.node), self._argument(node)
        kind = self.kind

        def text(run: Run) -> str | None:
            run.spend(FILTER_STEPS)
            value, given = get(run), argument(run)
            if value is MISSING or given is MISSING:
                return None
            try:
                understood = read(name, value, given)
            except ValueError as error:
                run.fail(where(run), f"{error}.")
                return None
            if run.problems is not None:
                return "0" * WIDEST_FILTERED
            return plain_spaces(write(name, understood, given, run.reader), kind)

        return text

    def _argument(self, node: nodes.Filter) -> Get:
        if node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) > 1:
            raise TemplateError(node.lineno, f"{node.name} takes one argument at most.", "Leave the others out.")
        if not node.args:
            return lambda _run: None
        given = node.args[0]
        if node.name == "money" and not isinstance(given, nodes.Const):
            return self.value(given)
        constant = given.value if isinstance(given, nodes.Const) else None
        wrong = check_argument(node.name, constant)
        if wrong is not None:
            raise TemplateError(node.lineno, f"{wrong}.", "Mend the argument.")
        return lambda _run: constant

    def condition(self, node: nodes.Node) -> Callable[[Run], bool]:
        """What stands after if: names, comparisons, and, or, not, `is defined`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TemplateError(node.lineno, "The condition is too long.", "Use fewer and, or, not.")
        test = self._condition(node)
        self._depth -= 1

        def counted(run: Run) -> bool:
            run.spend(1)
            return test(run)

        return counted

    def _condition(self, node: nodes.Node) -> Callable[[Run], bool]:
        if isinstance(node, nodes.And):
            one, two = self.condition(node.left), self.condition(node.right)
            return lambda run: one(run) and two(run)
        if isinstance(node, nodes.Or):
            one, two = self.condition(node.left), self.condition(node.right)
            return lambda run: one(run) or two(run)
        if isinstance(node, nodes.Not):
            one = self.condition(node.node)
            return lambda run: not one(run)
        if isinstance(node, nodes.Test):
            return self._defined(node)
        if isinstance(node, nodes.Compare):
            return self._compare(node)
        get = self.value(node)

        def holds(run: Run) -> bool:
            value = get(run)
            return value is not MISSING and bool(value)

        return holds

    def _defined(self, node: nodes.Test) -> Callable[[Run], bool]:
        if node.name not in ("defined", "undefined") or node.args:
            raise TemplateError(node.lineno, f"There is no test {node.name}.", "Use comparisons or `is defined`.")
        path = self._checked_path(node.node, "only a name can be defined")
        if path[0] not in self._locals:
            self.optional.add(path[0])
        get, wanted = _getter(path), node.name == "defined"
        return lambda run: (get(run) is not MISSING) is wanted

    def _compare(self, node: nodes.Compare) -> Callable[[Run], bool]:
        first = self.value(node.expr)
        rest: list[tuple[Callable[[Any, Any], bool], Get, str]] = []
        for operand in node.ops:
            if operand.op not in _COMPARE:
                raise TemplateError(node.lineno, "in is not part of the language.", "Compare with == and or.")
            rest.append((_COMPARE[operand.op], self.value(operand.expr), operand.op))
        where = self.where(node.expr)

        def compare(run: Run) -> bool:
            left = first(run)
            for holds, get, name in rest:
                right = get(run)
                if left is MISSING or right is MISSING:
                    return False
                if name not in ("eq", "ne") and not _ordered(left, right):
                    run.fail(where(run), "can't be compared: both sides must be numbers, or both texts.")
                    return False
                if not holds(left, right):
                    return False
                left = right
            return True

        return compare


def _ordered(left: object, right: object) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    return (isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS)) or (
        isinstance(left, str) and isinstance(right, str)
    )


def _literal(node: nodes.Const) -> Any:
    value = node.value
    if isinstance(value, int | float) and abs(value) >= _LARGEST:
        raise TemplateError(node.lineno, "A number is too long.", "Use at most 15 digits.")
    if value is None or isinstance(value, str | int | float):
        return value
    raise _refused(node, "only texts and numbers can stand here")


def _path(node: nodes.Node) -> list[str] | None:
    parts: list[str] = []
    while isinstance(node, nodes.Getattr):
        parts.append(node.attr)
        node = node.node
    if not isinstance(node, nodes.Name):
        return None
    parts.append(node.name)
    return parts[::-1]


def _check_name(name: str, line: int) -> None:
    if name.startswith("_") or not name.isidentifier():
        raise TemplateError(line, f"{name} is not a name for data.", "Names begin with a letter.")


def _getter(path: list[str]) -> Get:
    root, *rest = path
    if not rest:
        return lambda run: run.names.get(root, MISSING)

    def get(run: Run) -> Any:
        value = run.names.get(root, MISSING)
        for key in rest:
            value = child(value, key)
        return value

    return get


def _pointer(path: list[str]) -> Where:
    root, *rest = path
    below = "".join("/" + pointer_part(key) for key in rest)
    return lambda run: run.pointers.get(root, "/data/" + pointer_part(root)) + below


_NAMES_OF_NODES: Final[dict[str, str]] = {
    "Call": "A call",
    "Getitem": "An index or slice in brackets",
    "Concat": "Joining with ~",
    "Mul": "Multiplying",
    "Pow": "A power",
    "Add": "Adding",
    "Sub": "Subtracting",
    "CondExpr": "if inside {{ }}",
    "Filter": "A filter inside a condition, argument or loop",
}


def _refused(node: nodes.Node, otherwise: str) -> TemplateError:
    name = _NAMES_OF_NODES.get(type(node).__name__, "This")
    detail = f"{name} is not part of the template language: {otherwise}."
    return TemplateError(node.lineno, detail, "Prepare it in the data.")
