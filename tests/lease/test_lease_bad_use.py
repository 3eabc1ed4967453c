"""Bad arguments, keys and functions are refused with a message that says what to do."""

from __future__ import annotations

import functools
import inspect
import math
import pickle
import re
from typing import Any

import coredis
import pytest

from anyflight.lease import Lease, LeaseInstrument, MemoryStore
from anyflight.lease.valkey import ValkeyLease, ValkeyStore
from tests.lease.leasing import Process

SECONDS = ("ttl", "poll_interval", "outcome_ttl", "request_timeout", "retry_interval")


def refused(kind: type[Exception], text: str) -> Any:
    return pytest.raises(kind, match=f"^{re.escape(text)}")


async def at_once() -> int:
    return 1


class TestOptions:
    @pytest.mark.parametrize("option", SECONDS)
    def test_durations_are_positive_finite_numbers_of_seconds(self, option: str) -> None:
        for value in (0, -1, math.inf, math.nan, 2e9):
            with refused(
                ValueError, f"{option} must be more than zero seconds and at most 1000000"
            ):
                Lease(MemoryStore(), **{option: value})
        for wrong in ("1", None, True, 1j):
            with refused(TypeError, f"{option} must be a number of seconds, not an object of type"):
                Lease(MemoryStore(), **{option: wrong})
        with refused(ValueError, f"{option} is too large"):
            Lease(MemoryStore(), **{option: 10**400})

    def test_a_lease_lasts_a_tenth_of_a_second_at_least(self) -> None:
        with refused(ValueError, "ttl must be at least 0.1 seconds, but is 0.09"):
            Lease(MemoryStore(), ttl=0.09)
        Lease(MemoryStore(), ttl=0.1)

    def test_a_name_is_a_string(self) -> None:
        with refused(TypeError, "name must be"):
            Lease(MemoryStore(), name=7)  # type: ignore[arg-type]

    def test_the_size_of_values_is_a_whole_number(self) -> None:
        for wrong in (None, 1.5, True):
            with refused(TypeError, "max_value_bytes must be a whole number, not an object of"):
                Lease(MemoryStore(), max_value_bytes=wrong)  # type: ignore[arg-type]
        with refused(ValueError, "max_value_bytes must be one or more, not 0"):
            Lease(MemoryStore(), max_value_bytes=0)

    @pytest.mark.parametrize(
        ("option", "choices"),
        [("on_lost", "'cancel' or 'finish'"), ("on_unreachable", "'run' or 'raise'")],
    )
    def test_choices_are_what_there_is_to_choose_from(self, option: str, choices: str) -> None:
        with refused(ValueError, f"{option} must be {choices}, not 'wait'"):
            Lease(MemoryStore(), **{option: "wait"})

    def test_instruments_are_instances_of_instruments(self) -> None:
        with refused(
            TypeError,
            "each of instruments must be of type anyflight.lease.LeaseInstrument, not an object of "
            "type type: write LeaseInstrument(...)",
        ):
            Lease(MemoryStore(), instruments=[LeaseInstrument])  # type: ignore[list-item]

    def test_a_store_is_a_store(self) -> None:
        with refused(
            TypeError,
            "store must be of type anyflight.lease.LeaseStore, not an object of type "
            "coredis.client.basic.Redis",
        ):
            Lease(coredis.Redis())  # type: ignore[arg-type]

    def test_a_codec_has_both_methods(self) -> None:
        with refused(TypeError, "codec must be of type anyflight.lease.Codec, not an object of"):
            Lease(MemoryStore(), codec=pickle)  # type: ignore[arg-type]

    def test_encode_key_is_a_function(self) -> None:
        with refused(TypeError, "encode_key must be callable, not an object of type str"):
            Lease(MemoryStore(), encode_key="str")  # type: ignore[arg-type]


