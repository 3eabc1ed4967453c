"""A copy is faithful, or there is none."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyflight._isolation import isolated_copy


class Slotted(Exception):
    __slots__ = ("empty", "filled")


class KeywordOnly(Exception):
    def __new__(cls, *, code: int) -> Self:
        return super().__new__(cls, code)

    def __init__(self, *, code: int) -> None:
        super().__init__("message", code)
        self.code = code


class PathError(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(5, "input/output error", path)
        self.path = path


@dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Countdown(Exception):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        Countdown.made += 1


class ReadOnlyArgs(Exception):
    args = property(lambda _self: ())  # type: ignore[assignment]


def raised(func: Callable[[], object]) -> BaseException:
    try:
        func()
    except BaseException as exc:
        return exc
    raise AssertionError


def slotted() -> Slotted:
    error = Slotted("a")
    error.filled = [1]  # type: ignore[attr-defined]
    return error


ERRORS: list[BaseException] = [
    ValueError("x", 1),
    slotted(),
    KeywordOnly(code=3),
    PathError("/a/file"),
    Frozen(7),
    OSError(2, "no such file", "/a/file"),
    OSError("plain"),
    BlockingIOError(11, "later", 7),
    ssl.SSLError(1, "handshake"),
    socket.gaierror(-2, "unknown name"),
    ImportError("m", name="n", path="p"),
    StopAsyncIteration(),
    KeyboardInterrupt(),
    SystemExit(3),
    UnicodeTranslateError("abc", 1, 2, "reason"),
    raised(b"\xff".decode),
    raised("\ud800".encode),
    raised(lambda: json.loads("{")),
    raised(lambda: None.attribute),  # type: ignore[attr-defined]
    raised(lambda: {}["key"]),
    raised(lambda: compile("a b", "file", "exec")),
    ExceptionGroup("group", [ValueError(1), ExceptionGroup("inner", [KeyError(2)])]),
    BaseExceptionGroup("group", [KeyboardInterrupt()]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_copy_is_faithful(error: BaseException) -> None:
    BaseException.__setattr__(error, "__cause__", KeyError("cause"))
    BaseException.__setattr__(error, "__context__", KeyError("context"))
    copy = isolated_copy(error)
    assert copy is not None
    assert copy is not error
    assert type(copy) is type(error)
    if isinstance(error, BaseExceptionGroup):  # whose members are copied too
        assert repr(copy.args) == repr(error.args)
    else:
        assert copy.args == error.args
    assert str(copy) == str(error)
    assert repr(copy) == repr(error)
    assert vars(copy) == vars(error)
    assert repr(copy.__cause__) == repr(error.__cause__)
    assert repr(copy.__context__) == repr(error.__context__)
    assert copy.__suppress_context__ == error.__suppress_context__
    assert copy.__traceback__ is error.__traceback__
    for name in dir(error):  # also what lives in C structures and slots
        if not name.startswith("__") and not callable(getattr(error, name, None)):
            assert repr(getattr(copy, name, "empty")) == repr(getattr(error, name, "empty"))


def test_what_was_raised_from_none_stays_so() -> None:
    def fail() -> None:
        try:
            raise KeyError
        except KeyError:
            raise ValueError from None

    copy = isolated_copy(raised(fail))
    assert copy is not None
    assert copy.__suppress_context__
    assert isinstance(copy.__context__, KeyError)


def test_the_chain_is_copied_and_keeps_its_shape() -> None:
    inner = KeyError("inner")
    outer = ValueError("outer")
    outer.__cause__ = outer.__context__ = inner
    inner.__context__ = outer  # a circle, which `raise` avoids and assignment does not
    copy = isolated_copy(outer)
    assert copy is not None
    assert isinstance(copy.__cause__, KeyError)
    assert copy.__cause__ is copy.__context__ is not inner
    assert copy.__cause__.__context__ is copy


def test_a_link_of_the_chain_that_cannot_be_copied_is_shared() -> None:
    outer = ValueError("outer")
    outer.__cause__ = outer.__context__ = stubborn = ReadOnlyArgs()
    copy = isolated_copy(outer)
    assert copy is not None
    assert copy.__cause__ is copy.__context__ is stubborn


class Falsy(ValueError):
    def __len__(self) -> int:
        return 0


def test_an_exception_that_is_false_is_copied_wherever_it_stands() -> None:
    outer = ExceptionGroup("group", [Falsy("member")])
    outer.__cause__ = outer.__context__ = Falsy("link")
    copy = isolated_copy(outer)
    assert copy is not None
    assert copy.exceptions[0] is not outer.exceptions[0]
    assert copy.__cause__ is not outer.__cause__
    assert isolated_copy(Falsy()) is not None


def test_a_group_that_holds_one_exception_by_many_ways_is_copied_once_each() -> None:
    group = ExceptionGroup("0", [ValueError()])
    for level in range(60):  # by way of each level alone it would be 2 ** 60 copies
        group = ExceptionGroup(str(level), [group, group])
    copy = isolated_copy(group)
    assert copy is not None
    assert copy.exceptions[0] is copy.exceptions[1]


def test_an_os_error_whose_args_name_another_class_now_is_not_copied_as_that() -> None:
    error = OSError("plain")
    error.args = (2, "no such file")
    assert isolated_copy(error) is None


def test_no_code_of_the_class_runs() -> None:
    error = Countdown()
    made = Countdown.made
    assert isolated_copy(error) is not None
    assert Countdown.made == made


def test_notes_are_copied_and_other_values_shared() -> None:
    error = ValueError()
    error.add_note("one")
    error.detail = [1]  # type: ignore[attr-defined]
    copy: Any = isolated_copy(error)
    copy.add_note("two")
    assert error.__notes__ == ["one"]
    assert copy.detail is error.detail  # type: ignore[attr-defined]


def test_an_attribute_that_only_looks_like_notes_is_taken_as_it_is() -> None:
    error = ValueError()
    error.__notes__ = "no list"  # type: ignore[assignment]
    copy = isolated_copy(error)
    assert copy is not None
    assert copy.__notes__ == "no list"  # type: ignore[comparison-overlap]


def test_there_is_no_copy_that_would_not_be_faithful() -> None:
    assert isolated_copy(ReadOnlyArgs()) is None


def test_a_member_of_a_group_that_cannot_be_copied_is_shared() -> None:
    stubborn = ReadOnlyArgs()
    copy = isolated_copy(ExceptionGroup("group", [stubborn, ValueError(1)]))
    assert copy is not None
    assert copy.exceptions[0] is stubborn
    assert isinstance(copy.exceptions[1], ValueError)


@given(st.lists(st.one_of(st.integers(), st.text(), st.none(), st.floats(allow_nan=False))))
def test_whatever_the_args_of_a_built_in_exception(args: list[Any]) -> None:
    for cls in (ValueError, KeyError, OSError, StopIteration, ImportError, AttributeError):
        error = cls(*args)
        copy = isolated_copy(error)
        assert copy is not None
        assert (type(copy), copy.args, str(copy)) == (type(error), error.args, str(error))


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_args_of_a_group_hold_the_copies_of_its_members(kind: Any) -> None:
    error = ExceptionGroup("group", kind([ValueError(1)]))
    copy = isolated_copy(error)
    assert copy is not None
    copy.args[1][0].add_note("mine")
    assert copy.args[1][0] is copy.exceptions[0]
    assert type(copy.args[1]) is type(error.args[1])
    assert not hasattr(error.exceptions[0], "__notes__")


def test_other_args_of_a_group_stay_as_they_are() -> None:
    error = ExceptionGroup("group", [ValueError(1)])
    error.args = ("something", "else")
    copy = isolated_copy(error)
    assert copy is not None
    assert copy.args == ("something", "else")
