from __future__ import annotations

import pytest

from tests.mutants.table import Mutant, faults, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=lambda one: f"{one.promise} {one.mechanism}")
def test_every_mechanism_and_its_test_are_where_the_table_says(mutant: Mutant) -> None:
    assert faults(mutant) == []


def test_every_promise_has_a_mechanism_in_the_table() -> None:
    assert {one.promise for one in mutants()} >= {f"G{n}" for n in range(1, 13)}


def test_every_mechanism_is_there_once_in_the_order_of_the_promises() -> None:
    table = mutants()
    assert len({one.mechanism for one in table}) == len(table)
    assert [int(one.promise[1:]) for one in table] == sorted(int(one.promise[1:]) for one in table)
