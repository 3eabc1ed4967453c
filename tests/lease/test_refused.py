"""A server that will never do is an error when a lease is opened, and an outage later."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import coredis
import pytest
from anyio import CancelScope, create_task_group, fail_after, sleep

from anyflight.lease import LeaseConfigurationError
from anyflight.lease.valkey import ValkeyLease
from servers.valkey import ValkeyServer, temporary_valkey
from tests.lease.driving import Join
from tests.lease.proxy import Proxy
from tests.lease.workers import PATIENCE

USERS = {
    "reader": ("~*", "&*", "+@read", "+@connection", "+info"),
    "stranger": ("~other:*", "&*", "+@all"),
    "mute": ("~*", "resetchannels", "+@all"),
    "no writer": ("~*", "&*", "+@all", "-hset"),
    "uninformed": ("~*", "&*", "+@all", "-info"),
}


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[ValkeyServer]:
    with temporary_valkey(password="secret") as server:
        for name, rules in USERS.items():
            server.command("ACL", "SETUSER", name.replace(" ", "-"), "on", ">secret", *rules)
        yield server


@contextmanager
def configuration_error(match: str) -> Generator[None]:
    """Expect the error in a group: a client of coredis is a task group."""
    with pytest.RaisesGroup(
        pytest.RaisesExc(LeaseConfigurationError, match=match), flatten_subgroups=True
    ):
        yield


async def opens(server: ValkeyServer | Proxy, **options: Any) -> None:
    async with (
        coredis.Redis(host=server.host, port=server.port, **options) as client,
        ValkeyLease[str](client, namespace="test"),
    ):
        pass


async def returns_a_value() -> str:
    return "value"


async def test_the_right_password_will_do(
    anyio_backend: object, guarded_server: ValkeyServer
) -> None:
    await opens(guarded_server, password="secret")


@pytest.mark.parametrize("options", [{"password": "wrong"}, {}], ids=["wrong", "none"])
async def test_a_wrong_password_is_an_error(
    anyio_backend: object, guarded_server: ValkeyServer, options: dict[str, Any]
) -> None:
    with configuration_error("the right password"):
        await opens(guarded_server, **options)


@pytest.mark.parametrize("name", USERS)
async def test_a_user_who_may_not_what_leases_need_is_an_error(
    anyio_backend: object, guarded_server: ValkeyServer, name: str
) -> None:
    with configuration_error("the server refuses what leases need"):
        await opens(guarded_server, username=name.replace(" ", "-"), password="secret")


async def test_a_server_that_is_too_old_is_an_error(
    anyio_backend: object, server: ValkeyServer
) -> None:
    version = server.command("INFO", "server")["redis_version"]
    forged = (f"redis_version:{version}".encode(), b"redis_version:6.2.9")
    with Proxy(server.host, server.port, forged=forged) as old:
        with configuration_error(r"Redis 7\.0 or later; this server is Redis 6\.2\.9"):
            await opens(old)


async def test_a_server_that_is_full_is_no_error_and_is_heard(
    anyio_backend: object, own_server: ValkeyServer
) -> None:
    own_server.command("CONFIG", "SET", "maxmemory", "1")
    try:
        async with (
            coredis.Redis(host=own_server.host, port=own_server.port) as client,
            ValkeyLease[str](client, namespace="test") as lease,
        ):
            assert await lease.execute("key", returns_a_value) == "value"
            assert lease.statistics().ran_unreachable == 1
            assert lease.statistics().reachable
            assert int(own_server.command("PUBSUB", "NUMSUB", "anyflight:test")[-1]) == 1
    finally:
        own_server.command("CONFIG", "SET", "maxmemory", "0")


async def test_a_server_that_is_busy_is_an_outage_and_no_error(
    anyio_backend: object, own_server: ValkeyServer
) -> None:
    """It answers, but with an error, whatever it is asked."""
    name, threshold = own_server.command("CONFIG", "GET", "busy-reply-threshold")
    own_server.command("CONFIG", "SET", name, "1")

    async def keep_busy() -> None:
        async with coredis.Redis(host=own_server.host, port=own_server.port) as other:
            with pytest.raises(coredis.exceptions.ResponseError):
                await other.eval("while true do end")

    async def is_busy() -> bool:
        try:
            await client.ping()
        except coredis.exceptions.ResponseError:
            return True
        return False

    async with (
        coredis.Redis(host=own_server.host, port=own_server.port) as client,
        coredis.Redis(host=own_server.host, port=own_server.port) as killer,
    ):
        await killer.ping()  # a server that is busy greets no new connection
        async with create_task_group() as tasks:
            tasks.start_soon(keep_busy)
            try:
                with fail_after(PATIENCE):
                    while not await is_busy():
                        await sleep(0.001)
                    async with ValkeyLease[str](client, namespace="test") as lease:
                        assert await lease.execute("key", returns_a_value) == "value"
                        assert lease.statistics().ran_unreachable == 1
            finally:
                with CancelScope(shield=True):
                    await killer.script_kill()
    own_server.command("CONFIG", "SET", name, threshold)


def test_a_password_that_is_changed_later_is_an_outage_and_no_error(join: Join) -> None:
    with temporary_valkey() as server:
        (caller,) = join(at=server, retry_interval=0.05)
        server.command("CONFIG", "SET", "requirepass", "secret")
        server.password = "secret"
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
        call = caller.calls()
        assert call.begins() is None
        call.finishes("value")
        assert call.returns() == "value"
        assert caller.counts()["outages"] == 1
