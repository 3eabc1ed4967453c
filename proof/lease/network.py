"""The network: it carries requests, answers and messages, late, never, or not all the way."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from random import Random

import trio

from anyflight.lease import Notice
from proof.lease.history import Ask, LeaseHistory, Lived
from proof.lease.plans import Net
from proof.lease.server import Server


class Agenda:
    """Does things when they are due, in one task: those of one moment in the order of `at`."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0
        self._alarm = trio.CancelScope()

    def at(self, time: float, do: Callable[[], object]) -> None:
        """Have something done."""
        self._count += 1
        heappush(self._due, (time, self._count, do))
        self._alarm.deadline = min(self._alarm.deadline, time)

    async def keep(self) -> None:
        """Do what is due, until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._next()) as self._alarm:
                await trio.sleep_forever()
            while self._next() <= trio.current_time():
                heappop(self._due)[2]()

    def _next(self) -> float:
        return self._due[0][0] if self._due else math.inf


class Link:
    """A connection, or all of them: what is wrong with it, and until when."""

    def __init__(self) -> None:
        self.silent = -math.inf
        """Until then it loses what it carries."""
        self.mute = -math.inf
        """Until then it refuses subscriptions."""
        self.refused = -math.inf
        """Until then there is none."""
        self.deaf = -math.inf
        """Until then it loses messages."""
        self.breaks = 0
        """How often it broke."""


class Subscription:
    """What the messages for one process arrive at."""

    def __init__(self, process: Lived) -> None:
        self.process = process
        self.inbox: deque[Notice] = deque()
        self.dropped = False
        self._news = trio.Event()

    def deliver(self, notice: Notice) -> None:
        """Have a message arrive, unless there is nobody any more."""
        if not self.dropped:
            self.inbox.append(notice)
            self._news.set()

    def drop(self) -> None:
        """Have the connection end; what has arrived is there to be read."""
        self.dropped = True
        self._news.set()

    async def news(self) -> None:
        """Wait for messages, or for the end.

        :raises ConnectionError: if there is nothing more to come
        """
        if not self.inbox:
            if self.dropped:
                raise ConnectionResetError("the subscription was dropped")
            self._news = trio.Event()
            await self._news.wait()


class Network:
    """Carries everything between the processes and the server."""

    def __init__(self, net: Net, random: Random, history: LeaseHistory) -> None:
        self._net = net
        self._random = random
        self._history = history
        self._under_way: dict[int, Ask] = {}
        self._links: dict[Lived | None, Link] = {None: Link()}
        self._subscriptions: list[Subscription] = []
        self.is_closed = False
        self.agenda = Agenda()
        self.server = Server(history, self._publish)

    def link(self, process: Lived | None) -> Link:
        """Return the connection of a process; None has everybody's."""
        return self._links.setdefault(process, Link())

    # Requests

    def send(self, ask: Ask) -> None:
        """Carry a request to the server, and the answer back."""
        self._under_way[ask.number] = ask
        ask.connection = self.link(None).breaks
        now = self._history.clock()
        if self._is_refused(ask, now):
            self.agenda.at(now + self._delay(), partial(self._fail, ask, "refused"))
        elif self._chance(self._net.cuts):
            self._cut(ask)
        elif not (self._chance(self._net.lost_requests) or self._is_silent(ask.process)):
            self.agenda.at(now + self._delay(), partial(self._arrive, ask))

    def _is_refused(self, ask: Ask, now: float) -> bool:
        links = self.link(ask.process), self.link(None)
        muted = ask.method == "subscribe" and any(now < link.mute for link in links)
        return muted or any(now < link.refused for link in links)

    def _cut(self, ask: Ask) -> None:
        now = self._history.clock()
        if self._chance(0.5):
            self.agenda.at(now + self._delay(), partial(self._arrive, ask, answers=False))
        self.agenda.at(now + self._delay(), partial(self._fail, ask, "cut"))

    def _arrive(self, ask: Ask, *, answers: bool = True) -> None:
        if self._is_silent(ask.process) or ask.connection != self.link(None).breaks:
            return
        if ask.method == "subscribe":
            ask.answer = Subscription(ask.process)
            self._subscriptions.append(ask.answer)
        else:
            self.server.obey(ask)
        if answers and not self._chance(self._net.lost_answers):
            self.agenda.at(self._history.clock() + self._delay(), partial(self._answer, ask))

    def _answer(self, ask: Ask) -> None:
        if not self._is_silent(ask.process) and ask.number in self._under_way:
            del self._under_way[ask.number]
            ask.event.set()

    def _fail(self, ask: Ask, error: str) -> None:
        if self._under_way.pop(ask.number, None) is not None:
            ask.error = error
            ask.event.set()

    def give_up(self, ask: Ask) -> None:
        """Let the answer find nobody."""
        self._under_way.pop(ask.number, None)

    # Messages

    def _publish(self, notice: Notice) -> None:
        now = self._history.clock()
        for each in self._subscriptions:
            deaf = max(self.link(each.process).deaf, self.link(None).deaf) > now
            if not (deaf or self._chance(self._net.lost_messages)):
                self.agenda.at(now + self._delay(), partial(self._deliver, each, notice))

    def _deliver(self, subscription: Subscription, notice: Notice) -> None:
        if not self._is_silent(subscription.process):
            subscription.deliver(notice)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Send no more messages there."""
        subscription.dropped = True
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    # What befalls

    def close(self) -> None:
        """Carry nothing any more: the run is over."""
        self.is_closed = True
        self.break_off(None)

    def break_off(self, process: Lived | None) -> None:
        """Break the connection of a process, or all: what is under way fails, or is obeyed."""
        self.link(process).breaks += 1
        self.drop(process)
        for ask in list(self._under_way.values()):
            if process is None or ask.process is process:
                self._fail(ask, "broken off")

    def drop(self, process: Lived | None) -> None:
        """End the subscription of a process, or all."""
        for each in list(self._subscriptions):
            if process is None or each.process is process:
                self._subscriptions.remove(each)
                each.drop()

    def _is_silent(self, process: Lived) -> bool:
        now = self._history.clock()
        return now < max(self.link(process).silent, self.link(None).silent)

    def _delay(self) -> float:
        return self._random.choice(self._net.delays)

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance
