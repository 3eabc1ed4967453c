"""`Coalescer(across=lease)`: each flight is one call of the lease."""

from __future__ import annotations

import contextvars
import re
from types import TracebackType
from typing import Any, Self

import anyio
import pytest
from anyio import to_thread

from anyflight import (
    BatchLoader,
    Coalescer,
    DeadlockError,
    FlightTimeoutError,
    coalesced,
)
from anyflight.lease import (
    Lease,
    LeaseUnavailableError,
    MemoryStore,
    RemoteFlightError,
    fencing_number,
)
from tests.lease.leasing import Process, block
from tests.support import CANCELLED, PENDING, HandClock, Work, assert_idle, settle, start

pytestmark = pytest.mark.anyio


class Shop:
    """A process with a coalescer for its flights."""

    def __init__(self, memory: MemoryStore, **options: Any) -> None:
        self.process = Process(memory, ttl=9)
        self.flights = Coalescer[str, Any](across=self.process.lease, **options)

    async def __aenter__(self) -> Self:
        await self.process.__aenter__()
        await self.flights.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.flights.__aexit__(exc_type, exc, traceback)
        await self.process.__aexit__(exc_type, exc, traceback)
        if exc is None:
            assert_idle(self.flights)
            self.process.assert_settled()


async def at_once(value: Any = 1) -> Any:
    return value


