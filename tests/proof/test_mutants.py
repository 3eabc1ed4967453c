"""The mutator changes what it says, and the list of survivors speaks of mutants that exist."""

from __future__ import annotations

import ast
import inspect

from anyflight import _flight
from proof.mutants import all_mutants, all_names, listed_survivors
from proof.mutator import changes

SOURCE = '''
"""Not changed."""
CONSTANT = 1

class Thing:
    """Not changed either."""

    def method(self, one: int = 1) -> bool:
        """Nor is this."""
        if self.ready and one < 2:
            self.count += 1
        return not self.ready
'''


def names(source: str) -> list[str]:
    return list(changes(ast.parse(source)))


def test_it_changes_operators_constants_conditions_statements_and_returns() -> None:
    assert {name.partition(": ")[2] for name in names(SOURCE)} == {
        "1 => 2",
        "self.ready and one < 2 => self.ready or one < 2",
        "if self.ready and one < 2 => if not (self.ready and one < 2)",
        "one < 2 => one <= 2",
        "one < 2 => one < 3",
        "self.count += 1 => self.count -= 1",
        "self.count += 1 => self.count += 2",
        "self.count += 1 => pass",
        "return not self.ready => return not not self.ready",
        "return not self.ready => return None",
    }


def test_each_mutant_differs_from_the_source_and_from_the_others() -> None:
    made = list(all_mutants(["_flight"]))
    assert len(made) > 100
    assert len({mutant.name for mutant in made}) == len(made)
    sources = {mutant.source for mutant in made}
    assert len(sources) == len(made)
    assert ast.unparse(ast.parse(inspect.getsource(_flight))) not in sources


def test_a_change_is_undone_before_the_next_one() -> None:
    tree = ast.parse(SOURCE)
    before = ast.unparse(tree)
    assert all(ast.unparse(tree) != before for _ in changes(tree))
    assert ast.unparse(tree) == before


def test_a_mutant_keeps_its_name_when_code_moves() -> None:
    moved = SOURCE.replace("CONSTANT = 1", "CONSTANT = 1\n\n\ndef other():\n    return 1\n")
    assert set(names(SOURCE)) < set(names(moved))


def test_every_listed_survivor_exists_and_has_a_reason() -> None:
    exist = set(all_names())
    for name, reason in listed_survivors().items():
        assert name in exist
        assert len(reason.split()) > 3
