"""Faults planted into the cache: what other caches do wrong, or is near at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from anyflight import ReadThroughCache
from anyflight.cache import _answers
from anyflight.cache._answers import Answers
from anyflight.cache._first_tier import FirstTier
from anyflight.cache._flights import Flights
from anyflight.cache._freshness import Freshness
from anyflight.cache._generations import Generations
from anyflight.cache._lifetimes import Lifetimes
from anyflight.cache._memory import Memory
from anyflight.cache._misses import Misses
from anyflight.cache._second_tier import SecondTier
from proof.planting import Fault


def _keep_what_was_overtaken(_overtake: Any) -> Any:
    return lambda _self, _ticket: True


def _join_what_began_before_a_write(_detach: Any) -> Any:
    return lambda _self, _keys: None


def _drop_only_what_is_in_memory(tagged: Any) -> Any:
    del tagged
    return lambda _self, _tag: set()


def _read_the_store_whoever_asks(_may_be_read: Any) -> Any:
    return lambda _self, _key: True


def _leave_in_the_store_what_came_too_late(_take_back: Any) -> Any:
    async def faulty(self: Any, key: Any) -> None:
        pass

    return faulty


def _serve_what_has_expired(freshness: Any) -> Any:
    def faulty(entry: Any, now: float, draw: float) -> Any:
        found = freshness(entry, now, draw)
        return Freshness.STALE if found is Freshness.EXPIRED and not entry.failure else found

    return faulty


def _serve_one_moment_longer(entry: Any) -> Any:
    def faulty(self: Any, stored: Any, now: float) -> Any:
        made = entry(self, stored, now)
        later = made.expires + 1e-9
        return replace(made, expires=later, stale_until=max(later, made.stale_until))

    return faulty


def _forget_the_age_of_what_is_stored(entry: Any) -> Any:
    return lambda self, stored, now: entry(self, replace(stored, age=0.0), now)


def _keep_every_error(_error_lifetime: Any) -> Any:
    return lambda _self, _error: 1.0


def _keep_no_error(_error_lifetime: Any) -> Any:
    return lambda _self, _error: None


def _raise_one_error_for_all(_raise_kept: Any) -> Any:
    def faulty(failure: Any, _key: Any) -> Any:
        raise failure.error

    return faulty


def _ask_again_at_once(_pause: Any) -> Any:
    return lambda _self, _key, _entry: None


def _never_refresh(_refresh: Any) -> Any:
    def faulty(*_args: Any, draw: float) -> None:
        pass

    return faulty


def _refresh_for_each_hit(start: Any) -> Any:
    def faulty(self: Any, key: Any, func: Any, *args: Any) -> Any:
        flight = self._table.current(key)
        if flight is not None and flight.began is not None:
            self._leaders.detach(flight)
        return start(self, key, func, *args)

    return faulty


def _let_nothing_leave(_put: Any) -> Any:
    def faulty(self: Any, key: Any, entry: Any, now: float) -> None:
        most = self._max_entries
        self._max_entries = 1000
        try:
            _put(self, key, entry, now)
        finally:
            self._max_entries = most

    return faulty


def _leave_the_tags_of_what_has_left(_unlist: Any) -> Any:
    def faulty(self: Any, key: Any, entry: Any) -> None:
        self._departures.discard(key, entry.gone)

    return faulty


def _give_no_ticket_back(give_back: Any) -> Any:
    del give_back
    return lambda self, ticket: self.holds(ticket)


def _remember_when_closed(_clear: Any) -> Any:
    return lambda _self: None


def _hand_out_the_original(_handed_out: Any) -> Any:
    return lambda _self, value: value


def _serve_old_values_to_fresh_calls(instead_of: Any) -> Any:
    def faulty(self: Any, error: Any, keys: Any, *, fresh: bool) -> Any:  # noqa: ARG001 - that is the fault
        return instead_of(self, error, keys, fresh=False)

    return faulty


def _serve_nothing_in_place_of_an_error(_spares: Any) -> Any:
    return lambda _self, _keys: None


def _keep_nothing(_fill: Any) -> Any:
    return lambda _self, _ticket, _stored: False


CACHE_FAULTS = (
    Fault(
        "a late result is kept after a write",
        20,
        "cashews, aiocache, async-lru: whoever fills by key",
        Generations,
        "overtake",
        _keep_what_was_overtaken,
    ),
    Fault(
        "a call joins what began before a write",
        20,
        "a cache beside a coalescer, which do not know of each other",
        Flights,
        "detach",
        _join_what_began_before_a_write,
    ),
    Fault(
        "a tag is that of what is in memory alone",
        20,
        "an index of tags without what is on its way",
        Generations,
        "tagged",
        _drop_only_what_is_in_memory,
    ),
    Fault(
        "a fresh call is served from the store",
        5,
        "the starter of its flight was not fresh",
        SecondTier,
        "may_be_read",
        _read_the_store_whoever_asks,
    ),
    Fault(
        "what was stored too late stays in the store",
        20,
        "whoever invalidates memory in time and the store not",
        SecondTier,
        "take_back",
        _leave_in_the_store_what_came_too_late,
    ),
    Fault(
        "a value is served when its time is over",
        19,
        "entries that leave when there is time for that",
        _answers,
        "freshness",
        _serve_what_has_expired,
    ),
    Fault(
        "a value is served one moment too long",
        19,
        "a comparison with the wrong boundary",
        Lifetimes,
        "entry",
        _serve_one_moment_longer,
    ),
    Fault(
        "what was stored is as good as new",
        19,
        "a time to live that begins anew in each tier",
        Lifetimes,
        "entry",
        _forget_the_age_of_what_is_stored,
    ),
    Fault(
        "every error is kept",
        23,
        "async-lru, and whoever keeps the future",
        Lifetimes,
        "error_lifetime",
        _keep_every_error,
    ),
    Fault(
        "no error is kept",
        23,
        "caches without such an option",
        Lifetimes,
        "error_lifetime",
        _keep_no_error,
    ),
    Fault(
        "an error that is kept is raised as it is",
        8,
        "async-lru, and whoever keeps the future",
        _answers,
        "raise_kept",
        _raise_one_error_for_all,
    ),
    Fault(
        "work that fails in the background is asked at each hit",
        22,
        "whoever refreshes what is old, and looks no further",
        FirstTier,
        "pause",
        _ask_again_at_once,
    ),
    Fault(
        "what is old is not fetched anew",
        22,
        "a refresh that is lost",
        Answers,
        "_refresh",
        _never_refresh,
    ),
    Fault(
        "each hit of an old value starts a flight",
        4,
        "a task in the background for each call",
        Flights,
        "start",
        _refresh_for_each_hit,
    ),
    Fault(
        "memory has no bound",
        24,
        "aiocache's own memory",
        Memory,
        "put",
        _let_nothing_leave,
    ),
    Fault(
        "the tags of entries stay behind",
        16,
        "an index that only grows",
        Memory,
        "_unlist",
        _leave_the_tags_of_what_has_left,
    ),
    Fault(
        "tickets stay behind",
        16,
        "a generation for each key that ever was",
        Generations,
        "give_back",
        _give_no_ticket_back,
    ),
    Fault(
        "a closed cache remembers",
        16,
        "a module's dictionary",
        Memory,
        "clear",
        _remember_when_closed,
    ),
    Fault(
        "values are not copied",
        8,
        "a cache of what callers change",
        ReadThroughCache,
        "_handed_out",
        _hand_out_the_original,
    ),
    Fault(
        "a fresh call gets an old value in place of an error",
        5,
        "an option that is for everybody",
        Misses,
        "_instead_of",
        _serve_old_values_to_fresh_calls,
    ),
    Fault(
        "an error is raised though there is a value for that case",
        19,
        "a mutant of this one",
        Answers,
        "spares",
        _serve_nothing_in_place_of_an_error,
    ),
    Fault(
        "nothing is kept",
        21,
        "a coalescer alone",
        FirstTier,
        "fill",
        _keep_nothing,
    ),
)
