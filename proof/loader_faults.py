"""Faults planted into the batch loader: what other loaders do wrong, or is near at hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anyio import CapacityLimiter

from anyflight import _batches, _leaders
from anyflight._batch import KeyTable
from anyflight._batches import Batches
from anyflight._deadlock import _Needs
from anyflight._leaders import Leaders
from anyflight._outcome import Expiry
from anyflight._owner import Phase
from proof.faults import inherit_the_context_of_the_predecessor
from proof.planting import Fault


def _load_what_everybody_has_left(leave_key: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        batch = flight.batch if flight.began is None else None
        leave_key(self, flight)
        if batch is not None and batch.wanted and not flight.waiters:
            batch.flights[flight] = None

    return faulty


def _wake_all_when_one_key_is_left(leave_key: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        leave_key(self, flight)
        if flight.began is None and not flight.waiters:
            flight.landing.set()  # it is the batch's

    return faulty


def _cancel_when_any_key_is_left(leave_key: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        batch = flight.batch
        leave_key(self, flight)
        if batch is not None and batch.wanted and batch.began is not None and not flight.waiters:
            batch.leader.cancel()

    return faulty


def _never_cancel_a_batch(leave: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        if flight.began is None:
            leave(self, flight)

    return faulty


def _give_the_slot_back_before_the_clean_up_has_ended(leave: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        leave(self, flight)
        if flight.outcome is None:
            self._give_back_slot(flight)
            flight.limiter = self._slots  # as of one that has none

    return faulty


def _join_what_has_begun(join: Any) -> Any:
    def faulty(self: Any, key: Any, *, fresh: bool) -> Any:  # noqa: ARG001 - that is the fault
        return join(self, key, fresh=False)

    return faulty


def _join_what_is_being_cancelled(_goes_on: Any) -> Any:
    return lambda _self, _flight: True


def _load_again_what_was_left(_goes_on: Any) -> Any:
    return lambda _self, _flight: False


def _run_any_number(_open: Any) -> Any:
    def faulty(self: Any) -> None:
        self._slots = CapacityLimiter(math.inf)

    return faulty


def _take_any_number(board: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        batching = self._batching
        self._batching = replace(batching, max_batch_size=1000)
        try:
            board(self, flight)
        finally:
            self._batching = batching

    return faulty


def _wait_anew_for_each_key(board: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        board(self, flight)
        batch = flight.batch
        if self._delays is not None and batch in self._delays._due:
            del self._delays._due[batch]
            self._delays.add(batch)

    return faulty


def _wait_for_no_others(open_: Any) -> Any:
    def faulty(self: Any) -> None:
        open_(self)
        self._delays = None

    return faulty


def _take_only_what_there_was_when_the_batch_was_ready(go: Any) -> Any:
    def faulty(self: Any, batch: Any) -> None:
        if batch.limiter is self._slots:
            self._gathering.pop(batch, None)
        go(self, batch)

    return faulty


def _wait_for_the_delay_though_a_slot_is_free(give_back_slot: Any) -> Any:
    def faulty(self: Any, batch: Any) -> None:
        gathering, self._gathering = self._gathering, {}
        try:
            give_back_slot(self, batch)
        finally:
            self._gathering = gathering

    return faulty


def _tell_nobody_that_a_slot_is_free(_give_back_slot: Any) -> Any:
    def faulty(self: Any, batch: Any) -> None:
        if batch.limiter is not self._slots:
            self._slots.release_on_behalf_of(batch)

    return faulty


def _turn_the_keys_round(begin: Any) -> Any:
    def faulty(self: Any, batch: Any) -> Any:
        batch.flights = dict(reversed(batch.flights.items()))
        return begin(self, batch)

    return faulty


def _go_by_the_place_of_a_value(outcomes: Any) -> Any:
    def faulty(values: Mapping[Any, Any], keys: list[Any]) -> Any:
        return outcomes(dict(zip(keys, values.values(), strict=False)), keys)

    return faulty


def _raise_the_error_of_a_key_for_all(outcomes: Any) -> Any:
    def faulty(values: Mapping[Any, Any], keys: list[Any]) -> Any:
        for value in values.values():
            if isinstance(value, Exception):
                raise value
        return outcomes(values, keys)

    return faulty


def _leave_what_has_not_begun_to_the_clean_up(_abort: Any) -> Any:
    return lambda self: self._owner.end_calls(Phase.ABORTING)


def _look_at_the_next_token_alone(tokens: Any) -> Any:
    def faulty(self: Any, flight: Any) -> Any:
        return [each for each in tokens(self, flight) if each is flight.limiter]

    return faulty


def _let_expired_work_run_on(expire: Any) -> Any:
    def faulty(self: Any, flight: Any) -> None:
        if type(self) is Batches and flight.began is not None:
            self._land(flight, Expiry(1.0, began=True))
        else:
            expire(self, flight)

    return faulty


LOADER_FAULTS = (
    Fault(
        "a key is loaded that everybody has left",
        3,
        "aiodataloader, strawberry's",
        Batches,
        "leave_key",
        _load_what_everybody_has_left,
    ),
    Fault(
        "all are woken when one key is left",
        16,
        "the first version of this one",
        Batches,
        "leave_key",
        _wake_all_when_one_key_is_left,
    ),
    Fault(
        "a batch is cancelled when any of its keys is left",
        2,
        "whoever shares one future",
        Batches,
        "leave_key",
        _cancel_when_any_key_is_left,
    ),
    Fault(
        "a batch goes on that nobody waits for",
        3,
        "aiodataloader, strawberry's",
        Batches,
        "leave",
        _never_cancel_a_batch,
    ),
    Fault(
        "a slot is free before the clean-up has ended",
        17,
        "a bound on what is waited for, not on what runs",
        Batches,
        "leave",
        _give_the_slot_back_before_the_clean_up_has_ended,
    ),
    Fault(
        "a fresh call joins a batch that has begun",
        5,
        "whoever looks into the cache of futures alone",
        KeyTable,
        "join",
        _join_what_has_begun,
    ),
    Fault(
        "a call joins a batch that is being cancelled",
        9,
        "aiodataloader: its key is poisoned",
        KeyTable,
        "_goes_on",
        _join_what_is_being_cancelled,
    ),
    Fault(
        "a key that was left is loaded again while its batch runs",
        1,
        "a flight for each key, without its batch",
        KeyTable,
        "_goes_on",
        _load_again_what_was_left,
    ),
    Fault(
        "any number of batches run at once",
        17,
        "every loader without such a bound",
        Batches,
        "open",
        _run_any_number,
    ),
    Fault(
        "a batch has any number of keys",
        17,
        "every loader without such a bound",
        Batches,
        "_board",
        _take_any_number,
    ),
    Fault(
        "each key puts off the batch",
        18,
        "a timer that is set anew",
        Batches,
        "_board",
        _wait_anew_for_each_key,
    ),
    Fault(
        "a batch does not wait for its delay",
        18,
        "every loader without such an option",
        Batches,
        "open",
        _wait_for_no_others,
    ),
    Fault(
        "a batch that waits for a slot takes no more keys",
        18,
        "a queue of batches in place of one that grows",
        Batches,
        "_go",
        _take_only_what_there_was_when_the_batch_was_ready,
    ),
    Fault(
        "a batch waits for its delay though it has waited for a slot",
        18,
        "a mutant of this one",
        Batches,
        "_give_back_slot",
        _wait_for_the_delay_though_a_slot_is_free,
    ),
    Fault(
        "a slot that is free again wakes nobody",
        16,
        "a lost wake-up",
        Batches,
        "_give_back_slot",
        _tell_nobody_that_a_slot_is_free,
    ),
    Fault(
        "keys come in another order than they arrived in",
        17,
        "a set of keys",
        Batches,
        "_begin",
        _turn_the_keys_round,
    ),
    Fault(
        "values are matched to keys by their places",
        1,
        "every loader whose function returns a list",
        _batches,
        "outcomes_of",
        _go_by_the_place_of_a_value,
    ),
    Fault(
        "the error of one key is that of all",
        1,
        "a function that can only raise",
        _batches,
        "outcomes_of",
        _raise_the_error_of_a_key_for_all,
    ),
    Fault(
        "what has not begun is told nothing when the owner is gone",
        10,
        "a mutant of this one",
        Batches,
        "abort",
        _leave_what_has_not_begun_to_the_clean_up,
    ),
    Fault(
        "a circle through a token that a batch will need is not seen",
        16,
        "the first version of this one",
        _Needs,
        "_tokens",
        _look_at_the_next_token_alone,
    ),
    Fault(
        "a batch runs on at its deadline",
        3,
        "whoever bounds the wait and not the work",
        Leaders,
        "_expire",
        _let_expired_work_run_on,
    ),
    Fault(
        "a batch that opens later runs in the context of the first one",
        14,
        "whoever starts a task from another request's task",
        _leaders,
        "copy_context",
        inherit_the_context_of_the_predecessor,
    ),
)
