"""Failure: the leader's process is stopped, or its event loop blocked, beyond the TTL."""

from __future__ import annotations

from pathlib import Path

from servers.valkey import ValkeyServer
from tests.lease.driving import KEY, Join

# Of the leader, which takes no longer to lose its lease than that. It may be late before it is
# stopped: nobody else asks until then.
BRIEF = {"ttl": 0.3}

# Of those who are to keep theirs.
STEADY = {"ttl": 60, "poll_interval": 0.1}


def test_after_a_stop_the_successors_result_stands_and_the_late_commit_is_refused(
    join: Join, server: ValkeyServer, namespace: str
) -> None:
    (leader,) = join(at=server, **BRIEF, on_lost="finish")
    successor, third = join(2, at=server, **STEADY)
    stopped = leader.leads()
    leader.worker.stop()
    call = successor.calls()
    assert call.begins()
    waiting = third.waits()

    # While the successor is at work, the one that was stopped comes with its result.
    leader.worker.resume()
    stopped.finishes("late")
    assert stopped.returns() == "late"
    counts = leader.counts()
    assert (counts["fenced"], counts["committed"]) == (1, 0)

    call.finishes("the successor's")
    assert call.returns() == "the successor's"
    assert waiting.returns() == "the successor's"
    assert successor.counts()["fenced"] == 0
    assert server.command("HGET", f"anyflight:{namespace}:{KEY}", "b") == '"the successor\'s"'


def test_after_a_stop_a_late_commit_does_not_replace_an_outcome(
    join: Join, server: ValkeyServer, namespace: str
) -> None:
    (leader,) = join(at=server, **BRIEF, on_lost="finish")
    successor, third = join(2, at=server, **STEADY)
    stopped = leader.leads()
    leader.worker.stop()
    call = successor.calls()
    assert call.begins()
    waiting = third.waits()
    call.finishes("the successor's")
    assert (call.returns(), waiting.returns()) == ("the successor's", "the successor's")

    leader.worker.resume()
    stopped.finishes("late")
    assert stopped.returns() == "late"
    assert leader.counts()["fenced"] == 1
    assert server.command("HGET", f"anyflight:{namespace}:{KEY}", "b") == '"the successor\'s"'


def test_after_a_stop_work_is_cancelled_and_its_call_gets_the_successors_result(
    join: Join, server: ValkeyServer
) -> None:
    # It is to have its lease still when it is stopped.
    (leader,), (successor,) = join(at=server, ttl=1.5), join(at=server, **STEADY)
    stopped = leader.leads()
    leader.worker.stop()
    call = successor.calls()
    assert call.begins()

    leader.worker.resume()
    assert stopped.answer() == "busy"
    call.finishes("the successor's")
    assert (stopped.returns(), call.returns()) == ("the successor's", "the successor's")
    counts = leader.counts()
    assert (counts["lost"], counts["shared"], counts["ran"]) == (1, 1, 0)


def test_after_its_event_loop_was_blocked_a_leaders_late_commit_is_refused(
    join: Join, server: ValkeyServer, tmp_path: Path
) -> None:
    (leader,) = join(at=server, **BRIEF, on_lost="finish")
    (successor,) = join(at=server, **STEADY)
    blocked = leader.leads()
    release = tmp_path / "release"
    blocked.finishes("late", blocked_until=str(release))
    call = successor.calls()
    assert call.begins()
    release.touch()
    assert blocked.returns() == "late"
    assert leader.counts()["fenced"] == 1
    call.finishes("the successor's")
    assert call.returns() == "the successor's"
