"""The back ends that a run goes through."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar, TypeVarTuple, Unpack

import anyio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

BACKENDS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio", "backend_options": {"use_uvloop": False}},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}
"""What `anyio.run` is told for each."""

ON_ASYNCIO = frozenset({"asyncio", "uvloop"})
EVERYWHERE = frozenset(BACKENDS)


def available_backends() -> tuple[str, ...]:
    """Return the back ends that are installed: uvloop is not made for every system."""
    return tuple(name for name in BACKENDS if name != "uvloop" or find_spec("uvloop"))


def run_on(
    backend: str, func: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]], *args: Unpack[Ts]
) -> T:
    """Run ``func(*args)`` on a back end."""
    return anyio.run(func, *args, **BACKENDS[backend])
