"""How BatchLoader is meant to be used: type checkers must accept it, and infer what is asserted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_type

from anyflight import BatchLoader, BatchLoaderStatistics, FlightInfo


class User:
    name: str


async def load_users(user_ids: list[int]) -> dict[int, User]:
    return dict.fromkeys(user_ids, User())


async def load_some(user_ids: Sequence[int]) -> Mapping[int, User | Exception]:
    return dict.fromkeys(user_ids, KeyError())


async def by_name(names: list[str]) -> dict[str, str | None]:
    return dict.fromkeys(names)


async def values(user_ids: list[int]) -> list[User]:
    return [User() for _ in user_ids]


async def users() -> None:
    async with BatchLoader[int, User](load_users, max_batch_size=50, max_delay=0.002) as loader:
        assert_type(loader, BatchLoader[int, User])
        assert_type(await loader.load(1), User)
        assert_type(await loader.load(1, fresh=True), User)
        assert_type(await loader.load_many([1, 2]), dict[int, User])
        assert_type(await loader.load_many(user_id for user_id in (1, 2)), dict[int, User])
        assert_type(await loader.load_each([1, 2]), dict[int, User | Exception])
        assert_type(loader.forget(1), bool)
        assert_type(loader.statistics(), BatchLoaderStatistics)
        assert_type(loader.flights(), tuple[FlightInfo, ...])
        await loader.load("1")  # type: ignore[arg-type]
        await loader.load_many(["1"])  # type: ignore[list-item]
        await loader.load(1, True)  # type: ignore[call-arg]


async def errors_are_no_values() -> None:
    async with BatchLoader[int, User](load_some) as loader:
        assert_type(await loader.load(1), User)


async def inferred() -> None:
    async with BatchLoader(by_name) as loader:
        assert_type(await loader.load("ada"), str | None)
        assert_type(await loader.load_many(["ada"]), dict[str, str | None])


def wrong() -> None:
    BatchLoader(values)  # type: ignore[arg-type]
    BatchLoader[str, User](load_users)  # type: ignore[arg-type]
    BatchLoader(load_users, 50)  # type: ignore[call-arg]
