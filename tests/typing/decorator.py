"""Decorated functions as type checkers must see them; checked by mypy and pyright, never run.

Each ignore marks a line that must be an error: both checkers are told to reject an ignore that
is not needed.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, assert_type

from anyio import CapacityLimiter

from anyflight import CoalescedFunction, Coalescer, Instrument, coalesced


class User: ...


class Admin(User): ...


users = Coalescer[int, User]()


def by_id(user_id: int, *, active: bool = True) -> int:
    raise NotImplementedError


def by_name(user_id: int) -> str:
    raise NotImplementedError


def by_id_in_list(user_id: int) -> list[int]:
    raise NotImplementedError


def by_service_and_id(service: object, user_id: int) -> int:
    raise NotImplementedError


@coalesced
async def bare(user_id: int, *, active: bool = True) -> User:
    raise NotImplementedError


@coalesced()
async def called(user_id: int, *, active: bool = True) -> User:
    raise NotImplementedError


@coalesced(
    key=by_id,
    name="users",
    on_abandon="finish",
    retry_on=(OSError, TimeoutError),
    flight_timeout=1,
    max_join_age=0.1,
    max_waiters=1000,
    limiter=CapacityLimiter(10),
    copy=copy.copy,
    context="owner",
    instruments=[Instrument()],
)
async def with_options(user_id: int, *, active: bool = True) -> User:
    raise NotImplementedError


@users.coalesced
async def bare_method(user_id: int, *, active: bool = True) -> User:
    raise NotImplementedError


@users.coalesced()
async def called_method(user_id: int, *, active: bool = True) -> User:
    raise NotImplementedError


@users.coalesced(key=by_id)
async def with_key(user_id: int, *, active: bool = True) -> User:
    raise NotImplementedError


@coalesced
def promise(user_id: int) -> Awaitable[User]:
    raise NotImplementedError


async def decorated_functions() -> None:
    assert_type(await bare(1, active=False), User)
    assert_type(await called(1, active=False), User)
    assert_type(await with_options(user_id=1), User)
    assert_type(await bare_method(1), User)
    assert_type(await called_method(1), User)
    assert_type(await with_key(1, active=False), User)
    assert_type(await promise(1), User)
    coroutine: Coroutine[Any, Any, User] = bare(1)
    await coroutine
    assert_type(bare.forget(1, active=True), bool)
    assert_type(await bare.fresh(1, active=True), User)
    async with bare.coalescer as opened:
        assert_type(opened, Coalescer[Any, User])
    handler: Callable[[int], Awaitable[User]] = bare
    await handler(1)


async def wrong_arguments() -> None:
    await bare("1")  # type: ignore[arg-type]
    await bare(1, False)  # type: ignore[call-arg]
    await bare()  # type: ignore[call-arg]
    await bare(1, activ=False)  # type: ignore[call-arg]
    await called("1")  # type: ignore[arg-type]
    await with_options("1")  # type: ignore[arg-type]
    await bare_method("1")  # type: ignore[arg-type]
    await called_method("1")  # type: ignore[arg-type]
    await with_key("1")  # type: ignore[arg-type]
    bare.forget("1")  # type: ignore[arg-type]
    await promise()  # type: ignore[call-arg]


def blocking(user_id: int) -> User:
    raise NotImplementedError


async def fetch_name(user_id: int) -> str:
    raise NotImplementedError


async def fetch_admin(user_id: int) -> Admin:
    raise NotImplementedError


def wrong_functions() -> None:
    coalesced(blocking)  # type: ignore[arg-type]
    coalesced()(blocking)  # type: ignore[arg-type]
    coalesced(1)  # type: ignore[call-overload]
    users.coalesced(fetch_name)  # type: ignore[arg-type]
    users.coalesced()(fetch_name)  # type: ignore[arg-type]


async def right_functions() -> None:
    assert_type(await coalesced(fetch_name)(1), str)
    assert_type(await coalesced(fetch_name, key=by_id, name="names")(1), str)
    assert_type(await users.coalesced(fetch_admin)(1), User)
    assert_type(await users.coalesced(fetch_admin, key=by_id)(1), User)
    attribute: CoalescedFunction[[int], str] = coalesced(fetch_name)
    await attribute(1)


def wrong_options() -> None:
    coalesced(on_abandon="stop")  # type: ignore[call-overload]
    coalesced(timeout=1)  # type: ignore[call-overload]
    coalesced(key=1)  # type: ignore[call-overload]
    coalesced(key=by_id_in_list)  # type: ignore[arg-type]
    users.coalesced(key=by_name)  # type: ignore[arg-type]
    users.coalesced(name="users")  # type: ignore[call-overload]


class Service:
    @coalesced
    async def method(self, user_id: int) -> User:
        return await self.called_method(user_id)

    @coalesced()
    async def called_method(self, user_id: int) -> User:
        return await self.class_method(user_id)

    @users.coalesced(key=by_service_and_id)
    async def with_key(self, user_id: int) -> User:
        raise NotImplementedError

    @classmethod
    @coalesced
    async def class_method(cls, user_id: int) -> User:
        return await cls.static_method(user_id)

    @staticmethod
    @coalesced
    async def static_method(user_id: int) -> User:
        raise NotImplementedError

    @staticmethod
    @users.coalesced()
    async def no_arguments() -> User:
        raise NotImplementedError


class SpecialService(Service): ...


async def methods(service: Service, special: SpecialService) -> None:
    assert_type(await service.method(1), User)
    assert_type(await service.method(user_id=1), User)
    assert_type(await special.method(1), User)
    assert_type(await service.called_method(1), User)
    assert_type(await service.with_key(1), User)
    assert_type(await Service.method(service, 1), User)
    assert_type(await Service.method(special, 1), User)
    assert_type(service.method.forget(1), bool)
    assert_type(await service.method.fresh(1), User)
    assert_type(Service.method.forget(service, 1), bool)
    assert_type(service.method.coalescer, Coalescer[Any, User])
    assert_type(Service.method.coalescer, Coalescer[Any, User])


async def class_and_static_methods(service: Service, special: SpecialService) -> None:
    assert_type(await Service.class_method(1), User)
    assert_type(await SpecialService.class_method(user_id=1), User)
    assert_type(await service.class_method(1), User)
    assert_type(await special.class_method(1), User)
    assert_type(Service.class_method.forget(Service, 1), bool)
    assert_type(await Service.class_method.fresh(Service, 1), User)
    assert_type(Service.class_method.coalescer, Coalescer[Any, User])
    assert_type(await Service.static_method(1), User)
    assert_type(await SpecialService.static_method(1), User)
    assert_type(await service.static_method(user_id=1), User)
    assert_type(await special.static_method(1), User)
    assert_type(Service.static_method.forget(1), bool)
    assert_type(service.static_method.coalescer, Coalescer[Any, User])
    assert_type(await Service.no_arguments(), User)
    assert_type(await service.no_arguments(), User)


async def wrong_arguments_of_methods(service: Service) -> None:
    await service.method("1")  # type: ignore[arg-type]
    await service.method()  # type: ignore[call-arg]
    await service.method(service, 1)  # type: ignore[call-arg, arg-type]
    await service.with_key("1")  # type: ignore[arg-type]
    await Service.method(1, 1)  # type: ignore[arg-type]
    service.method.forget("1")  # type: ignore[arg-type]
    await service.method.fresh("1")  # type: ignore[arg-type]
    await Service.class_method("1")  # type: ignore[arg-type]
    await service.class_method("1")  # type: ignore[arg-type]
    Service.class_method.forget(1)  # type: ignore[call-arg, arg-type]
    await Service.static_method("1")  # type: ignore[arg-type]
    await service.static_method("1")  # type: ignore[arg-type]
    await service.static_method(service, 1)  # type: ignore[call-arg, arg-type]
