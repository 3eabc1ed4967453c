"""The temporary PostgreSQL leaves nothing behind, however its owner ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import psycopg
import pytest

from servers import guard, postgres
from servers.folder import guarded_folder
from servers.postgres import temporary_postgres

ROOT = Path(__file__).parents[2]

# Far more than anything here takes; reached only by a bug.
PATIENCE = 30

# Copies the data folder instead of making one, which takes most of a second.
OWNER = """
import subprocess
import sys
from servers import postgres

def initialise(programs, **options):
    subprocess.run(["cp", "-a", sys.argv[1] + "/.", programs.data], check=True)
    with (programs.data / "postgresql.conf").open("a") as settings:
        settings.write(f"unix_socket_directories = '{programs.data}'")

postgres._initialise = initialise
with postgres.temporary_postgres() as server:
    print(server.folder, server.dsn, flush=True)
    if sys.stdin.readline() == "raise\\n":
        raise RuntimeError("on demand")
"""

# Stands still between the creation of its folder and the start of its server.
HALTED_OWNER = """
import sys
from servers import postgres

def halt(programs, **options):
    print(programs.data.parent, "no server", flush=True)
    sys.stdin.readline()

postgres._initialise = halt
with postgres.temporary_postgres():
    pass
"""


class Owner:
    """A process that runs a temporary PostgreSQL until it is told or made to end."""

    def __init__(self, program: str, template: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, template],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            start_new_session=True,  # a group of its own, to be interrupted as a terminal does it
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        folder, _, self.dsn = self.process.stdout.readline().rstrip("\n").partition(" ")
        assert folder, self.end("")
        self.folder = Path(folder)
        self.guardian = self._guardian()

    def _guardian(self) -> psutil.Process:
        """Return the process that guards the folder; it may just be on its way to its program."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for child in psutil.Process(self.process.pid).children():
                if str(self.folder) in child.cmdline():
                    return child
        raise AssertionError("there is no guardian")

    def end(self, line: str) -> str:
        """Let the owner end by itself; return what it wrote as errors."""
        return self.process.communicate(line, timeout=PATIENCE)[1]

    def interrupt_group(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Wait for the end of the owner, and of all that has its pipes open; return its code."""
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    def leaves_nothing(self) -> bool:
        """Wait until all is gone: what the guardian does, it does after the owner's end."""
        deadline = time.monotonic() + PATIENCE
        while self.has_left_something() and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self.has_left_something()

    def has_left_something(self) -> bool:
        return (
            self.folder.exists()
            or is_running(self.guardian)
            or bool(guard.processes_of(self.folder))
        )


def is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """Make a data folder to copy."""
    with guarded_folder() as folder:
        data = guard.data_folder(folder)
        programs = postgres._Programs(data, postgres._program_folder(), postgres._server_user())
        postgres._create_data_folder(programs)
        postgres._initialise(programs, max_connections=20)
        yield data


StartOwner = Callable[..., Owner]


@pytest.fixture
def start(template: Path) -> Iterator[StartOwner]:
    with ExitStack() as stack:

        def start(program: str = OWNER) -> Owner:
            owner = Owner(program, template)
            stack.callback(owner.process.communicate)
            stack.callback(owner.process.kill)
            return owner

        yield start


def is_alive(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_the_server_is_as_promised() -> None:
    with temporary_postgres(max_connections=150) as server, psycopg.connect(server.dsn) as client:

        def setting(name: str) -> str:
            row = client.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert row is not None
            return str(row[0])

        assert setting("server_version_num") >= "180000"
        assert setting("max_connections") == "150"
        assert setting("shared_preload_libraries") == "pg_stat_statements"
        assert setting("fsync") == "off"
        assert setting("listen_addresses") == ""
        client.execute("SELECT calls FROM pg_stat_statements")

    assert not server.folder.exists()
    assert guard.processes_of(server.folder) == []


def test_nothing_is_left_after_the_block(start: StartOwner) -> None:
    owner = start()
    assert is_alive(owner.dsn)
    assert owner.end("\n") == ""
    assert owner.process.returncode == 0
    assert not owner.has_left_something()


def test_nothing_is_left_after_an_exception(start: StartOwner) -> None:
    owner = start()
    assert "RuntimeError: on demand" in owner.end("raise\n")
    assert not owner.has_left_something()


def test_nothing_is_left_after_a_terminals_interrupt(start: StartOwner) -> None:
    owner = start()
    owner.interrupt_group()
    assert owner.wait() == -signal.SIGINT
    assert owner.leaves_nothing()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_a_signal(start: StartOwner, number: signal.Signals) -> None:
    owner = start()
    owner.process.send_signal(number)
    assert owner.wait() == -number
    assert owner.leaves_nothing()


def test_nothing_is_left_of_an_owner_that_was_killed_before_its_server_started(
    start: StartOwner,
) -> None:
    owner = start(HALTED_OWNER)
    owner.process.kill()
    owner.wait()
    assert owner.leaves_nothing()


def test_an_owner_cleans_up_without_its_guardian(start: StartOwner) -> None:
    owner = start()
    owner.guardian.kill()
    assert owner.end("\n") == ""
    assert not owner.has_left_something()


def test_the_next_run_cleans_up_when_owner_and_guardian_were_killed(start: StartOwner) -> None:
    owner = start()
    owner.guardian.kill()
    owner.process.kill()
    owner.wait()
    assert is_alive(owner.dsn)

    start(HALTED_OWNER)
    assert owner.leaves_nothing()


def test_a_run_leaves_the_folder_of_another_alone(start: StartOwner) -> None:
    first, second = start(), start()
    guard.sweep()
    assert is_alive(first.dsn)
    assert is_alive(second.dsn)
    first.end("\n")
    assert is_alive(second.dsn)


@pytest.fixture
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_that_is_swept_before_it_is_locked_is_given_up_for_another(
    own_temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_folder = guard.lock_folder
    swept: list[Path] = []

    def sweep_first(folder: Path, *, wait: bool) -> int | None:
        monkeypatch.undo()
        swept.append(folder)
        guard.reclaim(folder, wait=False)
        monkeypatch.setattr("tempfile.tempdir", str(own_temporary_folder))
        return lock_folder(folder, wait=wait)

    monkeypatch.setattr(guard, "lock_folder", sweep_first)
    folder, lock = guard.create_folder()
    os.close(lock)

    assert folder.exists()
    assert [path.exists() for path in swept] == [False]


def test_a_locked_folder_is_not_swept(own_temporary_folder: Path) -> None:
    folder, lock = guard.create_folder()
    guard.sweep()
    assert folder.exists()

    os.close(lock)
    guard.sweep()
    assert not folder.exists()


def link(folder: Path) -> None:
    target = folder.with_name("target")
    target.mkdir()
    folder.symlink_to(target)


@pytest.mark.parametrize("make", [link, Path.touch])
def test_what_is_no_folder_of_ours_is_not_swept(
    own_temporary_folder: Path, make: Callable[[Path], None]
) -> None:
    stranger = own_temporary_folder / f"{guard.PREFIX}stranger"
    make(stranger)
    guard.sweep()
    assert stranger.exists()
