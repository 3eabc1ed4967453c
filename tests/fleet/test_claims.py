"""What docs/fleet.md says of other libraries, and of the counting, is what they do."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest
import valkey
from aiocache import Cache  # type: ignore[import-untyped]
from dogpile.cache import make_region
from redis.exceptions import MaxConnectionsError

from demo.ledger import cause
from demo.schema import ServerCounts
from fleet.counting import Reading
from fleet.crew import crew
from fleet.site import Record, Setting, Site
from fleet.strategies import LOCAL, STRATEGIES, Strategy
from fleet.takeover import Execution, Following, Leading
from servers.valkey import ValkeyServer, temporary_valkey

ACROSS = [pytest.param(each, id=each.name) for each in STRATEGIES if each.across]
RENEW_NOTHING = [each for each in ACROSS if "lease" not in str(each.id)]
USER = 42


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with temporary_valkey() as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(server: ValkeyServer) -> None:
    server.command("FLUSHALL")


def setting_of(strategy: Strategy, server: ValkeyServer, *, ttl: float) -> Setting:
    return Setting(strategy=strategy.name, host=server.host, port=server.port, ttl=ttl)


@contextmanager
def followed(setting: Setting) -> Iterator[list[Execution]]:
    """Let one process run work that never ends; yield what another executes meanwhile."""
    with crew(2) as (leader, follower):
        follower.say(Following(setting=setting, calls=1))
        follower.hear()
        leader.say(Leading(setting=setting, user_id=USER))
        leader.hear()
        follower.say(USER)
        follower.say(None)
        yield follower.hear()


@pytest.mark.parametrize("strategy", RENEW_NOTHING)
def test_a_lock_that_nobody_renews_is_over_while_the_work_runs(
    strategy: Strategy, server: ValkeyServer
) -> None:
    with followed(setting_of(strategy, server, ttl=1)) as executions:
        assert len(executions) == 1


def test_aiocache_waits_for_no_other_process(server: ValkeyServer) -> None:
    (aiocache,) = (each for each in STRATEGIES if each.name == "aiocache")
    with followed(setting_of(aiocache, server, ttl=1000)) as executions:
        assert len(executions) == 1
        assert server.command("PTTL", "users:42-lock") > 0


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_connections_that_aiocache_uses_by_default_are_not_waited_for(
    server: ValkeyServer,
) -> None:
    cache = Cache(Cache.REDIS, endpoint=server.host, port=server.port)
    refused = 0

    async def get() -> None:
        nonlocal refused
        try:
            await cache.get("42")
        except MaxConnectionsError:
            refused += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(get)
    await cache.client.aclose()
    assert 0 < refused < 200


def test_a_lock_of_dogpile_without_a_timeout_is_for_ever(server: ValkeyServer) -> None:
    region = make_region().configure(
        "dogpile.cache.redis",
        arguments={
            "host": server.host,
            "port": server.port,
            "distributed_lock": True,
            "thread_local_lock": False,
        },
    )
    region.backend.get_mutex("42").acquire()
    assert server.command("PTTL", "_lock42") == -1
    region.backend.writer_client.close()


@contextmanager
def monitored(server: ValkeyServer) -> Iterator[Counter[str]]:
    """Count the commands that the server tells of, by who made them."""
    told: Counter[str] = Counter()
    client = valkey.Valkey(server.host, server.port, decode_responses=True)
    with client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                if command["command"] == "ECHO over":
                    return
                told[command["client_type"]] += 1

        thread = threading.Thread(target=listen)
        thread.start()
        yield told
        server.command("ECHO", "over")
        thread.join()
    client.close()


# Some call redis-py by methods that it deprecates.
@pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")
@pytest.mark.parametrize("strategy", ACROSS)
def test_what_scripts_do_is_told_from_what_clients_send(
    strategy: Strategy, server: ValkeyServer
) -> None:
    async def fetch(user_id: int) -> Record:
        await anyio.sleep(0.02)
        return [user_id]

    async def main() -> tuple[Counter[str], Counter[str]]:
        cause.set("spike")
        site = Site(fetch=fetch, setting=setting_of(strategy, server, ttl=10))
        async with strategy.open(site) as here, strategy.open(site) as there:
            await here(0)  # scripts are loaded, connections open
            await there(1)
            before = Counter(server.command_counts())
            with monitored(server) as told:
                async with anyio.create_task_group() as tasks:
                    for look_up in (here, there) * 3:
                        tasks.start_soon(look_up, USER)
            return told, Counter(server.command_counts()) - before

    told, counted = anyio.run(main)
    for own in ("info", "monitor", "echo"):
        del counted[own]
    counted = Counter({n: c for n, c in counted.items() if not n.startswith(("client|", "hello"))})
    assert strategy.inside(counted) == told["lua"] > 0


def test_locally_nothing_is_sent() -> None:
    assert LOCAL.inside({}) == 0


def test_a_reading_is_what_has_been_added() -> None:
    earlier = Reading(ServerCounts(1, 2), {"get": 3, "set": 4})
    later = Reading(ServerCounts(10, 20), {"get": 5, "set": 4, "del": 1})
    added = later.since(earlier)
    assert added == (ServerCounts(9, 18), {"get": 2, "del": 1})
    assert added.plus(added) == (ServerCounts(18, 36), {"get": 4, "del": 2})
