"""What comes out of the codec of JSON is what went in, or it refuses."""

from __future__ import annotations

import enum
import json
import math
import sys
from collections import Counter, OrderedDict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyflight.lease import JSONCodec

codec = JSONCodec()
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


class Color(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


def same(one: Any, other: Any) -> bool:
    """Whether values are equal, and of the same types throughout."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return repr(one) == repr(other)


@settings(max_examples=40)
@given(values)
def test_what_it_does_not_refuse_comes_back_as_it_was(value: Any) -> None:
    try:
        data = codec.encode(value)
    except UnicodeEncodeError:
        assert "\\ud" in json.dumps(value)
    else:
        assert same(codec.decode(data), value)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        [(1,)],
        {"a": {1}},
        {1: "a"},
        {None: "a"},
        {"a": {True: 1}},
        b"bytes",
        Color.RED,
        Text("text"),
        {Text("text"): 1},
        OrderedDict(a=1),
        Counter("a"),
        sys.version_info,
        object(),
        1j,
    ],
    ids=lambda value: repr(value).partition(" object at ")[0],
)
def test_it_refuses_what_would_come_back_as_something_else(value: Any) -> None:
    with pytest.raises(TypeError):
        codec.encode(value)


def test_it_refuses_what_has_no_end_or_no_bytes() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, "\ud800", {"\udfff": 1}):
        with pytest.raises(ValueError):
            codec.encode(value)


def test_it_says_what_is_wrong() -> None:
    with pytest.raises(TypeError, match="JSON would not give back an object of type tuple"):
        codec.encode([(1,)])
    with pytest.raises(TypeError, match="JSON would make a string of a key that is none"):
        codec.encode({1: 2})


def test_numbers_that_are_none_of_json_come_back() -> None:
    assert codec.decode(codec.encode(math.inf)) == math.inf
    assert math.isnan(codec.decode(codec.encode(math.nan)))


def test_what_is_there_twice_is_no_circle() -> None:
    inner = [1]
    assert codec.decode(codec.encode([inner, {"a": inner}])) == [[1], {"a": [1]}]
