"""For every signature: keys are equal if and only if the bound arguments are."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import Parameter, Signature
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from anyflight import Coalescer

# Among them what the generated code uses itself.
NAMES = ["a", "b", "self", "cls", "key", "id", "sorted", "function", "one", "_", "__key", "___id"]
VALUES = st.sampled_from([0, 1, True, 1.0, None, "1", (), (1,), "a"])
POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
KINDS = [*POSITIONAL, Parameter.KEYWORD_ONLY, *VARIADIC]

Values = dict[str, Any]
Arguments = tuple[list[Any], dict[str, Any]]


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    names = iter(draw(st.permutations(NAMES)))
    parameters: list[Parameter] = []
    optional = False
    for kind in sorted(KINDS):
        for _ in range(draw(st.integers(0, 1 if kind in VARIADIC else 2))):
            optional = (optional and kind in POSITIONAL) or draw(st.booleans())
            default = draw(VALUES) if optional and kind not in VARIADIC else Parameter.empty
            parameters.append(Parameter(next(names), kind, default=default))
    return Signature(parameters)


def values_of(signature: Signature) -> st.SearchStrategy[Values]:
    """Draw a value for each parameter."""
    others = sorted({"p", "q", *NAMES} - set(signature.parameters))
    strategies: dict[Any, st.SearchStrategy[Any]] = {
        Parameter.VAR_POSITIONAL: st.lists(VALUES, max_size=2).map(tuple),
        Parameter.VAR_KEYWORD: st.dictionaries(st.sampled_from(others), VALUES, max_size=2),
    }
    parameters = signature.parameters.values()
    return st.fixed_dictionaries(
        {each.name: strategies.get(each.kind, VALUES) for each in parameters}
    )


def ways_to_pass(signature: Signature, values: Values) -> list[Arguments]:
    """Return how these can be passed: so many by position, and defaults given or left out."""
    parameters = signature.parameters.values()
    positional = [each for each in parameters if each.kind in POSITIONAL]
    ways: list[Arguments] = []
    for count, omit in product(range(len(positional) + 1), (False, True)):
        args = [values[each.name] for each in positional[:count]]
        kwargs: dict[str, Any] = {}
        possible = True
        for each in parameters:
            value = values[each.name]
            if each.kind is Parameter.VAR_POSITIONAL:
                possible &= not value or count == len(positional)
                args.extend(value)
            elif each.kind is Parameter.VAR_KEYWORD:
                kwargs = dict(reversed(value.items())) | kwargs if omit else kwargs | value
            elif each in positional[:count]:
                continue
            elif each.kind is Parameter.POSITIONAL_ONLY:
                possible &= each.default == value
            elif not (omit and each.default == value):
                kwargs[each.name] = value
        if possible:
            ways.append((args, kwargs))
    return ways


def make(signature: Signature) -> tuple[Any, Callable[..., dict[str, Any]]]:
    """Return a coalesced function, and one that returns its arguments as Python binds them.

    `Signature.bind` is no oracle: in Python 3.13.0 it lets ``f(a=0)`` pass for ``f(a, /, **b)``.
    """
    names: dict[str, Any] = {}
    exec(f"def function{signature}: return dict(locals())", {}, names)
    return Coalescer[Any, Any]().coalesced(names["function"]), names["function"]


@given(data=st.data(), signature=signatures())
def test_the_way_to_pass_arguments_makes_no_difference_and_their_values_do(
    data: st.DataObject, signature: Signature
) -> None:
    function, bound = make(signature)
    maker = function._key_of
    values = data.draw(values_of(signature))
    others = data.draw(values_of(signature))
    changed = data.draw(st.sets(st.sampled_from([*signature.parameters, "none"])))
    others = {name: (others if name in changed else values)[name] for name in values}
    ways, other_ways = ways_to_pass(signature, values), ways_to_pass(signature, others)
    for (args, kwargs), (other_args, other_kwargs) in product(ways, [*ways, *other_ways]):
        one, other = maker(*args, **kwargs), maker(*other_args, **other_kwargs)
        equal = bound(*args, **kwargs) == bound(*other_args, **other_kwargs)
        assert (one == other) == equal
        assert (len({one, other}) == 1) == equal
    (args, kwargs) = ways[-1]
    assert eval(repr(maker(*args, **kwargs)), {"function": maker}) == maker(*args, **kwargs)


@given(
    signature=signatures(),
    args=st.lists(VALUES, max_size=5),
    kwargs=st.dictionaries(st.sampled_from(["p", *NAMES]), VALUES, max_size=4),
)
def test_arguments_that_do_not_fit_are_refused_and_no_others(
    signature: Signature, args: list[Any], kwargs: dict[str, Any]
) -> None:
    function, bound = make(signature)
    try:
        bound(*args, **kwargs)
    except TypeError as exc:
        with pytest.raises(TypeError, match=f"^{re.escape(str(exc))}$"):
            function._key_of(*args, **kwargs)
    else:
        function._key_of(*args, **kwargs)


class Instance:
    """Equal to all the others, and unhashable."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instance)

    __hash__ = None  # type: ignore[assignment]


@given(data=st.data(), signature=signatures())
def test_the_first_argument_of_a_method_counts_by_its_identity_and_the_others_by_value(
    data: st.DataObject, signature: Signature
) -> None:
    first = next(iter(signature.parameters.values()), Parameter("kwargs", Parameter.VAR_KEYWORD))
    assume(first.kind in POSITIONAL)
    method = make(signature)[0].__get__(None, Instance)
    values = data.draw(values_of(signature))
    keys = [
        {method._key_of(*args, **kwargs) for args, kwargs in ways_to_pass(signature, one)}
        for one in (values | {first.name: Instance()}, values | {first.name: Instance()})
    ]
    assert len(keys[0]) == len(keys[1]) == 1
    assert keys[0] != keys[1]
