"""The page: what a run has found, in plain English and tables."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks._markdown import paragraph, table
from fleet.document import Document
from fleet.strategies import LEASE, LEASE_AND_CACHE, LOCAL
from fleet.tables import (
    Table,
    burst_table,
    lease_table,
    settings_table,
    takeover_table,
    traffic_table,
)

PICTURE = "pictures/fleet.png"
ALT = "Queries, executions of a burst, commands and latency, by the number of processes"


def page_of(document: Document) -> str:
    """Return the page, in Markdown."""
    parts = (_head, _bursts, _traffic, _pays, _takeover, _settings, _method)
    return "\n".join(line for part in parts for line in part(document)).rstrip() + "\n"


def _heading(text: str) -> Iterator[str]:
    yield f"## {text}"
    yield ""


def _table(given: Table) -> Iterator[str]:
    yield from table(given.heads, given.rows, left=given.left)


def _items(*texts: str) -> Iterator[str]:
    for text in texts:
        first, *others, _ = paragraph(text)
        yield f"- {first}"
        yield from (f"  {line}" for line in others)
    yield ""


def _head(document: Document) -> Iterator[str]:
    facts = document.environment
    packages = facts.packages
    yield "# A fleet of processes"
    yield ""
    if document.quick:
        yield from paragraph(
            "**This is from a smoke run: its figures mean nothing.**",
        )
    yield from paragraph(
        "A `Coalescer` lets calls share executions in its own process. A service that runs in N",
        "processes still asks its database N times at once, unless they share executions through",
        'a lease: `Coalescer(across=ValkeyLease(client, namespace="users"))`. Here is what that',
        "saves and what it costs, beside three other libraries that let processes share work",
        "through the same server.",
    )
    yield from paragraph(
        f"`{document.command}` measures it on a PostgreSQL and a Valkey of its own, with the",
        "table of users, the query, the traffic and the load generator of [the demo](impact.md).",
        "Worker processes are dealt the calls by chance, as by a load balancer. Every answer is",
        "checked against its row, and the executions that PostgreSQL counts",
        "(`pg_stat_statements`) against those that the workers count: one wrong answer or count",
        "makes the command fail.",
    )
    yield f"![{ALT}]({PICTURE})"
    yield ""
    yield from paragraph(
        f"Written on {facts.date}, in {document.seconds / 60:.0f} minutes. {facts.cores} cores",
        f"({facts.processor}) run the workers, the load generators in them and both servers; load",
        f"{facts.load:.1f} before and {document.load_after:.1f} after. {facts.system},",
        f"{facts.python} on asyncio, PostgreSQL {document.postgresql}, {document.valkey}, anyio",
        f"{packages['anyio']}, asyncpg {packages['asyncpg']}; the lease talks to Valkey through",
        f"coredis {packages['coredis']}, the others through redis-py {packages['redis']}. Ratios",
        "hold within a run; absolute figures change from machine to machine. All figures are in",
        "[fleet.json](fleet.json). How each library is used, and which settings were chosen for",
        "it, is [told below](#how-each-is-used).",
    )


def _bursts(document: Document) -> Iterator[str]:
    plan = document.plan
    yield from _heading("A burst")
    yield from paragraph(
        f"{plan.burst_calls} calls, dealt out evenly, at the same moment, for a key that nobody",
        f"has asked for yet; the query takes {plan.burst_query_ms:g} ms. Means of {plan.bursts}",
        "bursts, each after the one before has ended; in brackets stand the most executions of",
        "one of them, where they differ. Commands are those that all processes sent to Valkey",
        "for one burst and, apart from them, those that its scripts made there.",
    )
    yield from _table(burst_table(document))
    yield from _items(
        f"**{LOCAL.name}**: each process executes the work once.",
        f"**{LEASE.name}**: one process executes it. Each other process asks for the lease once, "
        "is told by a message that the outcome is there, and asks for that.",
        "**aiocache**: the lock is on the server, but who waits for it waits for an event in its "
        "own process. If another process has the lock there is no such event, and the call goes "
        "on at once. So do calls of the same process that are refused the lock before the event "
        "is made.",
        "**cashews**: calls share in each process, and one for each process asks for the lock, "
        "again and again until it has it. The pause in between decides how many commands that "
        "takes, and how long after the end of an execution the others learn of it. With "
        "`lock=True` there is none.",
        "**dogpile.cache**: each call that waits asks for the lock again and again, and those of "
        "all processes have it one after the other, to find the value there.",
    )


def _traffic(document: Document) -> Iterator[str]:
    plan = document.plan
    yield from _heading("The demo's traffic")
    yield from paragraph(
        f"{plan.rate:,.0f} calls per second in all, for {plan.seconds:g} seconds, {plan.hot:.0%}",
        "of them for one popular profile and the rest for any of 9,999 others; a query takes",
        f"{plan.query_ms:g} ms. If calls for a key arrive at random, L per second (a Poisson",
        "process), and the work takes S seconds, N processes that share each for itself execute",
        "it `L / (1 + L·S/N)` times a second, which tends to N/S. Those that share with each",
        "other execute it `L / (1 + L·S)` times, less than 1/S, however many they are. Who keeps",
        "a value for T seconds besides executes it `L / (1 + L·(S + T))` times. *In theory* is",
        "that, with the L and S of the cell, where S is how long an execution can be shared:",
        "with a lease from winning it to its end. There are somewhat fewer, for until the",
        "outcome has reached a process, calls there still join the flight that waits for it.",
    )
    yield from paragraph(
        "The other libraries share by a value that they keep, here for T = 1 s. So they execute",
        "less often than a lease alone, and answer with what was read up to a second before the",
        f"call. Their like is *{LEASE_AND_CACHE.name}*. What they execute above theory is what",
        "they do not share at the moments when the value is gone.",
    )
    yield from _table(traffic_table(document))
    yield from paragraph(
        "Latency is that of all calls, from when they were due. A call that joins an execution",
        "of S seconds waits for half of that on average. A call for what is kept in memory does",
        "not wait, one for what is kept on the server waits for that. Errors are calls that got",
        "an exception; the file has the names.",
    )


def _pays(document: Document) -> Iterator[str]:
    plan = document.plan
    yield from _heading("When a lease pays, and when it does not")
    yield from paragraph(
        "Each execution under a lease waits for two answers of the server, one to win the lease",
        "and one to store the outcome. Where no other process asks meanwhile, nothing is gained",
        f"by that. The last row is such traffic: {plan.low_rate:g} calls per second, spread over",
        "all users evenly, so that hardly any two calls for one key overlap.",
    )
    yield from _table(lease_table(document))
    yield from paragraph(
        "L·S/N is how many calls for the key arrive in one process during an execution, on",
        "average: the more there are, the more a lease saves. The formulas, and how to measure",
        "L·S/N in a service of your own before anything is switched on, are told [with the",
        "lease](lease.md#whether-it-pays).",
    )


def _takeover(document: Document) -> Iterator[str]:
    plan = document.plan
    ttl = plan.takeover_ttl
    yield from _heading("When the process that runs the work is killed")
    yield from paragraph(
        f"{plan.takeovers} times a process is killed by SIGKILL while it runs the work for a key",
        f"that {plan.followers * plan.follower_calls} calls in {plan.followers} other processes",
        f"have asked for. Leases and locks last {ttl:g} s. The time is that from the kill to the",
        "next execution.",
    )
    yield from _table(takeover_table(document))
    yield from paragraph(
        "A lease is renewed each third of its time, so when its process is killed two thirds of",
        "it are left at least; who waits asks again when it is over, and at most a quarter of",
        "`poll_interval` (1 s by default) later. None of the other libraries renews a lock: it",
        "is over its whole time after it was taken, here not long before the kill. So the time",
        "of a lock has to be longer than the longest execution, or others execute the work",
        "beside it; that of a lease only longer than a process may be held up.",
    )
    yield from paragraph(
        "A lock of dogpile.cache without `lock_timeout`, which is the default, is never over: a",
        "process that is killed keeps its key until somebody deletes the lock.",
    )


def _settings(document: Document) -> Iterator[str]:
    yield from _heading("How each is used")
    yield from _table(settings_table(document))
    yield from _items(
        "Leases and locks last 10 s, the default of a lease; cashews' `lock=True` gives a lock "
        "the time of the value.",
        "A value is kept for 1 s, for aiocache and dogpile.cache count in whole seconds. "
        "dogpile.cache serves one that has expired while another call makes the next, as long as "
        "the server has it, here for 2 s.",
        "Two looks at a lock are 0.01 s apart; by default that is 0.1 s for dogpile.cache, and "
        "nothing for cashews. A shorter pause means more commands, a longer one more waiting.",
        "aiocache's connections to Valkey are those of a `BlockingConnectionPool`, at most 50 in "
        "each process. By default it uses a pool that has 100 and lets nobody wait for one: of a "
        "burst of 200 calls in one process most fail.",
        "dogpile.cache is synchronous: each call holds one of 40 worker threads while it lasts. "
        "The work runs in the event loop, as for all others.",
        "All of them pass the same record, by JSON or pickle, whichever is their default.",
        f"{LOCAL.name} and {LEASE.name} keep nothing: they answer with what is being fetched "
        "while the call waits.",
    )


def _method(document: Document) -> Iterator[str]:
    plan = document.plan
    yield from _heading("Method")
    yield from paragraph(
        "Each cell, one strategy with so many processes, has new processes, an empty Valkey, and",
        f"{plan.pool} connections to PostgreSQL, divided among the processes. Each process opens",
        "the strategy, warms up with keys of its own, and then sends its part of the same trace,",
        "from the same moment on; calls start when they are due, however slow the answers are.",
        "Commands are the difference of `INFO commandstats` before and after; connections are",
        "open by then. A script is one command that is sent, and makes others, which are told",
        "apart by their names; a test compares that with `MONITOR`, which marks them. The",
        "traffic and the moments of the kills are drawn from the same seeds in each run.",
    )
