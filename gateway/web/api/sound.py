"""What of a body is sound where parts of it are not, so that the rest can be checked all the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from gateway.web.fields import collect

Faults = list[tuple[str, str]]
UNKNOWN: Final = "is not a known field"
"""So begins what is said of a member nobody knows: without it nothing is missing."""
StandIn = Callable[[str, dict[str, Any], int], Any]
"""A value for a required member that isn't there: of its name, the members beside it, and a number of its own."""


class Sound:
    """A body without its bad members, `stand_in` for those that are required. `tree` None: too little of it is left."""

    def __init__(self, tree: dict[str, Any], wanted: Any, stand_in: StandIn) -> None:
        self.bad: list[str] = []
        self._without: set[str] = set()
        left = copy.deepcopy(tree)
        for pointer, detail in collect(tree, wanted):
            gone = _remove(left, pointer)
            self.bad += [pointer, gone]
            if not detail.startswith(UNKNOWN):
                self._without.add(gone.rpartition("/")[0])
        for n, (pointer, _) in enumerate(collect(left, wanted)):
            *way, name = _steps(pointer)
            beside = _at(left, way)
            if isinstance(beside, dict):
                there = cast("dict[str, Any]", beside)
                there.setdefault(name, stand_in(name, there, n))
        self.tree = None if collect(left, wanted) else left

    def more(self, found: Iterable[tuple[str, str]]) -> Faults:
        """Of what was found wrong with the tree, what doesn't come of the bad members."""
        kept = [fault for fault in found if fault[0] not in self._without]
        return [
            fault for fault in kept if not any(fault[0] == one or fault[0].startswith(f"{one}/") for one in self.bad)
        ]


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _at(tree: Any, way: list[str]) -> Any:
    """What stands there; None: nothing does."""
    for step in way:
        if isinstance(tree, dict):
            tree = cast("dict[str, Any]", tree).get(step)
            continue
        some = cast("list[Any]", tree) if isinstance(tree, list) else []
        tree = some[int(step)] if step.isdecimal() and int(step) < len(some) else None
    return tree


def _remove(tree: dict[str, Any], pointer: str) -> str:
    """Take a member out; of a list the whole, so that the places of the others stay what they are. What has gone."""
    parent = _at(tree, _steps(pointer)[:-1])
    while not isinstance(parent, dict) and pointer:
        pointer = pointer.rpartition("/")[0]
        parent = _at(tree, _steps(pointer)[:-1])
    if isinstance(parent, dict):
        cast("dict[str, Any]", parent).pop(_steps(pointer)[-1], None)
    return pointer
