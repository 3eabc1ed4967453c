"""What befalls processes and the server, when its time has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from proof.history import Instant
from proof.lease.freezer import Freezer
from proof.lease.history import LeaseHistory, Lived
from proof.lease.network import Network
from proof.lease.plans import Trouble


class Troubles:
    """Makes things go wrong.

    :param on_death: called when a process has been killed
    """

    def __init__(
        self, history: LeaseHistory, network: Network, on_death: Callable[[], object]
    ) -> None:
        self._history = history
        self._network = network
        self._on_death = on_death
        self._freezer = Freezer()

    def plan(self, troubles: Iterable[Trouble]) -> None:
        """Have them befall when they are due."""
        for trouble in troubles:
            # A program that is made smaller may have fewer processes.
            if trouble.whom is None or trouble.whom < len(self._history.processes):
                self._network.agenda.at(trouble.at, partial(self._befall, trouble))

    def end(self) -> None:
        """Thaw everybody, to be cancelled."""
        for process in self._history.processes:
            self._freezer.thaw(process)

    def _befall(self, trouble: Trouble) -> None:
        process = None if trouble.whom is None else self._history.processes[trouble.whom]
        if process is not None and process.is_gone:
            return
        what = trouble.kind, process or "the server", f"for {trouble.lasts:g} s"
        when = self._history.note(*what)
        until = when.time + trouble.lasts
        if process is None or not self._befall_process(trouble, process, when, until):
            self._befall_link(trouble, process, until)

    def _befall_process(
        self, trouble: Trouble, process: Lived, when: Instant, until: float
    ) -> bool:
        """Do what befalls a process itself; return whether this does."""
        match trouble.kind:
            case "kill":
                process.killed = when
                self._freezer.freeze(process)
                self._network.drop(process)
                self._on_death()
            case "pause":
                self._pause(process, when, until)
            case "stop":
                process.stopped = when
                process.scope.cancel()
            case _:
                return False
        return True

    def _befall_link(self, trouble: Trouble, process: Lived | None, until: float) -> None:
        """Do what befalls a connection, or the server with all of them."""
        link, network = self._network.link(process), self._network
        match trouble.kind:
            case "silence":
                link.silent = max(link.silent, until)
            case "deafen":
                link.deaf = max(link.deaf, until)
            case "mute":
                link.mute = max(link.mute, until)
            case "refuse" | "restart":
                link.refused = max(link.refused, until)
        match trouble.kind:
            case "drop" | "mute":
                network.drop(process)
            case "refuse" | "restart":
                network.break_off(process)
        if trouble.kind in {"restart", "forget"}:
            network.server.lose_memory()

    def _pause(self, process: Lived, when: Instant, until: float) -> None:
        if process.was_paused(when.time, when.time):
            return
        process.paused.append((when, Instant(when.tick, until)))
        self._freezer.freeze(process)
        self._network.agenda.at(until, partial(self._go_on, process))

    def _go_on(self, process: Lived) -> None:
        if not process.is_gone:
            began, _ = process.paused[-1]
            process.paused[-1] = began, self._history.note(process, "goes on")
            self._freezer.thaw(process)
