"""Makes a program that fails smaller, as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from proof.plans import Call, End, Program, Work


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Return a smallest program that fails: each smaller one that was tried does not."""
    while True:
        smaller = next((each for each in _smaller(program) if fails(each)), None)
        if smaller is None:
            return program
        program = smaller


def _smaller(program: Program) -> Iterator[Program]:
    """Yield programs with one thing less, the boldest first."""
    for calls in _without_one(program.calls):
        yield replace(program, calls=calls)
    for forgets in _without_one(program.forgets):
        yield replace(program, forgets=forgets)
    if program.end != End():
        yield replace(program, end=End())
    if program.on_abandon != "cancel":
        yield replace(program, on_abandon="cancel")
    if program.context != "caller":
        yield replace(program, context="caller")
    for policies in _plainer(program.policies, keep=()):
        yield replace(program, policies=policies)
    if program.copies:
        yield replace(program, copies=False)
    for calls in _with_one_simpler(program.calls):
        yield replace(program, calls=calls)


def _without_one(things: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for index in range(len(things)):
        yield things[:index] + things[index + 1 :]


def _with_one_simpler(calls: tuple[Call, ...]) -> Iterator[tuple[Call, ...]]:
    for index, call in enumerate(calls):
        for simpler in _simpler_call(call):
            yield (*calls[:index], simpler, *calls[index + 1 :])


def _simpler_call(call: Call) -> Iterator[Call]:
    if call.work != Work():
        yield replace(call, work=Work())
    for nested in _without_one(call.work.calls):
        yield replace(call, work=replace(call.work, calls=nested))
    yield from _plainer(call, keep=("key", "work"))
    for work in _plainer(call.work, keep=("calls",)):
        yield replace(call, work=work)
    for nested in _with_one_simpler(call.work.calls):
        yield replace(call, work=replace(call.work, calls=nested))


def _plainer(thing: Any, *, keep: tuple[str, ...]) -> Iterator[Any]:
    """Yield the thing with one more field at its default."""
    for field in fields(thing):
        if field.name not in keep and getattr(thing, field.name) != field.default:
            yield replace(thing, **{field.name: field.default})


def brief(thing: Any) -> str:
    """Return the source of a program or a part of it, without what is at its default."""
    if isinstance(thing, tuple):
        inner = "".join(f"{brief(each)}, " for each in thing)
        return f"({inner.removesuffix(' ') if len(thing) == 1 else inner.removesuffix(', ')})"
    if not is_dataclass(thing):
        return repr(thing)
    given = [
        f"{field.name}={brief(getattr(thing, field.name))}"
        for field in fields(thing)
        if getattr(thing, field.name) != field.default
    ]
    return f"{type(thing).__name__}({', '.join(given)})"
