"""Who cleans up after a temporary server, and how.

The owner of a folder holds an exclusive lock (`flock`) on it for as long as it lives. The kernel
releases the lock when the owner is gone, however it went: so *whoever gets the lock cleans up*.
Two use that rule:

- the guardian, this file run as a program: it waits for the lock of one folder, in a session of its
  own that no Ctrl-C reaches, and cleans up at once when the owner has gone;
- `sweep()`, called at the start of each run: it takes every lock that is free, which covers a
  guardian that was killed together with its owner.

The guardian runs this file by its path, so it imports nothing of the project.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

PREFIX = "anyflight-server-"

_POSTGRES = frozenset({"initdb", "postgres"})
_VALKEY = frozenset({"redis-server", "valkey-server"})

# How long a server may take for its immediate shutdown, in seconds. PostgreSQL itself kills
# children that hang after five.
_PATIENCE = 10.0


def data_folder(folder: Path) -> Path:
    """Return a server's own part of `folder`: data, log and socket."""
    return folder / "data"


def create_folder() -> tuple[Path, int]:
    """Create a folder and lock it; return it with the file descriptor that holds the lock.

    The descriptor is not inheritable: no server and no other child can keep the lock alive.
    """
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        # Another run's sweep may get the lock first, and then the folder is gone: try another.
        lock = lock_folder(folder, wait=True)
        if lock is not None:
            return folder, lock


def lock_folder(folder: Path, *, wait: bool) -> int | None:
    """Lock `folder`; return the descriptor that holds the lock until it is closed.

    None if `folder` has gone, belongs to another user, or, unless `wait`, is locked.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone, a symbolic link, or not ours to open
        return None
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # The former holder may have removed the folder while we waited.
            if os.path.samestat(os.fstat(descriptor), folder.lstat()):
                return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def sweep() -> None:
    """Clean up every folder of an earlier run whose owner is gone."""
    for folder in Path(tempfile.gettempdir()).resolve().glob(f"{PREFIX}*"):
        reclaim(folder, wait=False)


def reclaim(folder: Path, *, wait: bool) -> None:
    """Stop the servers of `folder` and remove the folder, once its lock can be had.

    Does nothing if the folder is gone already or, unless `wait`, if it has an owner.
    """
    lock = lock_folder(folder, wait=wait)
    if lock is None:
        return
    try:
        stop_processes(folder)
        shutil.rmtree(folder)
    finally:
        os.close(lock)


def stop_processes(folder: Path) -> None:
    """End all processes of the servers in `folder`; return when they are gone.

    The search is repeated, because what is stopped may have been about to start another.
    """
    deadline = time.monotonic() + _PATIENCE
    while processes := processes_of(folder):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                number = signal.SIGKILL if time.monotonic() > deadline else _gentle_end(process)
                if number is not None:
                    process.send_signal(number)
        psutil.wait_procs(processes, timeout=0.05)


def _gentle_end(process: psutil.Process) -> signal.Signals | None:
    """Return what ends `process` such that it releases its shared memory; None: it ends anyway."""
    if process.name() != "postgres":
        return signal.SIGKILL  # has none
    if "--boot" in process.cmdline():
        return None  # a child of initdb's, which ends with it, and does not catch signals
    return signal.SIGQUIT  # PostgreSQL's immediate shutdown


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes of the servers in `folder`, children and tools included.

    They are recognised by what they are and where they work, never by a stored process id: the id
    in an old `postmaster.pid` may be a stranger's by now.
    """
    return [process for process in psutil.process_iter() if _belongs_to(process, folder)]


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        if process.name() in _VALKEY:
            # Started in its data folder, of which a cluster has several in one `folder`.
            return Path(process.cwd()).is_relative_to(folder)
        if process.name() not in _POSTGRES:
            return False
        # The server and initdb are told `-D data`; the server's children replace their command
        # line by a title, but all work in the data folder.
        data = str(data_folder(folder))
        command = " ".join(process.cmdline())
        return ("-D" in command and data in command) or process.cwd() == data
    except psutil.Error:  # gone meanwhile, a zombie, or another user's
        return False


if __name__ == "__main__":
    reclaim(Path(sys.argv[1]), wait=True)
