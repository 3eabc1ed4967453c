"""Law 11: a call that would make a flight wait for itself is refused, and no other call is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anyflight import Coalescer, DeadlockError, FlightTimeoutError, _deadlock
from anyflight._led_flight import LedFlight
from tests.support import (
    ASYNCIO_BACKENDS,
    PENDING,
    TRIO_BACKEND,
    Caller,
    HandClock,
    Work,
    assert_idle,
    settle,
    start,
)

pytestmark = pytest.mark.anyio


def calls(coalescer: Coalescer[Any, Any], *path: Any) -> Callable[[], Awaitable[Any]]:
    """Return work that calls for the first key, whose work calls for the next, and so on."""

    async def work() -> Any:
        return await coalescer.execute(path[0], calls(coalescer, *path[1:])) if path else "end"

    return work


async def chain_of(coalescer: Coalescer[Any, Any], *path: Any) -> tuple[Any, ...]:
    """Return the chain of the deadlock that the calls for these keys, one in another, run into."""
    with anyio.fail_after(5), pytest.raises(DeadlockError) as caught:
        await calls(coalescer, *path)()
    assert caught.value.key == path[-1]
    assert_idle(coalescer)
    return caught.value.chain


async def test_law_11_work_that_waits_for_its_own_flight_is_told() -> None:
    async with Coalescer[str, str]() as coalescer:
        assert await chain_of(coalescer, "A", "A") == ("A", "A")


async def test_law_11_a_waits_for_b_waits_for_a() -> None:
    async with Coalescer[str, str]() as coalescer:
        assert await chain_of(coalescer, "A", "B", "A") == ("B", "A", "B")


async def test_law_11_a_ring_of_fifty() -> None:
    async with Coalescer[int, str]() as coalescer:
        chain = await chain_of(coalescer, *range(50), 0)
        assert chain == (49, *range(50))


async def test_law_11_a_tail_that_leads_into_a_ring_is_no_part_of_the_chain() -> None:
    async with Coalescer[str, str]() as coalescer:
        assert await chain_of(coalescer, "tail", "A", "B", "A") == ("B", "A", "B")


async def test_law_11_the_message_tells_the_chain() -> None:
    async with Coalescer[str, str]() as coalescer:
        with pytest.raises(DeadlockError, match="'B' waits for 'A' waits for 'B'"):
            await calls(coalescer, "A", "B", "A")()


async def test_law_11_through_two_coalescers() -> None:
    async with Coalescer[str, str]() as one, Coalescer[str, str]() as other:

        async def first() -> str:
            return await other.execute("B", second)

        async def second() -> str:
            return await one.execute("A", first)

        with pytest.raises(DeadlockError) as caught:
            await one.execute("A", first)
    assert caught.value.chain == ("B", "A", "B")
    assert_idle(one)
    assert_idle(other)


async def test_law_11_through_a_queued_flight() -> None:
    async with Coalescer[str, str]() as coalescer:

        async def refresh() -> str:
            return await coalescer.execute("A", refresh, fresh=True)

        with pytest.raises(DeadlockError) as caught:
            await coalescer.execute("A", refresh)
    assert caught.value.chain == ("A", "A", "A")  # the running one, and the one queued behind it
    assert_idle(coalescer)


async def test_law_11_through_child_tasks_that_call_several_at_once() -> None:
    async with Coalescer[str, str]() as coalescer:

        async def first() -> None:
            async with anyio.create_task_group() as tasks:
                for key, func in (("B", calls(coalescer)), ("C", third), ("D", calls(coalescer))):
                    tasks.start_soon(partial(coalescer.execute, key, func))

        async def third() -> Any:
            return await coalescer.execute("A", first)

        with pytest.raises(ExceptionGroup) as caught:
            await coalescer.execute("A", first)
    assert caught.group_contains(DeadlockError, match="'C' waits for 'A' waits for 'C'")
    assert_idle(coalescer)


@pytest.mark.parametrize("closes", ["B", "C", "D"])
async def test_law_11_whichever_of_several_waits_closes_the_circle(closes: str) -> None:
    # A waits for B, C and D at once; only then does one of these call for A.
    async with Coalescer[str, Any]() as coalescer:
        go, told = anyio.Event(), []

        async def child(key: str) -> None:
            await go.wait()
            if key == closes:
                with pytest.raises(DeadlockError) as caught:
                    await coalescer.execute("A", parent)
                told.append(caught.value.chain)

        async def parent() -> None:
            async with anyio.create_task_group() as tasks:
                for key in "BCD":
                    tasks.start_soon(partial(coalescer.execute, key, child, key))
                await settle()
                go.set()

        await coalescer.execute("A", parent)
    assert told == [(closes, "A", closes)]


async def test_law_11_through_a_worker_thread() -> None:
    async with Coalescer[str, str]() as coalescer:

        async def work() -> str:
            return await anyio.to_thread.run_sync(
                anyio.from_thread.run, coalescer.execute, "A", work
            )

        with anyio.fail_after(5), pytest.raises(DeadlockError):
            await coalescer.execute("A", work)
    assert_idle(coalescer)


async def test_law_11_in_a_shielded_clean_up() -> None:
    async with Coalescer[str, str]() as coalescer:
        told = []

        async def work() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    try:  # it is queued behind this very flight
                        await coalescer.execute("A", work)
                    except DeadlockError as error:
                        told.append(error.chain)

        async with anyio.create_task_group() as tasks:
            caller = await start(tasks, coalescer, "A", work)
            caller.cancel()
            await settle()
    assert told == [("A", "A", "A")]


async def test_law_11_the_flights_of_the_circle_go_on_where_the_work_handles_it() -> None:
    async with Coalescer[str, str]() as coalescer:

        async def first() -> str:
            return "A got " + await coalescer.execute("B", second)

        async def second() -> str:
            try:
                return await coalescer.execute("A", first)
            except DeadlockError:
                return "what B can do without A"

        assert await coalescer.execute("A", first) == "A got what B can do without A"
    now = coalescer.statistics()
    assert (now.flights, now.succeeded) == (2, 2)


async def test_law_11_a_forgotten_flight_may_wait_for_a_new_one_of_its_key() -> None:
    async with Coalescer[str, str]() as coalescer:

        async def first() -> str:
            coalescer.forget("A")  # itself
            return await coalescer.execute("B", second)

        async def second() -> str:
            return await coalescer.execute("A", new)

        async def new() -> str:
            return "a new flight"

        assert await coalescer.execute("A", first) == "a new flight"


class TestLimiter:
    """Waiting for a token is waiting for whoever has one."""

    async def test_law_11_the_only_token_is_the_callers_own(self) -> None:
        limiter = anyio.CapacityLimiter(1)
        async with Coalescer[str, str](limiter=limiter) as coalescer:
            assert await chain_of(coalescer, "A", "B") == ("A", "B", "A")
        assert limiter.borrowed_tokens == 0

    async def test_law_11_all_tokens_are_held_by_flights_that_wait_for_one(self) -> None:
        limiter = anyio.CapacityLimiter(2)
        async with Coalescer[str, str](limiter=limiter) as coalescer:
            go = anyio.Event()

            async def outer(inner: str) -> str:
                await go.wait()
                try:
                    return await coalescer.execute(inner, calls(coalescer))
                except DeadlockError as error:
                    return f"told: {' '.join(map(str, error.chain))}"

            async with anyio.create_task_group() as tasks:
                callers = [await start(tasks, coalescer, key, outer, key.lower()) for key in "AB"]
                go.set()
            # One of them is told, which frees a token for the other's.
            told = sorted(caller.value for caller in callers)
        assert told[0] == "end"
        assert told[1].startswith("told: ")
        assert_idle(coalescer)

    async def test_law_11_no_false_alarm_while_a_holder_can_end(self) -> None:
        limiter = anyio.CapacityLimiter(2)
        async with (
            Coalescer[str, str](limiter=limiter) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            other = Work()
            await start(tasks, coalescer, "other", other, "x")
            caller = await start(tasks, coalescer, "A", calls(coalescer, "B"))
            other.go.set()
            await settle()
            assert caller.value == "end"

    async def test_law_11_no_false_alarm_while_a_stranger_holds_a_token(self) -> None:
        limiter = anyio.CapacityLimiter(2)
        async with (
            Coalescer[str, str](limiter=limiter) as coalescer,
            anyio.create_task_group() as tasks,
        ):
            async with limiter:
                caller = await start(tasks, coalescer, "A", calls(coalescer, "B"))
            await settle()
            assert caller.value == "end"

    async def test_law_11_a_flight_at_its_deadline_holds_its_token_till_its_work_has_ended(
        self, clock: HandClock
    ) -> None:
        limiter = anyio.CapacityLimiter(1)
        async with (
            Coalescer[str, str](limiter=limiter, flight_timeout=1) as one,
            Coalescer[str, str](limiter=limiter) as other,
            anyio.create_task_group() as tasks,
        ):

            async def work() -> str:
                try:
                    return str(await anyio.sleep_forever())
                finally:
                    with anyio.CancelScope(shield=True), pytest.raises(DeadlockError) as caught:
                        await other.execute("clean-up", calls(other))
                    chains.append(caught.value.chain)

            chains: list[tuple[Any, ...]] = []
            caller = await start(tasks, one, "A", work)
            clock.advance(1)
            await settle()
            assert isinstance(caller.outcome, FlightTimeoutError)
            assert chains == [("A", "clean-up", "A")]
        assert limiter.borrowed_tokens == 0

    async def test_law_11_no_alarm_for_a_circle_that_the_call_is_no_part_of(self) -> None:
        limiter = anyio.CapacityLimiter(2)
        async with (
            Coalescer[str, str](limiter=limiter) as limited,
            Coalescer[str, str]() as other,
            anyio.create_task_group() as tasks,
        ):
            await limiter.acquire_on_behalf_of("a stranger")
            inner = await start(tasks, limited, "A", calls(limited, "B"))
            limiter.total_tokens = 1
            limiter.release_on_behalf_of("a stranger")  # now A holds the only token there is
            outer = await start(tasks, other, "X", partial(limited.execute, "B", calls(limited)))
            assert outer.outcome is PENDING
            limiter.total_tokens = 2
            await settle()
            assert (inner.value, outer.value) == ("end", "end")

    @pytest.mark.parametrize("others", ["run", "wait"])
    async def test_law_11_a_call_among_many_does_not_look_at_all_the_others(
        self, others: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = 0
        look = _deadlock._Needs.of

        def of(needs: Any, node: Any) -> Any:
            nonlocal looks
            looks += 1
            return look(needs, node)

        limiter = anyio.CapacityLimiter(3)
        go, leaf = anyio.Event(), Work()
        async with (
            Coalescer[Any, Any](limiter=limiter) as coalescer,
            Coalescer[Any, Any]() as unlimited,
            anyio.create_task_group() as tasks,
        ):

            async def many() -> None:
                await go.wait()
                async with anyio.create_task_group() as rows:
                    for number in range(100):
                        rows.start_soon(coalescer.execute, number, calls(coalescer))

            await start(tasks, coalescer, "many", many)
            waiting = partial(unlimited.execute, "leaf", leaf) if others == "wait" else leaf
            for name in ("one", "two"):
                await start(tasks, coalescer, name, waiting)
            monkeypatch.setattr(_deadlock._Needs, "of", of)
            go.set()
            await settle()
            assert coalescer.statistics().waiting == 103
            # The flight itself, the limiter, and a holder of a token with what that waits for.
            assert looks <= 100 * 4 + 10
            leaf.go.set()

    async def test_law_11_through_two_coalescers_with_one_limiter(self) -> None:
        limiter = anyio.CapacityLimiter(1)
        async with (
            Coalescer[str, str](limiter=limiter) as one,
            Coalescer[str, str](limiter=limiter) as other,
        ):

            async def work() -> str:
                return await other.execute("B", calls(other))

            with anyio.fail_after(5), pytest.raises(DeadlockError):
                await one.execute("A", work)
        assert_idle(one)
        assert_idle(other)


class TestNoFalseAlarm:
    async def test_law_11_diamonds(self) -> None:
        async with Coalescer[str, str]() as coalescer:
            bottom = Work()

            async def side() -> str:
                return await coalescer.execute("D", bottom, "d")

            async def top() -> None:
                async with anyio.create_task_group() as tasks:
                    for key in "BC":
                        tasks.start_soon(coalescer.execute, key, side)

            async with anyio.create_task_group() as tasks:
                caller = await start(tasks, coalescer, "A", top)
                assert len(bottom.calls) == 1
                bottom.go.set()
            assert caller.outcome is None
        assert coalescer.statistics().joined == 1

    async def test_law_11_a_background_task_that_outlives_its_flight(self) -> None:
        async with Coalescer[str, str]() as coalescer, anyio.create_task_group() as background:
            go, caller = anyio.Event(), Caller()

            async def later() -> str:
                await go.wait()
                return await coalescer.execute("A", calls(coalescer))

            async def work() -> str:
                background.start_soon(caller.run, "scope", later)
                return "started"

            assert await coalescer.execute("A", work) == "started"
            go.set()
            await settle()
            assert caller.value == "end"

    async def test_law_11_a_background_task_may_wait_for_the_flight_that_started_it(self) -> None:
        async with Coalescer[str, str]() as coalescer, anyio.create_task_group() as background:
            caller, other = Caller(), Work()

            async def work() -> str:
                background.start_soon(
                    caller.run, "scope", lambda: coalescer.execute("A", calls(coalescer))
                )
                await settle()
                return await coalescer.execute("B", other, "of the flight")

            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    starter = await start(tasks, coalescer, "A", work)
                    assert coalescer.statistics().waiting == 3
                    other.go.set()
            await settle()
            assert starter.value == caller.value == "of the flight"

    async def test_law_11_a_flight_that_has_timed_out_waits_for_nobody_any_more(self) -> None:
        async with Coalescer[str, str](flight_timeout=0.01) as coalescer:

            async def work() -> str:
                with anyio.CancelScope(shield=True):
                    await expired.wait()
                    return await coalescer.execute("A", calls(coalescer))

            expired = anyio.Event()
            with pytest.raises(TimeoutError):
                await coalescer.execute("A", work)
            expired.set()
        assert_idle(coalescer)

    async def test_law_11_nothing_is_kept_of_waits_that_are_over(self) -> None:
        async with Coalescer[str, str]() as coalescer, anyio.create_task_group() as tasks:
            inner, outer = Work(), Work()

            async def work() -> str:
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    await coalescer.execute("B", inner)
                return str(await outer("after"))

            scopes: list[anyio.CancelScope] = []
            await start(tasks, coalescer, "A", work)
            (flight,) = [one for one in coalescer._table if one.key == "A"]
            assert len(flight.waits) == 1
            scopes[0].cancel()
            await settle()
            assert flight.waits == {}
            outer.go.set()


def test_law_11_in_tasks_of_asyncio_itself() -> None:
    async def main() -> None:
        async with Coalescer[str, Any]() as coalescer:

            async def gathering() -> Any:
                return await asyncio.gather(
                    coalescer.execute("B", calls(coalescer, "A")), asyncio.sleep(0)
                )

            with pytest.raises(DeadlockError) as caught:
                await coalescer.execute("A", gathering)
            assert caught.value.chain == ("B", "A", "B")

    asyncio.run(main())


def test_law_11_a_task_of_asyncio_with_a_context_of_its_own_is_no_part_of_the_work() -> None:
    async def main() -> None:
        async with Coalescer[str, str]() as coalescer:
            background: list[asyncio.Task[str]] = []

            async def work() -> str:
                join = coalescer.execute("A", calls(coalescer))
                background.append(asyncio.create_task(join, context=Context()))
                await settle()
                return "of the flight"

            await coalescer.execute("A", work)
            assert await background[0] == "of the flight"

    asyncio.run(main())


def random_graph(seed: int, size: int) -> dict[int, list[int]]:
    """Return for each key the keys that its work calls for at once: higher ones only."""
    random = Random(seed)
    return {
        key: random.sample(range(key + 1, size), k=min(random.randint(0, 3), size - key - 1))
        for key in range(size)
    }


async def run_graphs(coalescer: Coalescer[Any, None], seeds: range) -> None:
    """Call for every key of some graphs at once."""

    async def work(seed: int, graph: dict[int, list[int]], key: int) -> None:
        async with anyio.create_task_group() as tasks:
            for other in graph[key]:
                tasks.start_soon(coalescer.execute, (seed, other), work, seed, graph, other)

    async with anyio.create_task_group() as tasks:
        for seed in seeds:
            graph = random_graph(seed, 5)
            for key in graph:
                tasks.start_soon(coalescer.execute, (seed, key), work, seed, graph, key)


@pytest.mark.parametrize(
    ("backend", "first"),
    [(("asyncio", {}), 0), (("trio", {}), 5_000)],
    ids=["asyncio", "trio"],
)
def test_law_11_no_alarm_in_ten_thousand_random_graphs_without_circles(
    backend: Any, first: int
) -> None:
    name, options = backend

    async def main() -> None:
        async with Coalescer[Any, None]() as coalescer:
            for seed in range(first, first + 5_000, 50):
                await run_graphs(coalescer, range(seed, seed + 50))
        assert coalescer.statistics().joined > 5_000

    anyio.run(main, backend=name, backend_options=options)


@pytest.mark.parametrize("backend", [*ASYNCIO_BACKENDS[:1], TRIO_BACKEND])
@settings(max_examples=50)
@given(
    edges=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=10, unique=True),
    tokens=st.none() | st.integers(1, 3),
)
def test_law_11_in_random_graphs_nobody_hangs(
    backend: Any, edges: list[tuple[int, int]], tokens: int | None
) -> None:
    """With circles and few tokens: some are told, all end."""
    name, options = backend
    graph = {key: [to for start, to in edges if start == key] for key in range(6)}

    async def main() -> None:
        limiter = None if tokens is None else anyio.CapacityLimiter(tokens)
        async with Coalescer[int, None](limiter=limiter) as coalescer:

            async def work(key: int) -> None:
                async with anyio.create_task_group() as tasks:
                    for other in graph[key]:
                        tasks.start_soon(call, other)

            async def call(key: int) -> None:
                try:
                    await coalescer.execute(key, work, key)
                except DeadlockError as error:
                    told.append(error)

            told: list[DeadlockError] = []
            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    for key in graph:
                        tasks.start_soon(call, key)
            if tokens is None:
                assert told or not has_circle(graph)
                assert all(follows(graph, error.chain) for error in told)
        assert_idle(coalescer)

    anyio.run(main, backend=name, backend_options=options)


def has_circle(graph: dict[int, list[int]]) -> bool:
    reach = {key: set(others) for key, others in graph.items()}
    for _ in graph:
        for others in reach.values():
            others.update(*(reach[other] for other in tuple(others)))
    return any(key in others for key, others in reach.items())


def follows(graph: dict[int, list[int]], chain: tuple[Any, ...]) -> bool:
    return chain[0] == chain[-1] and all(to in graph[key] for key, to in pairwise(chain))


class Graph(_deadlock._Needs):
    """Flights, of whose needs all must end, and limiters, of whose one must."""

    def __init__(self, flights: int, needs: list[list[int]]) -> None:
        self.nodes: list[Any] = [
            LedFlight(number, (Work, ()), Context(), None, anyio.Event())
            if number < flights
            else anyio.CapacityLimiter(1)
            for number in range(len(needs))
        ]
        self.needs = {
            node: [self.nodes[other] for other in others]
            for node, others in zip(self.nodes, needs, strict=True)
        }

    def of(self, node: Any) -> Any:
        return self.needs[node]

    def can_end(self) -> set[Any]:
        """Say it in the plainest way: from nothing, again and again until nothing more can end."""
        ending: set[Any] = set()
        for _ in self.nodes:
            for node in self.nodes:
                rule = all if isinstance(node, LedFlight) else any
                if rule(other in ending for other in self.needs[node]):
                    ending.add(node)
        return ending

    def reach(self, start: Any, within: set[Any]) -> set[Any]:
        reached, unseen = {start}, [start]
        while unseen:
            new = set(self.needs[unseen.pop()]) & within - reached
            reached |= new
            unseen += new
        return reached


@settings(max_examples=500)
@given(data=st.data())
def test_law_11_what_can_never_end_is_found_as_by_the_plainest_rule(data: st.DataObject) -> None:
    flights, limiters = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 2))
    numbers = st.integers(0, flights + limiters - 1)
    needs = [data.draw(st.lists(numbers, max_size=4)) for _ in range(flights)]
    needs += [data.draw(st.lists(numbers, min_size=1, max_size=4)) for _ in range(limiters)]
    graph = Graph(flights, needs)
    ending = graph.can_end()
    for flight in graph.nodes[:flights]:
        stuck = _deadlock._stuck([flight], graph)
        assert stuck == (
            set() if flight in ending else graph.reach(flight, {*graph.nodes}) - ending
        )
        for caller in graph.nodes[:flights]:
            way = _deadlock._way([flight], caller, graph)
            if way is not None:
                assert (way[0], way[-1]) == (flight, caller)
                assert set(way) <= stuck
                assert all(to in graph.needs[one] for one, to in pairwise(way))
            else:
                assert flight not in stuck or caller not in graph.reach(flight, stuck)
