"""A folder for a server, removed with the server however the owner ends."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import guard


@contextmanager
def guarded_folder() -> Iterator[Path]:
    """Own a new folder for the length of the block; its guardian removes it afterwards.

    The guardian stops the server too, if this process did not come to it. A guardian that was
    killed itself is replaced by this process.
    """
    guard.sweep()
    folder, lock = guard.create_folder()
    try:
        guardian = _start_guardian(folder)
    except BaseException:
        os.close(lock)
        guard.reclaim(folder, wait=False)
        raise
    try:
        yield folder
    finally:
        os.close(lock)
        guardian.wait()
        guard.reclaim(folder, wait=True)


def _start_guardian(folder: Path) -> subprocess.Popen[bytes]:
    """Start the process that outlives this one, whatever becomes of this one."""
    return subprocess.Popen(
        # -P: the folder of that file must not come first in the guardian's module search.
        [sys.executable, "-P", guard.__file__, str(folder)],
        cwd="/",
        start_new_session=True,  # a terminal's Ctrl-C goes to the session of the owner
        stdin=subprocess.DEVNULL,  # whoever reads our output must not wait for the guardian
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
