"""The command `python -m demo`: measure the service with each strategy."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from demo.errors import DemoError, InterruptedRunError
from demo.options import parse_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demo.options import Options

INTERRUPTED = 128 + signal.SIGINT
"""The exit status of a program that Ctrl-C ended, as a shell reports it."""


def command() -> NoReturn:
    """Run the command and end the process; after Ctrl-C by that signal, as other programs do.

    Left to itself, Python ends with the status it is given, except that it ends by the signal if
    Ctrl-C came while `exec` ran some source, as an import does that makes dataclasses.
    """
    status = main()
    if status == INTERRUPTED:
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    sys.exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = parse_options(arguments)
    try:
        _run(options)
    except BaseException as error:
        # What ended the run may have come out of a task group.
        causes = list(_leaves(error))
        if any(isinstance(each, KeyboardInterrupt | InterruptedRunError) for each in causes):
            print("interrupted: the server is stopped and its folder is gone", file=sys.stderr)
            return INTERRUPTED
        for each in causes:
            if isinstance(each, DemoError):
                print(f"error: {each}", file=sys.stderr)
                return 1
        raise
    return 0


def _run(options: Options) -> None:
    """Measure, show and write."""
    # Imported here: it takes half a second, and Ctrl-C must end that as cleanly as the rest.
    from rich.console import Console  # noqa: PLC0415

    from demo.compare import compare  # noqa: PLC0415
    from demo.report import show, show_introduction, write_figures  # noqa: PLC0415

    console = Console()
    show_introduction(console, options)
    comparison = compare(options, console)
    show(console, comparison)
    # Not before the measurement: matplotlib is large, and each full garbage collection of a run
    # would walk through it.
    from demo.picture import draw  # noqa: PLC0415

    options.output.mkdir(parents=True, exist_ok=True)
    figures = write_figures(comparison, options.output)
    for path in (*figures, *draw(comparison, options.output)):
        console.print(f"Wrote {path}", highlight=False, markup=False, soft_wrap=True)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group that are no groups themselves."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


if __name__ == "__main__":
    command()
