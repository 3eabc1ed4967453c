"""Runs a program of a coalescer."""

from __future__ import annotations

from functools import partial

from proof.history import CallRecord, Execution, Result
from proof.plans import Program
from proof.setting import CoalescerSetting
from proof.stage import Stage, caller, wait


class World(Stage[Execution]):
    """One coalescer, and the program that uses it."""

    def __init__(self, program: Program) -> None:
        setting = CoalescerSetting(program)
        super().__init__(program, setting)
        self._coalescer = setting.coalescer

    async def _ask(self, record: CallRecord) -> Result:
        plan = record.plan
        return await self._coalescer.execute(
            plan.key,
            self._work,
            record,
            fresh=plan.fresh,
            timeout=plan.timeout,
            fallback=None if plan.fallback is None else self._fallback,
        )

    async def _fallback(self, record: CallRecord) -> Result:
        record.gave_up = self.history.note(f"{record} falls back")
        if record.plan.fallback is not None:
            await wait(record.plan.fallback)
        return Result(record)

    def _forget_key(self, key: str) -> bool:
        return self._coalescer.forget(key)

    async def _work(self, starter: CallRecord) -> Result:
        history, plan, key = self.history, starter.plan.work, starter.plan.key
        number = len(history.executions)
        one = Execution(
            number=number,
            key=key,
            starter=starter,
            context=caller.get(None),
            began=history.note(f"execution {number} of {key!r} begins, for {starter}"),
            running=[one for one in history.executions if one.key == key and one.running_now],
        )
        self._begin(one, starter.parent if self.program.context == "caller" else None)
        calls = partial(self._make, plan.calls, one, together=plan.together)
        await self._perform(one, plan, calls)
        one.result = Result(one)
        return one.result
