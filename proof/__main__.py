"""The command `python -m proof`: with no sub-command everything that takes minutes at most."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from proof import commands, mutants
from proof.backends import BACKENDS
from proof.lease.crowd_command import crowds
from proof.subjects import SUBJECTS

EVERYTHING = ("model", "programs", "checkpoints", "faults", "soak")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; return the exit status: 0 if nothing was found wrong."""
    # Caches warn of refreshes and stores that fail, as they are made to.
    logging.getLogger("anyflight").addHandler(logging.NullHandler())
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if given:
        return _run(parser.parse_args(given))
    # One after the other, also if one finds something.
    return max(_run(parser.parse_args([name])) for name in EVERYTHING)


def _run(options: argparse.Namespace) -> int:
    try:
        return 0 if options.run(options) else 1
    except Exception:  # the model's, with the steps that led to it
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proof",
        description="Try to show that a law of anyflight does not hold. Without a command: all but "
        "crowd and mutants, for a few minutes.",
        allow_abbrev=False,
    )
    add = parser.add_subparsers(required=True, metavar="command").add_parser

    model = add("model", help="the flight table against its model")
    model.set_defaults(run=commands.model)
    model.add_argument("--steps", type=_count, default=100_000)

    programs = add("programs", help="random programs, one for each seed")
    programs.set_defaults(run=commands.programs)
    programs.add_argument("--seeds", type=_count, default=5000, help="how many")
    programs.add_argument("--from", type=int, default=0, dest="first", help="the first")
    programs.add_argument(
        "--jobs", type=_count, default=1, help="how many processes share them; one for each core"
    )
    programs.add_argument("--show", action="store_true", help="print program and history")

    checkpoints = add("checkpoints", help="a cancellation at each step of each scenario")
    checkpoints.set_defaults(run=commands.checkpoints)
    checkpoints.add_argument(
        "--schedules", type=_count, default=2, help="seeded ones, and asyncio's own"
    )

    faults = add("faults", help="planted faults, which must be found")
    faults.set_defaults(run=commands.faults)

    soak = add("soak", help="many calls, and flat memory")
    soak.set_defaults(run=commands.soaks)
    soak.add_argument("--calls", type=_count, default=100_000)
    soak.add_argument("--keys", type=_count, help="default: a tenth of the calls")

    for one in (programs, checkpoints, faults):
        one.add_argument("--of", choices=SUBJECTS, help="default: all, one after the other")
    for one in (programs, checkpoints, faults, soak):
        one.add_argument("--backend", choices=BACKENDS, help="default: all, one after the other")

    crowd = add("crowd", help="many processes of a lease, beside the formulas")
    crowd.set_defaults(run=crowds)
    crowd.add_argument("--seconds", type=_count, default=10, help="of virtual time")
    crowd.add_argument("--write", action="store_true", help="into docs: the tables, the picture")

    mutants.add_arguments(add("mutants", help="changes of the source, which the tests must notice"))
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        _refuse(text)
    return number


def _refuse(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, got {text!r}")


if __name__ == "__main__":
    sys.exit(main())