class TestFlights:
    async def test_each_is_one_call_of_the_lease_however_many_wait(self) -> None:
        memory, work = MemoryStore(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            callers = [
                await start(tasks, shop.flights, "k", work, number)
                for number in range(3)
                for shop in (one, two)
            ]
            assert len(work.calls) == 1
            work.go.set()
            await settle()
            assert [caller.value for caller in callers] == [0] * 6
            assert one.process.counts.calls == two.process.counts.calls == 1
            assert (one.process.counts.ran, two.process.counts.shared) == (1, 1)
            assert one.flights.statistics().joined == 2

    async def test_their_errors_are_copies_for_each_that_waits(self) -> None:
        memory, work = MemoryStore(), Work(fail=ValueError("broken"))
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            here = [await start(tasks, one.flights, "k", work) for _ in range(2)]
            there = [await start(tasks, two.flights, "k", work) for _ in range(2)]
            work.go.set()
            await settle()
            assert [repr(caller.outcome) for caller in here] == ["ValueError('broken')"] * 2
            for caller in there:
                assert isinstance(caller.outcome, RemoteFlightError)
                assert caller.outcome.key == "k"
                assert caller.outcome.message == "broken"
            assert there[0].outcome is not there[1].outcome
            assert here[0].outcome is not here[1].outcome

    async def test_one_that_everybody_has_left_gives_back_its_lease(self) -> None:
        memory, work = MemoryStore(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            first = await start(tasks, one.flights, "k", work, 1)
            second = await start(tasks, two.flights, "k", work, 2)
            first.cancel()
            await settle()
            work.go.set()
            await settle()
            assert (first.outcome, second.outcome) == (CANCELLED, 2)

    async def test_unless_it_is_to_finish(self) -> None:
        memory, work = MemoryStore(), Work()
        async with (
            Shop(memory, on_abandon="finish") as one,
            Shop(memory) as two,
            anyio.create_task_group() as tasks,
        ):
            first = await start(tasks, one.flights, "k", work, 1)
            second = await start(tasks, two.flights, "k", work, 2)
            first.cancel()
            await settle()
            work.go.set()
            await settle()
            assert (first.outcome, second.outcome) == (CANCELLED, 1)

    async def test_joiners_of_a_remote_failure_may_fly_once_more_together(self) -> None:
        memory, work, again = MemoryStore(), Work(fail=ValueError("broken")), Work()
        async with (
            Shop(memory) as one,
            Shop(memory, retry_on=RemoteFlightError) as two,
            anyio.create_task_group() as tasks,
        ):
            await start(tasks, one.flights, "k", work)
            starter = await start(tasks, two.flights, "k", again, 1)
            joiners = [await start(tasks, two.flights, "k", again, number) for number in (2, 3)]
            work.go.set()
            await settle()
            again.go.set()
            await settle()
            assert isinstance(starter.outcome, RemoteFlightError)
            ((value,),) = again.calls
            assert [joiner.outcome for joiner in joiners] == [value, value]
            assert two.flights.statistics().retried == 2

    async def test_without_the_server_they_are_shared_here(self) -> None:
        memory, work = MemoryStore(), Work()
        async with Shop(memory) as shop, anyio.create_task_group() as tasks:
            shop.process.store.down = ConnectionError("down")
            callers = [await start(tasks, shop.flights, "k", work, number) for number in range(3)]
            work.go.set()
            await settle()
            assert [caller.value for caller in callers] == [0, 0, 0]
            assert shop.process.counts.ran_unreachable == 1

    async def test_a_refusal_for_want_of_the_server_is_everybodys(self) -> None:
        process = Process(MemoryStore(), on_unreachable="raise")
        flights = Coalescer[str, Any](across=process.lease)
        async with process, flights:
            process.store.down = ConnectionError("down")
            with pytest.raises(LeaseUnavailableError):
                await flights.execute("k", at_once)

    async def test_a_bad_key_is_an_error_of_the_flight(self) -> None:
        async with Shop(MemoryStore()) as shop:
            with pytest.raises(TypeError, match="a key must be a string, not 1"):
                await shop.flights.execute(1, at_once)  # type: ignore[arg-type]

    async def test_the_work_sees_the_context_of_the_call(self) -> None:
        async def work() -> str:
            assert fencing_number() is not None
            return tenant.get()

        tenant = contextvars.ContextVar[str]("tenant")
        tenant.set("ours")
        async with Shop(MemoryStore()) as shop:
            assert await shop.flights.execute("k", work) == "ours"

    async def test_a_circle_of_flights_is_found(self) -> None:
        async def work(key: str) -> Any:
            return await shop.flights.execute(key, work, "a")

        async with Shop(MemoryStore()) as shop:
            with pytest.raises(DeadlockError) as caught:
                await shop.flights.execute("a", work, "b")
            assert caught.value.chain == ("b", "a", "b")

    async def test_those_of_a_decorated_function_may_be_shared_too(self) -> None:
        async def fetch(name: str) -> Any:
            return await work(name)

        memory, work = MemoryStore(), Work()
        one, two = Process(memory), Process(memory)
        here = coalesced(across=one.lease, key=lambda name: name)(fetch)
        there = coalesced(across=two.lease, key=lambda name: name)(fetch)
        async with one, two, here.coalescer, there.coalescer, anyio.create_task_group() as tasks:
            tasks.start_soon(here, "k")
            tasks.start_soon(there, "k")
            await settle()
            work.go.set()
        assert len(work.calls) == 1


class TestFresh:
    async def test_a_fresh_call_that_joins_what_has_not_begun_makes_it_fresh_everywhere(
        self,
    ) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        limiter = anyio.CapacityLimiter(1)
        async with (
            Shop(memory) as one,
            Shop(memory, limiter=limiter) as two,
            anyio.create_task_group() as tasks,
        ):
            await start(tasks, one.flights, "k", old, "old")
            await limiter.acquire_on_behalf_of("somebody")
            plain = await start(tasks, two.flights, "k", new, "new")
            fresh = await start(tasks, two.flights, "k", new, "fresh", fresh=True)
            assert two.flights.statistics().joined == 1
            limiter.release_on_behalf_of("somebody")
            await settle()
            old.go.set()
            await settle()
            assert plain.outcome is PENDING
            new.go.set()
            await settle()
            assert (plain.value, fresh.value) == ("new", "new")

    async def test_one_that_is_queued_asks_for_what_is_fresh_when_it_takes_off(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            await start(tasks, one.flights, "k", old, "old")
            plain = await start(tasks, two.flights, "k", new, "plain")
            fresh = await start(tasks, two.flights, "k", new, "fresh", fresh=True)
            other = await start(tasks, one.flights, "k", new, "other", fresh=True)
            old.go.set()
            await settle()
            assert plain.value == "old"
            assert len(new.calls) == 1
            new.go.set()
            await settle()
            assert {fresh.value, other.value} <= {"fresh", "other"}
        assert new.most_running == 1


class TestForgetting:
    async def test_the_next_flight_does_not_join_by_way_of_the_lease(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as shop, anyio.create_task_group() as tasks:
            first = await start(tasks, shop.flights, "k", old, "old")
            assert shop.flights.forget("k")
            second = await start(tasks, shop.flights, "k", new, "new")
            third = await start(tasks, shop.flights, "k", new, "third")
            assert new.calls == []  # a lease lets no executions overlap
            old.go.set()
            new.go.set()
            await settle()
            assert (first.value, second.value, third.value) == ("old", "new", "new")

    async def test_nor_what_a_forgotten_one_waits_for(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            await start(tasks, one.flights, "k", old, "old")
            first = await start(tasks, two.flights, "k", new, "first")
            assert two.flights.forget("k")
            second = await start(tasks, two.flights, "k", new, "second")
            new.go.set()
            old.go.set()
            await settle()
            assert (first.value, second.value) == ("old", "second")

    async def test_nor_any_that_was_forgotten_before(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as shop, anyio.create_task_group() as tasks:
            first = await start(tasks, shop.flights, "k", old, "old")
            shop.flights.forget("k")
            second = await start(tasks, shop.flights, "k", new, "second")
            shop.flights.forget("k")
            second.cancel()
            await settle()
            third = await start(tasks, shop.flights, "k", new, "third")
            old.go.set()
            new.go.set()
            await settle()
            assert (first.value, second.outcome, third.value) == ("old", CANCELLED, "third")

    async def test_when_the_forgotten_one_has_landed_the_next_may_join_others(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            await start(tasks, one.flights, "k", old, "old")
            one.flights.forget("k")
            old.go.set()
            await settle()
            await start(tasks, two.flights, "k", new, "new")
            joined = await start(tasks, one.flights, "k", at_once, "own")
            new.go.set()
            await settle()
            assert joined.value == "new"

    async def test_other_keys_have_nothing_to_do_with_it(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            await start(tasks, one.flights, "a", old, "old")
            one.flights.forget("a")
            await start(tasks, two.flights, "b", new, "new")
            joined = await start(tasks, one.flights, "b", at_once, "own")
            new.go.set()
            old.go.set()
            await settle()
            assert joined.value == "new"


class TestInvalidating:
    @pytest.mark.parametrize("who", ["here", "there"])
    async def test_what_runs_here_is_not_joined_any_more_and_serves_those_it_has(
        self, who: str
    ) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            first = await start(tasks, one.flights, "k", old, "old")
            await (one if who == "here" else two).process.lease.invalidate("k")
            await settle()
            second = await start(tasks, one.flights, "k", new, "new")
            third = await start(tasks, two.flights, "k", new, "third")
            assert (old.running, new.running) == (1, 1)
            old.go.set()
            new.go.set()
            await settle()
            assert (first.value, second.value, third.value) == ("old", "new", "new")

    async def test_what_waits_for_another_process_may_be_joined(self) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            await start(tasks, one.flights, "k", old, "old")
            first = await start(tasks, two.flights, "k", new, "first")
            await one.process.lease.invalidate("k")
            second = await start(tasks, two.flights, "k", new, "second")
            assert two.flights.statistics().joined == 1
            new.go.set()
            old.go.set()
            await settle()
            assert first.value == second.value == "first"

    async def test_what_has_not_begun_may_be_joined(self) -> None:
        memory, old = MemoryStore(), Work()
        async with Shop(memory) as shop, anyio.create_task_group() as tasks:
            await start(tasks, shop.flights, "k", old, "old")
            shop.flights.forget("k")
            limited = anyio.CapacityLimiter(1)
            async with limited:
                others = Coalescer[str, Any](across=shop.process.lease, limiter=limited)
                async with others:
                    first = await start(tasks, others, "k", at_once, "first")
                    await shop.process.lease.invalidate("k")
                    second = await start(tasks, others, "k", at_once, "second")
                    assert others.statistics().joined == 1
                    limited.release()
                    await settle()
                    await limited.acquire()
            assert first.value == second.value == "first"
            old.go.set()

    async def test_a_coalescer_that_is_closed_does_not_care(self) -> None:
        process = Process(MemoryStore())
        flights = Coalescer[str, Any](across=process.lease)
        async with process:
            async with flights:
                pass
            await process.lease.execute("k", process.lease.invalidate, "k")

    @pytest.mark.parametrize("invalidated", [False, True])
    async def test_after_a_time_without_a_subscription_the_server_says_whether_it_was(
        self, clock: HandClock, invalidated: bool
    ) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as one, Shop(memory) as two, anyio.create_task_group() as tasks:
            first = await start(tasks, one.flights, "k", old, "old")
            one.process.store.cut()
            await settle()
            if invalidated:
                await two.process.lease.invalidate("k")
            clock.advance(0.05)
            await settle()
            second = await start(tasks, one.flights, "k", new, "new")
            assert one.process.counts.reconnects == 1
            old.go.set()
            new.go.set()
            await settle()
            assert (first.value, second.value) == ("old", "new" if invalidated else "old")

    async def test_what_runs_without_the_server_is_not_joined_any_more_when_it_is_there_again(
        self, clock: HandClock
    ) -> None:
        memory, old, new = MemoryStore(), Work(), Work()
        async with Shop(memory) as shop, anyio.create_task_group() as tasks:
            shop.process.store.down = ConnectionError()
            shop.process.store.cut()
            first = await start(tasks, shop.flights, "k", old, "old")
            shop.process.store.down = None
            clock.advance(1)
            await settle()
            second = await start(tasks, shop.flights, "k", new, "new")
            old.go.set()
            new.go.set()
            await settle()
            assert (first.value, second.value) == ("old", "new")


class TestFlightTimeout:
    async def test_work_that_ignores_it_has_its_lease_renewed_no_more(
        self, clock: HandClock
    ) -> None:
        async def stubborn() -> None:
            with anyio.CancelScope(shield=True):
                await go.wait()

        memory, go = MemoryStore(), anyio.Event()
        async with (
            Shop(memory, flight_timeout=4) as one,
            Shop(memory) as two,
            anyio.create_task_group() as tasks,
        ):
            first = await start(tasks, one.flights, "k", stubborn)
            second = await start(tasks, two.flights, "k", at_once, 2)
            for seconds in (3, 1, 2, 3, 3):
                clock.advance(seconds)
                await settle()
            assert isinstance(first.outcome, FlightTimeoutError)
            assert second.value == 2
            assert one.process.store.requests.count("renew") == 1
            go.set()

    async def test_nor_is_that_of_a_forgotten_flight_had_by_way_of_the_lease(
        self, clock: HandClock
    ) -> None:
        async def stubborn() -> str:
            with anyio.CancelScope(shield=True):
                await go.wait()
            return "old"

        memory, go = MemoryStore(), anyio.Event()
        async with Shop(memory, flight_timeout=4) as shop, anyio.create_task_group() as tasks:
            first = await start(tasks, shop.flights, "k", stubborn)
            shop.flights.forget("k")
            clock.advance(4)
            await settle()
            second = await start(tasks, shop.flights, "k", at_once, "new")
            go.set()
            await settle()
            assert isinstance(first.outcome, FlightTimeoutError)
            assert second.value == "new"
            assert shop.process.counts.committed == 2

    async def test_nor_is_any_that_outlives_its_flight(self, clock: HandClock) -> None:
        """As without a lease: a call that is made when the time was over begins anew."""

        async def stubborn() -> str:
            with anyio.CancelScope(shield=True):
                await go.wait()
            return "old"

        memory, go = MemoryStore(), anyio.Event()
        async with Shop(memory, flight_timeout=4) as shop, anyio.create_task_group() as tasks:
            first = await start(tasks, shop.flights, "k", stubborn)
            clock.advance(4)
            await settle()
            assert isinstance(first.outcome, FlightTimeoutError)
            second = await start(tasks, shop.flights, "k", at_once, "new")
            go.set()
            await settle()
            assert second.value == "new"

    async def test_one_that_does_not_gives_it_back(self, clock: HandClock) -> None:
        memory, work = MemoryStore(), Work()
        async with (
            Shop(memory, flight_timeout=4) as one,
            Shop(memory) as two,
            anyio.create_task_group() as tasks,
        ):
            await start(tasks, one.flights, "k", work, 1)
            second = await start(tasks, two.flights, "k", at_once, 2)
            clock.advance(4)
            await settle()
            assert second.value == 2


async def test_in_shadow_mode_no_lease_is_asked_for() -> None:
    async with Shop(MemoryStore(), shadow=True) as shop, anyio.create_task_group() as tasks:
        work = Work()
        callers = [await start(tasks, shop.flights, "k", work, number) for number in range(2)]
        work.go.set()
        await settle()
        assert [caller.value for caller in callers] == [0, 1]
        assert shop.process.counts.calls == 0


class TestOpening:
    async def test_the_lease_must_be_open_before(self) -> None:
        process = Process(MemoryStore(), name="users")
        flights = Coalescer[str, Any](across=process.lease)
        message = "Lease 'users' (new) is not open: open it with 'async with' before what uses it"
        with pytest.raises(RuntimeError, match=re.escape(message)):
            await flights.__aenter__()
        async with process, flights:
            assert await flights.execute("k", at_once) == 1
        with pytest.raises(RuntimeError, match=re.escape("'users' (closed) is not open")):
            await flights.__aenter__()

    async def test_it_must_be_open_in_the_same_event_loop(self) -> None:
        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="belongs to another event loop or thread"):
                await flights.__aenter__()

        process = Process(MemoryStore())
        flights = Coalescer[str, Any](across=process.lease)
        async with process:
            await to_thread.run_sync(anyio.run, elsewhere)

    async def test_one_lease_serves_many(self) -> None:
        memory, work = MemoryStore(), Work()
        process = Process(memory)
        one, two = (Coalescer[str, Any](across=process.lease) for _ in range(2))
        async with process, one, two, anyio.create_task_group() as tasks:
            first = await start(tasks, one, "k", work, 1)
            second = await start(tasks, two, "k", work, 2)
            work.go.set()
            await settle()
            assert first.value == second.value == 1

    async def test_flights_of_a_lease_that_is_closed_too_early_say_so(self) -> None:
        process = Process(MemoryStore())
        flights = Coalescer[str, Any](across=process.lease)
        async with anyio.create_task_group() as tasks:
            closing = await block(tasks, process)
            async with flights:
                assert await flights.execute("k", at_once) == 1
                closing.go.set()
                await settle()
                with pytest.raises(anyio.ClosedResourceError, match="Lease 'lease'"):
                    await flights.execute("k", at_once)

    def test_it_is_a_lease(self) -> None:
        with pytest.raises(
            TypeError, match=r"^across must be of type anyflight\.lease\.Lease, not"
        ):
            Coalescer[str, Any](across=MemoryStore())  # type: ignore[arg-type]

    def test_with_it_there_is_no_age_at_which_to_join(self) -> None:
        lease = Lease[str](MemoryStore())
        with pytest.raises(ValueError, match="max_join_age cannot be had with across"):
            Coalescer[str, Any](across=lease, max_join_age=1)
        with pytest.raises(ValueError, match="max_join_age cannot be had with across"):
            coalesced(across=lease, max_join_age=1)(at_once)


def test_a_batch_loader_has_none() -> None:
    with pytest.raises(TypeError, match="across"):
        BatchLoader(at_once, across=Lease[str](MemoryStore()))  # type: ignore[call-arg]
