"""What does an entry take in memory, and an import in time?

Run as a program it answers the first for one contestant, in a process that does nothing else.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import dataclass
from statistics import median

import psutil

from benchmarks.eviction.contestants import CONTESTANTS, FLOOR, OPEN
from benchmarks.eviction.policies import Entry

SIZE = 100_000
IMPORTS = 5
"""So many new interpreters import each module."""
IMPORTING = """
import anyflight, sys, time
began, before = time.perf_counter(), "asyncio" in sys.modules
import {}
print(time.perf_counter() - began, "asyncio" in sys.modules and not before)
"""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one takes.

    :ivar bytes: of resident memory for an entry, the entry itself included, the key not
    :ivar import_ms: milliseconds of an import where anyflight is imported already; None for what
        Python has
    :ivar asyncio: whether that import loads asyncio
    """

    bytes: float
    import_ms: float | None
    asyncio: bool


def run(*, quick: bool) -> dict[str, Footprint]:
    """Measure all."""
    size, times = (SIZE // 100, 1) if quick else (SIZE, IMPORTS)
    modules = {each.module for each in CONTESTANTS if each.package}
    imports = {module: [_import(module) for _ in range(times)] for module in sorted(modules)}
    found: dict[str, Footprint] = {}
    for each in (FLOOR, *CONTESTANTS):
        # A new process takes its time.
        bytes_each = taken(each.name, size) if quick else _taken_alone(each.name, size)
        if each.package:
            told = imports[each.module]
            milliseconds = median(seconds for seconds, _ in told) * 1000
            found[each.name] = Footprint(bytes_each, milliseconds, told[0][1])
        else:
            found[each.name] = Footprint(bytes_each, None, asyncio=False)
    return found


def _taken_alone(name: str, size: int) -> float:
    return float(_output("-m", "benchmarks.eviction.footprints", name, str(size)))


def _import(module: str) -> tuple[float, bool]:
    seconds, asyncio = _output("-c", IMPORTING.format(module)).split()
    return float(seconds), asyncio == "True"


def _output(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - this very program, or what stands above
        [sys.executable, *arguments], check=True, capture_output=True, text=True
    ).stdout


def taken(name: str, size: int) -> float:
    """Return the bytes of an entry in a store that has been filled twice, so evicts."""
    keys = [f"user:{index}" for index in range(2 * size)]
    store = OPEN[name](size)
    if name == FLOOR.name:
        del keys[size:]
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    for key in keys:
        store.put(key, Entry())
    gc.collect()
    return (process.memory_info().rss - before) / size


if __name__ == "__main__":
    print(taken(sys.argv[1], int(sys.argv[2])))
