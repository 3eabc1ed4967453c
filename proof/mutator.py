"""Changes a module in one place: every way in which a small slip could have been written.

Of our own, because what is needed is small and the well-kept tools do more: mutmut writes all
mutants into one tree and wants to run the tests by itself; cosmic-ray keeps a database of sessions.
Neither names a mutant by what it changes, which is what a list of survivors is kept by.

Only the bodies of functions are changed. What has no effect when a program runs (annotations,
docstrings, messages, `__slots__`) is left alone.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
NEGATIONS = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {ast.Add: ast.Sub, ast.Sub: ast.Add}


@dataclass(frozen=True, slots=True)
class _Site:
    """A place where one thing can be put for another."""

    where: str
    show: Callable[[], str]
    """Returns what to show of it, before the change and after it."""
    holder: Any
    """A node, or a list of statements or operators."""
    place: str | int
    """The field of the node, or the index in the list."""
    change: object
    """What to put there."""


def changes(tree: ast.Module) -> Iterator[str]:
    """Change the tree in one place after the other: yield what, and undo it afterwards.

    What is yielded says where and what, without line numbers: it stays the same when code moves.
    """
    seen: Counter[str] = Counter()
    for site in list(_in_body(tree.body, "")):
        before, original = site.show(), _get(site.holder, site.place)
        _put(site.holder, site.place, site.change)
        name = f"{site.where}: {before} => {site.show()}"
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name} (no. {seen[name]})"
        _put(site.holder, site.place, original)


def _get(holder: Any, place: str | int) -> object:
    return getattr(holder, place) if isinstance(place, str) else holder[place]


def _put(holder: Any, place: str | int, thing: object) -> None:
    if isinstance(place, str):
        setattr(holder, place, thing)
    else:
        holder[place] = thing


def _show(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _in_body(body: list[ast.stmt], where: str) -> Iterator[_Site]:
    """Look for functions, in classes and functions too."""
    for statement in body:
        if isinstance(statement, ast.ClassDef):
            yield from _in_body(statement.body, f"{where}{statement.name}.")
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in_function(statement, f"{where}{statement.name}")


def _in_function(function: ast.FunctionDef | ast.AsyncFunctionDef, where: str) -> Iterator[_Site]:
    defaults = [default for default in function.args.kw_defaults if default is not None]
    for default in (*function.args.defaults, *defaults):
        yield from _of_expression(default, default, f"{where}(default)")
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    for statement in body:
        yield from _of_statement(statement, where)
    yield from _of_removals(function, where)


def _of_statement(statement: ast.stmt, where: str) -> Iterator[_Site]:
    for node, parent in _within(statement, statement):
        yield from _of_expression(node, parent, where)
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield from _of_condition(node, where)
        if isinstance(node, ast.Return) and not isinstance(node.value, ast.Constant | None):
            yield _Site(where, partial(_show, node), node, "value", ast.Constant(None))


def _within(node: ast.AST, parent: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield the nodes that matter when the program runs, this one first, each with its parent."""
    yield node, parent
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"} or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _within(child, node)


def _of_expression(node: ast.AST, parent: ast.AST, where: str) -> Iterator[_Site]:
    show = partial(_show, node)
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            yield _Site(where, show, node.ops, index, COMPARISONS[type(operator)]())
    elif isinstance(node, ast.BoolOp):
        swapped = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _Site(where, show, node, "op", swapped)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        yield _Site(where, show, node, "op", OPERATORS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        if getattr(parent, "test", None) is not node:  # or it is negated as a condition
            yield _Site(where, partial(_show, parent), node, "operand", _not(node.operand))
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        other = not node.value if isinstance(node.value, bool) else node.value + 1
        # A number says nothing by itself, so what it stands in is shown.
        yield _Site(where, partial(_show, parent), node, "value", other)


def _of_condition(node: ast.If | ast.While | ast.IfExp, where: str) -> Iterator[_Site]:
    test = node.test
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], NEGATIONS):
        return  # to swap the comparison is to negate it
    negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    opposite = test.operand if isinstance(test, ast.UnaryOp) and negated else _not(test)
    yield _Site(where, lambda: f"if {_show(node.test)}", node, "test", opposite)


def _of_removals(function: ast.AST, where: str) -> Iterator[_Site]:
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if not isinstance(body, list):  # of a lambda, or of `x if y else z`
                continue
            for index, statement in enumerate(body):
                if _can_be_removed(statement):
                    show = partial(_show_item, body, index)
                    yield _Site(where, show, body, index, ast.Pass())


def _show_item(body: list[ast.stmt], index: int) -> str:
    return _show(body[index])


def _can_be_removed(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)  # a docstring
    if isinstance(statement, ast.AnnAssign):
        return statement.value is not None
    if isinstance(statement, ast.Return):  # another is made to return None
        return statement.value is None or isinstance(statement.value, ast.Constant)
    return isinstance(
        statement, ast.Assign | ast.AugAssign | ast.Delete | ast.Raise | ast.Break | ast.Continue
    )


def _not(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), node)