class TestServerOptions:
    def test_a_client_is_one_of_coredis(self) -> None:
        with refused(
            TypeError,
            "client must be a coredis.Redis or a coredis.RedisCluster, not an object of type "
            "builtins.object",
        ):
            ValkeyLease(object(), namespace="test")  # type: ignore[arg-type]

    @pytest.mark.parametrize("namespace", ["", "a b", "a:b", "{a}", "ü", "a\n", "a*", "a/b"])
    def test_a_namespace_has_no_odd_characters(self, namespace: str) -> None:
        with refused(ValueError, "namespace must be one or more letters, digits and '_.-', not "):
            ValkeyStore(coredis.Redis(), namespace)

    def test_a_namespace_is_a_string(self) -> None:
        with refused(TypeError, "namespace must be of type str, not an object of type bytes"):
            ValkeyStore(coredis.Redis(), b"test")  # type: ignore[arg-type]

    def test_a_lease_has_the_options_of_all_others_with_the_same_defaults(self) -> None:
        def options(kind: type[object], *but: str) -> dict[str, inspect.Parameter]:
            parameters = inspect.signature(kind).parameters
            assert {"name", *but} <= parameters.keys()
            return {name: parameters[name] for name in parameters if name not in {"name", *but}}

        assert options(ValkeyLease, "client", "namespace") == options(Lease, "store")

    def test_a_lease_has_the_name_of_its_namespace_unless_it_is_given_another(self) -> None:
        client = coredis.Redis()
        assert repr(ValkeyLease(client, namespace="users")).startswith("<ValkeyLease 'users'")
        named = ValkeyLease(client, namespace="users", name="mine")
        assert repr(named).startswith("<ValkeyLease 'mine'")


@pytest.mark.anyio
class TestKeys:
    @pytest.mark.parametrize("key", [1, None, b"k", ("a", "b")])
    async def test_they_are_strings_unless_there_is_an_encode_key(self, key: Any) -> None:
        process = Process(MemoryStore())
        async with process:
            for call in (process.lease.execute(key, at_once), process.lease.invalidate(key)):
                with refused(
                    TypeError,
                    f"a key must be a string, not {key!r}: give the lease an encode_key that makes "
                    "another string of each key, as encode_key=str does of integers",
                ):
                    await call
        assert process.counts.calls == process.counts.requests == 0

    async def test_encode_key_makes_the_string(self) -> None:
        names: list[str] = []

        class Store(MemoryStore):
            async def acquire(self, key: str, *args: Any, **options: Any) -> Any:
                names.append(key)
                return await super().acquire(key, *args, **options)

        async with Lease[Any](Store(), encode_key=lambda key: f"<{key}>") as lease:
            await lease.execute(1, at_once)
            await lease.execute(("a", 1), at_once)
        assert names == ["<1>", "<('a', 1)>"]

    async def test_encode_key_returns_a_string(self) -> None:
        process = Process(MemoryStore(), encode_key=lambda key: key)
        async with process:
            with refused(TypeError, "encode_key must return a string, not an object of type int"):
                await process.lease.execute(1, at_once)
            assert await process.lease.execute("1", at_once) == 1

    async def test_an_error_of_encode_key_comes_out(self) -> None:
        process = Process(MemoryStore(), encode_key=lambda key: key.name)
        async with process:
            with pytest.raises(AttributeError, match="name"):
                await process.lease.execute(1, at_once)
        process.assert_settled()

    async def test_a_string_has_bytes_in_utf_8(self) -> None:
        process = Process(MemoryStore())
        async with process:
            for call in (
                process.lease.execute("\ud800", at_once),
                process.lease.invalidate("\ud800"),
            ):
                with refused(ValueError, r"UTF-8 has no bytes for key '\ud800'"):
                    await call

    async def test_any_other_string_will_do_a_subclass_included(self) -> None:
        class Text(str):
            __slots__ = ()

        process = Process(MemoryStore())
        async with process:
            for key in ("", "\x00", "ü" * 10_000, Text("text")):
                assert await process.lease.execute(key, at_once) == 1
                await process.lease.invalidate(key)


@pytest.mark.anyio
class TestFunctions:
    async def test_a_coroutine_is_none(self) -> None:
        process = Process(MemoryStore())
        async with process:
            with refused(
                TypeError,
                "func must be callable, not an object of type coroutine: write "
                "execute(key, f, x), not execute(key, f(x))",
            ):
                await process.lease.execute("k", at_once())  # type: ignore[arg-type]

    async def test_its_result_can_be_awaited(self) -> None:
        process = Process(MemoryStore())
        async with process:
            with pytest.raises(TypeError, match="returned an object of type int, which cannot be"):
                await process.lease.execute("k", int)
        assert process.counts.ran == 1  # the function was called, and failed
        process.assert_settled()

    async def test_any_callable_that_returns_an_awaitable_will_do(self) -> None:
        class Callable:
            async def __call__(self, value: int) -> int:
                return value

        process = Process(MemoryStore())
        async with process:
            assert await process.lease.execute("k", Callable(), 2) == 2
            assert await process.lease.execute("k", functools.partial(Callable(), 3)) == 3
            assert await process.lease.execute("k", lambda: Callable()(4)) == 4

    async def test_its_arguments_are_its_own_affair(self) -> None:
        process = Process(MemoryStore())
        async with process:
            with pytest.raises(TypeError, match="positional argument"):
                await process.lease.execute("k", at_once, 1)
        assert process.counts.ran == 1
