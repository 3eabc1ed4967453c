"""`across` with old values, early refreshes and errors: whatever is done, one process does it."""

from __future__ import annotations

import gc
import math
import traceback
import weakref
from typing import Any

import anyio
import pytest

from anyflight import MissingKeyError
from anyflight.lease import LeaseUnavailableError, MemoryStore, RemoteFlightError
from tests.cache.fleet import Member, fleet
from tests.cache.getting import Source, fill, start_get
from tests.support import HandClock, Work, settle

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("across_clock")]


class TestWhileRevalidate:
    async def test_a_refresh_in_one_process_is_adopted_by_another(
        self, across_clock: HandClock
    ) -> None:
        source = Source()
        async with fleet(2, stale_while_revalidate=5) as (one, two):
            await one.get("k", source)
            await two.get("k", source)
            across_clock.advance(11)
            assert await one.get("k", source) == 1
            await settle()
            assert one.peek() == source.calls == 2
            assert await two.get("k", source) == 1
            await settle()
            assert two.peek() == source.calls == 2
            assert two.cache.statistics().refreshes == 1
            assert two.cache.statistics().refresh_failures == 0

    async def test_refreshes_at_once_are_one(self, across_clock: HandClock) -> None:
        work = Work()
        async with fleet(5, stale_while_revalidate=5) as members:
            for member in members:
                await fill(member.cache, "k", "old")
            across_clock.advance(12)
            for member in members:
                assert await member.get("k", work, "new") == "old"
            await settle()
            work.go.set()
            await settle()
            assert len(work.calls) == 1
            assert {member.peek() for member in members} == {"new"}

    async def test_an_old_value_on_the_server_is_served_and_revalidated(
        self, across_clock: HandClock
    ) -> None:
        store, source = MemoryStore(), Source()
        async with fleet(1, store, stale_while_revalidate=5) as (one,):
            await fill(one.cache, "k", "old")
        across_clock.advance(12)
        async with fleet(1, store, stale_while_revalidate=5) as (two,):
            assert await two.get("k", source) == "old"
            assert source.calls == 0
            assert await two.get("k", source) == "old"
            await settle()
            assert two.peek() == source.calls == 1

    async def test_if_it_fails_all_go_on_with_what_they_have(self, across_clock: HandClock) -> None:
        work = Work(fail=OSError("down"))
        async with fleet(2, stale_while_revalidate=5) as members:
            for member in members:
                await fill(member.cache, "k", "old")
            across_clock.advance(12)
            for member in members:
                assert await member.get("k", work) == "old"
            await settle()
            work.go.set()
            await settle()
            assert len(work.calls) == 1
            for member in members:
                assert member.peek() == "old"
                assert member.cache.statistics().refresh_failures == 1


