"""The rights that docs/lease.md asks for are what a lease needs, and the cache that shares it."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import coredis
import pytest
from anyio import Event, create_task_group, fail_after, sleep

from anyflight import ReadThroughCache
from anyflight.lease.valkey import ValkeyLease
from servers.cluster import temporary_cluster
from servers.programs import Program
from servers.valkey import ValkeyServer
from tests.lease.workers import PATIENCE

PAGE = (Path(__file__).parents[2] / "docs" / "lease.md").read_text(encoding="utf-8")
CLUSTER_RIGHT = "+cluster|slots"


def rights(program: Program) -> list[str]:
    """Return the command of the page, for this server."""
    found = re.search(r"^ACL SETUSER shop [^`]*", PAGE, re.MULTILINE)
    assert found is not None
    assert f"`{CLUSTER_RIGHT}`" in PAGE
    knows_setinfo = program.name == "valkey" or program.version >= (7, 2)
    assert "`+client|setinfo`" in PAGE
    return [*found[0].split(), *(["+client|setinfo"] if knows_setinfo else [])]


async def returns_a_value() -> str:
    return "value"


async def until(condition: Callable[[], object]) -> None:
    """Return as soon as this is so."""
    with fail_after(PATIENCE):
        while not condition():
            await sleep(0.005)


async def use_everything(client: Any) -> None:
    """Use a lease, and a cache that shares it, with all that they ask of a server."""
    may_end = Event()

    async def works_for_a_while() -> str:
        await may_end.wait()
        return "value"

    options = {"namespace": "shop.users", "poll_interval": 0.05, "request_timeout": PATIENCE}
    async with (
        client,
        # Only what nobody else wants is led by the one whose leases are short.
        ValkeyLease[str](client, **options, ttl=0.3) as here,
        ValkeyLease[str](client, **options, ttl=60) as there,
    ):
        async with create_task_group() as tasks:
            tasks.start_soon(here.execute, "renewed", works_for_a_while)
            tasks.start_soon(there.execute, "shared", works_for_a_while)
            await until(lambda: there.statistics().holding)
            tasks.start_soon(here.execute, "shared", works_for_a_while)
            await until(lambda: here.statistics().polls and here.statistics().renewals)
            may_end.set()
        with pytest.raises(ZeroDivisionError):
            await here.execute("failed", divides_by_zero)
        async with create_task_group() as tasks:
            tasks.start_soon(here.execute, "cancelled", Event().wait)
            await until(lambda: here.statistics().holding)
            tasks.cancel_scope.cancel()
        await here.invalidate("shared")
        async with ReadThroughCache[str, str](ttl=60, across=here) as cache:
            await cache.get("key", returns_a_value, tags=["tag"])
            await cache.set("key", "other", tags=["tag"])
            await cache.invalidate_tag("tag")
            await cache.clear()
    for lease in (here, there):
        assert lease.statistics().failures == 0
        assert lease.statistics().reconnects == 0


async def divides_by_zero() -> str:
    raise ZeroDivisionError


def refusals(server: ValkeyServer) -> Sequence[Any]:
    """Return what the server has refused."""
    log: Sequence[Any] = server.command("ACL", "LOG")
    return log


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_user_with_these_rights_can_do_everything(
    anyio_backend: str, each_server: ValkeyServer
) -> None:
    each_server.command(*rights(each_server.program))
    each_server.command("ACL", "LOG", "RESET")
    await use_everything(
        coredis.Redis(
            host=each_server.host, port=each_server.port, username="shop", password="secret"
        )
    )
    assert refusals(each_server) == []


# RedisCluster leaves a stream of its own open, which is noticed when it is collected.
@pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_on_a_cluster_it_takes_one_more(anyio_backend: str) -> None:
    with temporary_cluster() as nodes:
        for node in nodes:
            node.command(*rights(node.program), CLUSTER_RIGHT)
            node.command("ACL", "LOG", "RESET")
        await use_everything(
            coredis.RedisCluster(
                host=nodes[0].host,
                port=nodes[0].port,
                username="shop",
                password="secret",
                skip_full_coverage_check=True,
            )
        )
        for node in nodes:
            assert refusals(node) == []
    gc.collect()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("scope", ["namespace", "channel"])
async def test_they_are_rights_to_this_namespace_only(
    anyio_backend: str, server: ValkeyServer, scope: str
) -> None:
    server.command(*rights(server.program))
    client = coredis.Redis[bytes](
        host=server.host, port=server.port, username="shop", password="secret"
    )
    async with client:
        with pytest.raises(coredis.exceptions.AuthorizationError):
            if scope == "channel":
                await client.publish("anyflight:shop.orders", "message")
            else:
                await client.hset("anyflight:shop.orders:key", {"e": "1"})
