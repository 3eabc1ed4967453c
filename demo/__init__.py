"""Measure the impact: one service under the same traffic, looking users up in several ways.

Run it as `python -m demo`. The rooms, in the order in which a run passes through them:

    options.py    the command line, checked before anything starts
    schema.py     the table of users and what reads the server's counters
    traffic.py    the trace: who asks for whom, and when
    strategies.py the ways to look a user up, which are compared
    clock.py      the one clock of a run
    load.py       sends a trace on time, however slow the answers are
    ledger.py     who caused which query
    flights.py    who caused which fetch, and how long requests shared it
    sampler.py    reads the server's counter and the pool while the trace runs
    measure.py    one run of a trace against the service: a recording
    compare.py    all runs on a server
    figures.py    rates, percentiles, series: pure functions
    theory.py     how often a user is fetched, measured and expected
    summary.py    one run, and all of them
    table.py      the table beside the published figures
    report.py     what is printed, and the figures as JSON
    picture.py    the figures through time
"""
