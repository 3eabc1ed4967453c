"""Plays a program: processes, their calls, and what befalls them, in one event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from random import Random
from typing import Any, TypeVar, TypeVarTuple, Unpack

import trio

from anyflight import Coalescer
from anyflight.lease import Lease
from proof.history import CANCELLED, FOREVER
from proof.lease.client import Client, taking_part
from proof.lease.freezer import living_in
from proof.lease.history import Called, Forgot, Invalidated, LeaseHistory, Lived, Part
from proof.lease.leftovers import left_in, left_on_the_server, use_again
from proof.lease.luck import luck
from proof.lease.network import Network
from proof.lease.plans import Call, Forget, Invalidation, LeaseProgram
from proof.lease.troubles import Troubles
from proof.lease.work import LARGEST, WorkCodec, perform

V = TypeVar("V")
Ts = TypeVarTuple("Ts")

PATIENCE = 300.0
"""Seconds after which whoever still waits hangs. No program takes a tenth of that."""


class WatchedLease(Lease[str]):
    """A lease that writes down when its calls are made, and what becomes of them."""

    history: LeaseHistory

    async def execute(
        self,
        key: str,
        func: Callable[[Unpack[Ts]], Awaitable[V]],
        *args: Unpack[Ts],
        fresh: bool = False,
    ) -> V:
        """See :class:`Lease`."""
        history, process = self.history, living_in.get()
        assert process is not None
        part = Part(len(history.parts), process, key, fresh, began=history.note())
        history.parts.append(part)
        token = taking_part.set(part)
        try:
            value = await super().execute(key, func, *args, fresh=fresh)
            part.outcome = value
        except Exception as exc:
            part.outcome = exc
            raise
        except trio.Cancelled:
            part.outcome = CANCELLED
            raise
        else:
            return value
        finally:
            taking_part.reset(token)
            part.ended = history.note(part, "of", process, "ends with", part.outcome)


class LeaseWorld:
    """The processes of a program, their network, and their history."""

    def __init__(self, program: LeaseProgram) -> None:
        self.program = program
        self.history = LeaseHistory()
        self.network: Network
        self._troubles: Troubles
        self._over: trio.Event

    async def play(self) -> LeaseHistory:
        """Run the program to its end, whatever that is."""
        history, program = self.history, self.program
        history.clock = trio.current_time
        with luck(program.luck):
            self._over = trio.Event()
            self.network = Network(program.net, Random(f"network {program.luck}"), history)
            self._troubles = Troubles(history, self.network, self._look_who_lives)
            async with trio.open_nursery() as nursery:
                try:
                    nursery.start_soon(self.network.agenda.keep)
                    await self._play(nursery)
                finally:
                    self._bury(nursery)
        history.end()
        return history

    async def _play(self, nursery: trio.Nursery) -> None:
        history = self.history
        for number, plan in enumerate(self.program.processes):
            history.processes.append(Lived(number, plan))
            nursery.start_soon(self._live, history.processes[number])
        self._troubles.plan(self.program.troubles)
        self._look_who_lives()  # a program can be made so small that nobody does
        with trio.move_on_after(PATIENCE) as patience:
            await self._over.wait()
        if patience.cancelled_caught:
            history.remark(25, "somebody waits for ever")
        history.over = history.note("all processes are gone")
        await self._look_at_what_is_left()

    async def _look_at_what_is_left(self) -> None:
        history, times = self.history, self.program.times
        # Until all has expired, were it asked for now, and what is on its way has arrived.
        await trio.sleep(2 * self.program.net.slowest + times.ttl + times.outcome_ttl + 1)
        history.remarks.extend((32, text) for text in left_on_the_server(history))
        await use_again(self.network.server.store, self.program.all_keys(), history)

    def _bury(self, nursery: trio.Nursery) -> None:
        """Let the tasks end of those who were killed."""
        self.network.close()
        nursery.cancel_scope.cancel()
        self._troubles.end()

    # The processes

    async def _live(self, process: Lived) -> None:
        living_in.set(process)
        plan, history, lease = process.plan, self.history, self._lease(process)
        with process.scope:
            await trio.sleep(plan.opens)
            async with AsyncExitStack() as stack:
                subject: Any = await stack.enter_async_context(lease)
                if plan.coalesces:
                    subject = await stack.enter_async_context(_coalescer(process, lease))
                async with trio.open_nursery() as calls:
                    for call in plan.calls:
                        calls.start_soon(self._call, process, subject, call)
                    for invalidation in plan.invalidations:
                        calls.start_soon(self._write, process, lease, subject, invalidation)
                    for forget in plan.forgets if plan.coalesces else ():
                        calls.start_soon(self._forget, process, subject, forget)
        if process.killed is FOREVER:
            process.statistics = lease.statistics()
            history.remarks.extend((32, text) for text in left_in(lease))
        process.left = self.history.note(process, "ends")
        self._look_who_lives()

    def _look_who_lives(self) -> None:
        if all(process.is_gone for process in self.history.processes):
            self._over.set()

    def _lease(self, process: Lived) -> WatchedLease:
        plan, times = process.plan, self.program.times
        lease = WatchedLease(
            Client(process, self.network, self.history),
            name=str(process),
            ttl=times.ttl / plan.rate,
            poll_interval=times.poll_interval / plan.rate,
            outcome_ttl=times.outcome_ttl / plan.rate,
            request_timeout=times.request_timeout / plan.rate,
            retry_interval=times.retry_interval / plan.rate,
            max_value_bytes=LARGEST,
            codec=WorkCodec(),
            on_lost=plan.on_lost,
            on_unreachable=plan.on_unreachable,
        )
        lease.history = self.history
        return lease

    async def _call(self, process: Lived, subject: Any, plan: Call) -> None:
        history = self.history
        await trio.sleep(plan.at)
        with trio.CancelScope() as scope:
            made = history.note("call", len(history.calls), "of", process, plan)
            call = Called(len(history.calls), plan, process, made)
            history.calls.append(call)
            if plan.cancel is not None:
                scope.deadline = call.cancelled = call.made.time + plan.cancel
            try:
                call.outcome = await subject.execute(
                    plan.key, perform, plan.work, history, fresh=plan.fresh
                )
            except Exception as exc:
                call.outcome = exc
            except trio.Cancelled:
                call.outcome = CANCELLED
                raise
            finally:
                call.ended = history.note(call, "gets", call.outcome)

    async def _forget(self, process: Lived, subject: Coalescer[str, Any], plan: Forget) -> None:
        await trio.sleep(plan.at)
        if subject.forget(plan.key):
            when = self.history.note(process, "forgets", plan.key)
            self.history.forgets.append(Forgot(plan.key, process, when))

    async def _write(
        self, process: Lived, lease: WatchedLease, subject: Any, plan: Invalidation
    ) -> None:
        history = self.history
        await trio.sleep(plan.at)
        made = history.note(process, "invalidates", plan.key)
        record = Invalidated(plan.key, process, made)
        history.invalidations.append(record)
        try:
            await lease.invalidate(plan.key)
            record.done = True
        except Exception as exc:
            record.error = exc
        finally:
            record.ended = history.note("an invalidation of", process, "ends")
        if plan.then is not None:
            await self._call(process, subject, plan.then)


def _coalescer(process: Lived, lease: WatchedLease) -> Coalescer[str, Any]:
    return Coalescer[str, Any](
        across=lease,
        name=str(process),
        on_abandon=process.plan.on_abandon,
        flight_timeout=process.plan.flight_timeout,
    )
