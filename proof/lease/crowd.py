"""Many processes, and nothing goes wrong: how often work is done, and what the server is asked.

It is the same simulation as that of the random programs, with calls that arrive at random. Nothing
of a run is written down but how often things happened.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from statistics import fmean, quantiles

import trio

from anyflight import Coalescer
from anyflight.lease import Lease, Notice
from proof.backends import run
from proof.history import FOREVER, Instant
from proof.lease import plans
from proof.lease.client import Client
from proof.lease.history import Ask, LeaseHistory, Lived
from proof.lease.luck import luck
from proof.lease.network import Network

KEY = "hot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Processes that are asked for one key.

    :ivar processes: how many: N
    :ivar rate: calls per second in all of them together, at random: L
    :ivar seconds: how long the work takes: S
    :ivar leased: whether they share a lease, or each coalesces for itself
    :ivar delay: seconds from a process to the server, and from there to a process
    :ivar lost_messages: the chance of a message to be lost
    :ivar poll_interval: after how many seconds at most one who waits asks again
    :ivar lasts: for how many seconds it is observed
    """

    processes: int
    rate: float
    seconds: float
    leased: bool = True
    delay: float = 0.00025
    lost_messages: float = 0.0
    poll_interval: float = 1.0
    lasts: float = 10.0
    seed: int = 0


@dataclass(slots=True, kw_only=True)
class Observed:
    """What was seen, per second: executions, requests and messages; and how long calls took."""

    executions: float
    requests: float
    messages: float
    latencies: list[float] = field(repr=False)

    @property
    def mean_latency(self) -> float:
        """Return the mean of the calls, in seconds."""
        return fmean(self.latencies)

    @property
    def p99_latency(self) -> float:
        """Return what one call in a hundred took longer than, in seconds."""
        return quantiles(self.latencies, n=100)[-1]


class Counts(LeaseHistory):
    """A history that forgets: it counts requests and messages."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.seen: Counter[str] = Counter()

    def note(self, *what: object) -> Instant:  # noqa: ARG002 - as LeaseHistory
        """Write nothing."""
        return FOREVER

    def sends(self, ask: Ask) -> None:
        """Count a request."""
        self.number += 1
        ask.number = self.number
        if ask.method not in {"check", "subscribe"}:
            self.seen["request"] += 1

    def obeys(self, ask: Ask) -> None:
        """Write nothing."""

    def hears(self, process: Lived, notice: Notice) -> None:  # noqa: ARG002 - as LeaseHistory
        """Count a message."""
        self.seen["message"] += 1


class Place:
    """Where a crowd is observed."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._counts = Counts()
        self._random = Random(f"crowd {crowd.seed}")
        self._latencies: list[float] = []

    async def observe(self) -> Observed:
        """Let calls come for some seconds."""
        crowd, counts = self._crowd, self._counts
        counts.clock = trio.current_time
        net = plans.Net(delays=(crowd.delay,), lost_messages=crowd.lost_messages)
        network = Network(net, self._random, counts)
        async with trio.open_nursery() as processes:
            processes.start_soon(network.agenda.keep)
            coalescers: list[Coalescer[str, None]] = [
                await processes.start(self._live, network) for _ in range(crowd.processes)
            ]
            async with trio.open_nursery() as calls:
                await self._let_come(calls, coalescers, max(1.0, 10 * crowd.seconds))
                counts.seen.clear()
                self._latencies.clear()
                await self._let_come(calls, coalescers, crowd.lasts)
                observed = self._observed()
                calls.cancel_scope.cancel()
            network.close()
            processes.cancel_scope.cancel()
        return observed

    def _observed(self) -> Observed:
        seen, lasts = self._counts.seen, self._crowd.lasts
        return Observed(
            executions=seen["execution"] / lasts,
            requests=seen["request"] / lasts,
            messages=seen["message"] / lasts,
            latencies=list(self._latencies),
        )

    async def _live(
        self, network: Network, *, task_status: trio.TaskStatus[Coalescer[str, None]]
    ) -> None:
        async with AsyncExitStack() as stack:
            lease = None
            if self._crowd.leased:
                client = Client(Lived(0, plans.Process()), network, self._counts)
                lease = Lease[str](client, poll_interval=self._crowd.poll_interval)
                await stack.enter_async_context(lease)
            coalescer = Coalescer[str, None](across=lease)
            task_status.started(await stack.enter_async_context(coalescer))
            await trio.sleep_forever()

    async def _let_come(
        self, nursery: trio.Nursery, coalescers: list[Coalescer[str, None]], seconds: float
    ) -> None:
        end = trio.current_time() + seconds
        while True:
            await trio.sleep(self._random.expovariate(self._crowd.rate))
            if trio.current_time() > end:
                return
            nursery.start_soon(self._call, self._random.choice(coalescers))

    async def _call(self, coalescer: Coalescer[str, None]) -> None:
        began = trio.current_time()
        await coalescer.execute(KEY, self._work)
        self._latencies.append(trio.current_time() - began)

    async def _work(self) -> None:
        self._counts.seen["execution"] += 1
        await trio.sleep(self._crowd.seconds)


def observe(crowd: Crowd) -> Observed:
    """Return what is seen of a crowd: the same each time."""
    with luck(crowd.seed):
        return run(Place(crowd).observe, backend="trio", seed=crowd.seed)
