"""Measure the impact: one service under the same traffic, without and with coalescing.

Run it as `python -m demo`. The rooms, in the order in which a run passes through them:

    options.py    the command line, checked before anything starts
    postgres.py   a PostgreSQL server of its own, gone afterwards
    schema.py     the table of users and what reads the server's counters
    traffic.py    the trace: who asks for whom, and when
    clock.py      the one clock of a run
    load.py       sends a trace on time, however slow the answers are
    ledger.py     who caused which query
    sampler.py    reads the server's counter and the pool while the trace runs
    measure.py    one run of a trace against the service: a recording
    compare.py    both runs on a server
    figures.py    rates, percentiles, series: pure functions
    summary.py    one run, and two compared
    report.py     the table and the figures as JSON
    picture.py    the figures through time
"""
