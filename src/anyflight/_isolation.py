"""Copies of an exception, so that what one waiter does to its own is seen by no other.

``copy.copy`` will not do: it calls the class again with ``args``, which fails for every exception
whose ``__init__`` takes something else (``httpx.HTTPStatusError``), and may have effects. Here no
code of the class runs: the object is allocated as its built-in base does it, then filled.
"""

from __future__ import annotations

__all__ = ("copied_or_shared", "isolated_copy")

from collections.abc import Sequence
from functools import lru_cache, partial
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeAlias, TypeVar, cast

E = TypeVar("E", bound=BaseException)
Field: TypeAlias = MemberDescriptorType | GetSetDescriptorType

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE, set on a class that a `class` statement made
# The fields that every exception and every instance has, copied by name in `_fill`.
_COMMON_FIELDS = frozenset(vars(BaseException)) | {"__dict__", "__weakref__"}
_EMPTY = object()


def isolated_copy(error: E) -> E | None:
    """Return a copy of ``error`` that can be raised beside it, or None if none would be faithful.

    Faithful means: same class, args, attributes, slots and traceback. The list of notes is copied,
    and so are the cause, the context and the exceptions in a group, as far as they can be; all
    other values are shared.
    """
    copy = copied_or_shared(error)
    return None if copy is error else copy


def copied_or_shared(error: E) -> E:
    """Return what `isolated_copy` does; ``error`` itself where that would be None."""
    return _copy(error, {})


# The exceptions copied so far, by identity: a chain may lead to one of them by several ways. With
# each copy goes its original, lest another object gets the same identity.
Memo: TypeAlias = dict[int, tuple[BaseException, BaseException]]


def _copy(error: E, memo: Memo) -> E:
    if id(error) in memo:
        return cast("E", memo[id(error)][1])
    try:
        copy = _allocate(error, memo)
        if type(copy) is type(error):
            memo[id(error)] = (error, copy)
            _fill(copy, error, memo)
            return copy
    except Exception:  # noqa: BLE001, S110 - any refusal, by whatever class, means: not faithful
        pass
    memo[id(error)] = (error, error)
    return error


def _allocate(error: E, memo: Memo) -> E:
    cls = type(error)
    native: Any = next(base for base in cls.__mro__ if not base.__flags__ & _HEAP_TYPE)
    args = error.args
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        copies = [_copy(each, memo) for each in group.exceptions]
        args = (group.message, tuple(copies) if isinstance(_members(group), tuple) else copies)
    return cast("E", native.__new__(cls, *args))


def _fill(copy: BaseException, error: BaseException, memo: Memo) -> None:
    # Past a `__setattr__` of the class: a frozen dataclass would refuse.
    assign = partial(BaseException.__setattr__, copy)
    if _members(error) is None:  # else it has been allocated with copies of them
        assign("args", error.args)
    for link in ("__cause__", "__context__"):
        linked: BaseException | None = getattr(error, link)
        # Asked for None, not for truth: an exception may have a length, and that may be zero.
        assign(link, None if linked is None else _copy(linked, memo))
    assign("__suppress_context__", error.__suppress_context__)
    assign("__traceback__", error.__traceback__)
    attributes = vars(error).copy()
    if isinstance(notes := attributes.get("__notes__"), list):
        attributes["__notes__"] = notes.copy()
    vars(copy).update(attributes)
    cls: type = type(error)
    for field in _fields(cls):
        value = _read(field, error)
        # An empty field of a C structure reads as None, but one that was *set* to None is another
        # thing (`str(OSError)` would show it): so what is equal already is left alone.
        if value is not _read(field, copy):
            field.__set__(copy, value)


def _members(error: BaseException) -> Sequence[BaseException] | None:
    """Return the exceptions in the ``args`` of a group, if they are those in the group."""
    if not isinstance(error, BaseExceptionGroup):
        return None
    group = cast("BaseExceptionGroup[BaseException]", error)
    given = group.args[1] if len(group.args) > 1 else None
    if not isinstance(given, (list, tuple)):
        return None
    members = cast("Sequence[BaseException]", given)
    return members if [*map(id, members)] == [*map(id, group.exceptions)] else None


@lru_cache(maxsize=256)  # classes can be made at run time: an unbounded cache would keep them all
def _fields(cls: type) -> tuple[Field, ...]:
    """Return the fields that live outside of ``__dict__``: of C structures, and ``__slots__``."""
    if issubclass(cls, BaseExceptionGroup):
        fixed = _COMMON_FIELDS | {"message", "exceptions"}  # read-only, set on allocation
    else:
        fixed = _COMMON_FIELDS
    return tuple(
        field
        for base in cls.__mro__
        if base is not object  # whose only field is `__class__`
        for name, field in vars(base).items()
        if isinstance(field, Field) and name not in fixed
    )


def _read(field: Field, error: BaseException) -> object:
    try:
        return cast("object", field.__get__(error))
    except (AttributeError, TypeError):
        return _EMPTY  # never filled; the Unicode errors say so with a TypeError
