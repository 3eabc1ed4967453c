"""What is compared: the ways in which the service can look a user up."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from demo.theory import coalesced_rate, direct_rate
from examples.user_service.batched_service import BatchedUserService
from examples.user_service.cached_service import CACHE_TTL, CachedUserService
from examples.user_service.service import UserService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from anyflight import Instrument
    from demo.theory import Theory
    from examples.user_service.database import Database
    from examples.user_service.user import User

    Lookup: TypeAlias = Callable[[int], Awaitable[User]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One way to look users up."""

    name: str
    """As the JSON file has it."""

    title: str
    """As the progress tells it, and the table."""

    short: str
    """As the picture has it."""

    open: Callable[[Database, Iterable[Instrument]], AbstractAsyncContextManager[Lookup]]
    """Open a service on the database; what it keeps, it keeps for the length of the block.

    The instruments are told of its flights, if it has any.
    """

    theory: Theory
    """How often it fetches one profile."""


@asynccontextmanager
async def _directly(database: Database, _: Iterable[Instrument]) -> AsyncIterator[Lookup]:
    async with UserService(database) as service:
        yield service.get_user_directly


@asynccontextmanager
async def _coalesced(
    database: Database, instruments: Iterable[Instrument]
) -> AsyncIterator[Lookup]:
    async with UserService(database, instruments=instruments) as service:
        yield service.get_user


@asynccontextmanager
async def _batched(database: Database, instruments: Iterable[Instrument]) -> AsyncIterator[Lookup]:
    async with BatchedUserService(database, instruments=instruments) as service:
        yield service.get_user


@asynccontextmanager
async def _cached(database: Database, instruments: Iterable[Instrument]) -> AsyncIterator[Lookup]:
    async with CachedUserService(database, instruments=instruments) as service:
        yield service.get_user


STRATEGIES = (
    Strategy(
        name="direct",
        title="Without coalescing",
        short="without",
        open=_directly,
        theory=direct_rate,
    ),
    Strategy(
        name="coalesced",
        title="Coalesced",
        short="coalesced",
        open=_coalesced,
        theory=coalesced_rate,
    ),
    Strategy(
        name="batched",
        title="Coalesced and batched",
        short="and batched",
        open=_batched,
        theory=coalesced_rate,
    ),
    Strategy(
        name="cached",
        title="Coalesced and cached",
        short="and cached",
        open=_cached,
        theory=partial(coalesced_rate, kept_seconds=CACHE_TTL),
    ),
)
"""In the order in which they are run and shown: what all the others are compared with is first."""
