"""Runs a program of a batch loader."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from anyflight import BatchLoader, BatchLoaderStatistics
from proof.history import CallRecord, History, Result, WorkError, copied
from proof.loader_history import BatchRun
from proof.loader_plans import OTHER, Batch, LoaderProgram
from proof.setting import NAME, Setting
from proof.stage import Stage, caller


class LoaderSetting(Setting):
    """The loaders of a program: the other one first, which the first one's batches may need."""

    def __init__(self, program: LoaderProgram, load_batch: Any) -> None:
        bounds = program.bounds
        others = any(key in OTHER for key in program.all_keys())
        super().__init__(tokens=bounds.tokens, listens=bounds.listens, subjects=1 + others)
        self._load_batch = load_batch
        self._again: Result | None = None
        self._loaders = tuple(
            BatchLoader[str, Result](
                self._load,
                name=NAME,
                max_batch_size=bounds.max_batch_size,
                max_delay=bounds.max_delay,
                max_concurrent_batches=bounds.max_concurrent_batches,
                copy=copied if program.copies else None,
                context=program.context,
                flight_timeout=bounds.flight_timeout,
                limiter=self.limiter,
                instruments=self.ears[number : number + 1],
            )
            for number in range(1 + others)
        )
        self.subjects = self._loaders

    def loader(self, key: str) -> BatchLoader[str, Result]:
        """Return the loader of a key."""
        return self._loaders[0 if key in OTHER else -1]

    async def _load(self, keys: list[str]) -> Any:
        if self._again is not None:
            return dict.fromkeys(keys, self._again)
        return await self._load_batch(keys)

    def statistics(self) -> BatchLoaderStatistics:
        """Return those of the first loader."""
        return self._loaders[-1].statistics()

    async def once_more(self, key: str, again: Result) -> Result:
        """Load once."""
        self._again = again
        loader = self.loader(key)
        async with loader:
            return await loader.load(key)


class LoaderWorld(Stage[BatchRun]):
    """A batch loader, and the program that uses it."""

    def __init__(self, program: LoaderProgram) -> None:
        self._loaders = LoaderSetting(program, self._load_batch)
        super().__init__(program, self._loaders)

    async def _ask(self, record: CallRecord) -> Any:
        plan = record.plan
        loader = self._loaders.loader(next(iter(plan.keys), ""))
        if plan.many:
            return await loader.load_many(plan.keys, fresh=plan.fresh)
        return await loader.load(plan.keys[0], fresh=plan.fresh)

    def _forget_key(self, key: str) -> bool:
        return self._loaders.loader(key).forget(key)

    async def _load_batch(self, keys: list[str]) -> Mapping[str, Result | WorkError] | None:
        one = self._take_note(keys)
        calls = partial(self._make, one.plan.calls, one, together=one.plan.together)
        await self._perform(one, one.plan, calls)
        if one.ending == "nothing":
            return None
        answers = {key: one.answer(key) for key in one.keys}
        # More than it was asked for harms nobody.
        return {"more": Result(one)} | {key: each for key, each in answers.items() if each}

    def _take_note(self, keys: list[str]) -> BatchRun:
        history: History[BatchRun] = self.history
        number, plans, opener = len(history.executions), self.program.batches, caller.get(None)
        one = BatchRun(
            number=number,
            keys=tuple(keys),
            plan=plans[number] if number < len(plans) else Batch(),
            context=opener,
            began=history.note(f"batch {number} of {keys} begins"),
            running=[each for each in history.executions if each.running_now],
        )
        one.running = [each for each in one.running if each.of_other is one.of_other]
        self._begin(one, None if opener is None else opener.parent)
        keys.clear()  # the list is its own
        return one
