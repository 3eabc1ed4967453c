"""Shares the seeds of random programs among processes, one for each core."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator


def in_jobs(options: Namespace) -> bool:
    """Run the programs that are asked for in several processes; return whether all was well."""
    jobs = [subprocess.Popen(command) for command in _commands(options)]
    return max(job.wait() for job in jobs) == 0


def _commands(options: Namespace) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "proof", "programs"]
    for name in ("of", "backend"):
        if getattr(options, name) is not None:
            command += [f"--{name}", getattr(options, name)]
    first, left = options.first, options.seeds
    for jobs in range(min(options.jobs, left), 0, -1):
        share = left // jobs
        yield [*command, "--from", str(first), "--seeds", str(share)]
        first, left = first + share, left - share