class TestRefreshAhead:
    async def test_an_early_refresh_is_adopted_too_but_not_what_it_is_to_replace(
        self, across_clock: HandClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def work() -> float:
            across_clock.advance(costs.pop())
            return across_clock.now

        costs = [0.5, 2.0]
        async with fleet(2, refresh_ahead=1) as (one, two):
            for member in (one, two):
                monkeypatch.setattr(type(member.cache._first), "draw", lambda _: math.exp(-1))
                assert await member.get("k", work) == 2
            across_clock.now = 10.5  # it expires at 12
            assert await one.get("k", work) == 2
            await settle()
            assert one.peek() == across_clock.now == 11
            assert await two.get("k", work) == 2
            await settle()
            assert two.peek() == across_clock.now == 11


class TestIfError:
    async def test_all_who_wait_for_work_that_fails_elsewhere_get_the_old_value(
        self, across_clock: HandClock
    ) -> None:
        work = Work(fail=OSError("down"))
        async with fleet(3, stale_if_error=5) as members, anyio.create_task_group() as tasks:
            for member in members:
                await fill(member.cache, "k", "old")
            across_clock.advance(12)
            callers = [await start_get(tasks, each.cache, "k", work) for each in members]
            work.go.set()
            await settle()
            assert [caller.value for caller in callers] == ["old"] * 3
            assert len(work.calls) == 1

    async def test_so_does_a_process_that_has_it_from_the_server(
        self, across_clock: HandClock
    ) -> None:
        store, source = MemoryStore(), Source()
        async with fleet(1, store, stale_if_error=5) as (one,):
            await fill(one.cache, "k", "old")
        source.fail = OSError("down")
        async with fleet(1, store, stale_if_error=5) as (two,):
            across_clock.advance(12)
            assert await two.get("k", source) == "old"
            assert source.calls == 1
            across_clock.advance(3)
            with pytest.raises(OSError, match="down"):
                await two.get("k", source)


class TestErrors:
    async def test_others_who_wait_get_a_remote_error_and_those_who_come_later_do_not(self) -> None:
        work = Work(fail=KeyError("nobody"))
        source = Source()
        async with fleet(2) as (one, two), anyio.create_task_group() as tasks:
            mine = await start_get(tasks, one.cache, "k", work)
            theirs = await start_get(tasks, two.cache, "k", source)
            work.go.set()
            await settle()
            assert isinstance(mine.outcome, KeyError)
            assert isinstance(theirs.outcome, RemoteFlightError)
            assert theirs.outcome.key == "k"
            assert theirs.outcome.type_name == "builtins.KeyError"
            assert theirs.outcome.message == "'nobody'"
            assert await two.get("k", source) == 1

    async def test_each_process_keeps_errors_of_the_classes_that_it_names(
        self, across_clock: HandClock
    ) -> None:
        work = Work(fail=KeyError("nobody"))
        source = Source()
        options: list[dict[Any, float]] = [
            {LookupError: 5, RemoteFlightError: 3},
            {LookupError: 5, RemoteFlightError: 3},
            {LookupError: 5},
        ]
        store = MemoryStore()
        async with (
            fleet(1, store, error_ttl=options[0]) as (one,),
            fleet(1, store, error_ttl=options[1]) as (two,),
            fleet(1, store, error_ttl=options[2]) as (three,),
            anyio.create_task_group() as tasks,
        ):
            for member in (one, two, three):
                await start_get(tasks, member.cache, "k", work)
            work.go.set()
            await settle()
            across_clock.advance(2)
            with pytest.raises(KeyError, match="nobody"):
                await one.get("k", source)
            for _ in range(2):
                with pytest.raises(RemoteFlightError, match="nobody"):
                    await two.get("k", source)
            assert source.calls == 0
            assert await three.get("k", source) == 1
            across_clock.advance(1)
            assert await two.get("k", source) == 1
            with pytest.raises(KeyError, match="nobody"):
                await one.get("k", source)

    async def test_the_news_that_there_is_no_value_is_the_same_everywhere(
        self, across_clock: HandClock
    ) -> None:
        work = Work(fail=MissingKeyError("there is no value for key 'k'", "k"))
        options = {"error_ttl": {MissingKeyError: 3}, "stale_if_error": 50}
        async with fleet(2, **options) as members, anyio.create_task_group() as tasks:
            for member in members:
                await fill(member.cache, "k", "old")
            across_clock.advance(10)
            callers = [await start_get(tasks, each.cache, "k", work) for each in members]
            work.go.set()
            await settle()
            for caller, member in zip(callers, members, strict=True):
                assert isinstance(caller.outcome, MissingKeyError)
                assert caller.outcome.key == "k"
                assert str(caller.outcome) == "there is no value for key 'k'"
                across_clock.advance(0.1)
                with pytest.raises(MissingKeyError):
                    await member.get("k", work)
            assert len(work.calls) == 1

    async def test_it_takes_the_place_of_a_value_on_the_server(
        self, across_clock: HandClock
    ) -> None:
        """Else an old one that may be served while it is revalidated came from there again."""
        source = Source()
        async with fleet(2, stale_while_revalidate=50) as (one, two):
            await fill(one.cache, "k", "old")
            across_clock.advance(10)
            source.fail = MissingKeyError("there is no value for key 'k'", "k")
            assert await one.get("k", source) == "old"
            await settle()
            for number, member in enumerate((one, two, one, two)):
                with pytest.raises(MissingKeyError):
                    await member.get("k", source)
                assert source.calls == number + 2
            across_clock.advance(30)  # long after the news is gone from the server
            with pytest.raises(MissingKeyError):
                await two.get("k", source)

    async def test_an_error_that_is_kept_goes_with_its_tag_in_all_processes(self) -> None:
        work = Work(fail=KeyError("nobody"))
        options: dict[str, Any] = {"error_ttl": {Exception: 5}}
        async with fleet(2, **options) as (one, two), anyio.create_task_group() as tasks:
            for member in (one, two):
                await start_get(tasks, member.cache, "k", work, tags=["a"])
            work.go.set()
            await settle()
            assert [each.cache.statistics().entries for each in (one, two)] == [1, 1]
            await two.cache.invalidate_tag("a")
            assert [each.cache.statistics().entries for each in (one, two)] == [0, 0]


async def test_a_fresh_call_gets_nothing_that_was_read_before_it_in_any_process() -> None:
    database, gates = 0, list[anyio.Event]()

    async def read() -> int:
        found = database
        gates.append(anyio.Event())
        await gates[-1].wait()
        return found

    async def start_fresh(member: Member) -> Any:
        return await start_get(tasks, member.cache, "k", read, fresh=True)

    async with fleet(3) as (one, two, three), anyio.create_task_group() as tasks:
        before = await start_fresh(one)
        database = 1
        after = [await start_fresh(each) for each in (two, three)]
        plain = await start_get(tasks, three.cache, "k", read)
        gates[0].set()
        await settle()
        assert before.value == 0
        assert one.peek() == 0
        database = 2
        gates[1].set()
        await settle()
        assert [caller.value for caller in (*after, plain)] == [1, 1, 1]
        assert len(gates) == 2
        assert (two.peek(), three.peek()) == (1, 1)
        last = await start_fresh(one)  # nothing that is kept will do
        gates[2].set()
        await settle()
        assert last.value == one.peek() == 2


async def test_what_a_fresh_call_gets_from_another_process_is_kept_though_it_expires_sooner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work, draw = Work(), 1.0
    async with fleet(3, ttl_jitter=0.9) as (one, two, three), anyio.create_task_group() as tasks:
        monkeypatch.setattr(type(one.cache._first), "draw", lambda _: draw)
        await fill(two.cache, "k", "old")
        await start_get(tasks, one.cache, "k", work, "first", fresh=True)
        call = await start_get(tasks, two.cache, "k", work, "second", fresh=True)
        await start_get(tasks, three.cache, "k", work, "second", fresh=True)
        gate, draw = two.hold("acquire"), 0.1
        work.go.set()
        await settle()
        gate.set()
        await settle()
        assert call.value == two.peek() == "second"
        assert len(work.calls) == 2


class TestErrorsFromWithin:
    """The work itself uses what is shared across processes, and fails with what that raises."""

    @pytest.mark.parametrize("name", ["builtins.KeyError", "anyflight.MissingKeyError"])
    async def test_an_error_of_another_lease_is_one_of_the_work(self, name: str) -> None:
        async def work() -> str:
            raise RemoteFlightError("it failed", "k", name, "it failed")

        async with fleet(1, error_ttl={RemoteFlightError: 5}) as (one,):
            for _ in range(2):
                with pytest.raises(RemoteFlightError, match="it failed"):
                    await one.get("k", work)
            assert one.cache.statistics().kept_errors == 1

    async def test_what_is_no_error_of_the_work_is_not_kept(self, across_clock: HandClock) -> None:
        """The lease is lost, the work makes an error of its cancellation, the server is gone."""

        async def work() -> str:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                raise KeyError("of a cancellation") from None
            raise AssertionError

        lease = {"on_unreachable": "raise"}
        cache: dict[str, Any] = {"error_ttl": {Exception: 50}}
        async with fleet(1, lease=lease, **cache) as (one,), anyio.create_task_group() as tasks:
            call = await start_get(tasks, one.cache, "k", work)
            one.store.down = ConnectionError("lost")
            for _ in range(3):
                across_clock.advance(3)
                await settle()
            assert isinstance(call.outcome, LeaseUnavailableError)
            one.store.down = None
            across_clock.advance(1)
            assert await one.get("k", Source()) == 1


class TestKeptErrors:
    @staticmethod
    async def fail(members: list[Member], argument: Any = None) -> None:
        async def work(_argument: Any) -> str:
            del _argument
            await go.wait()
            raise KeyError("nobody")

        go = anyio.Event()
        async with anyio.create_task_group() as tasks:
            for member in members:
                await start_get(tasks, member.cache, "k", work, argument)
            go.set()
            await settle()

    async def test_they_keep_nothing_of_the_call_alive(self) -> None:
        class Argument:
            pass

        argument = Argument()
        reference = weakref.ref(argument)
        async with fleet(2, error_ttl={Exception: 5}) as members:
            await self.fail(members, argument)
            del argument
            await settle()
            gc.collect()
            assert [each.cache.statistics().entries for each in members] == [1, 1]
            assert reference() is None

    async def test_their_tracebacks_show_the_work_and_nothing_of_the_cache(self) -> None:
        async with fleet(2, error_ttl={Exception: 5}) as members:
            await self.fail(members)
            names = []
            for member in members:
                with pytest.raises((KeyError, RemoteFlightError)) as caught:
                    await member.get("k", Source())
                frames = traceback.extract_tb(caught.value.__traceback__)
                names.append([frame.name for frame in frames])
            assert names[0][-3:] == ["raise_kept", "called", "work"]
            assert names[1][-1] == "raise_kept"
