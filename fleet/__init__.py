"""Measure the fleet: some processes under the same traffic, sharing executions in several ways.

Run it as `python -m fleet`. Servers, traffic, load generator and ledger are those of `demo`. The
rooms, in the order in which a run passes through them:

    options.py    the command line
    plan.py       how much is measured: all of it, or a smoke run
    site.py       what a strategy is given: the work, and a server
    strategies.py the ways to share executions, which are compared
    rivals.py     those of other libraries
    traffic.py    what each process has to send
    crew.py       the worker processes
    sending.py    what a worker does: it sends its part of a trace
    counting.py   what Valkey has counted
    cell.py       one strategy with so many processes
    takeover.py   what happens when the process that runs the work is killed
    compare.py    all cells, on servers of their own
    figures.py    one cell in figures
    document.py   all of them, and the JSON file that holds them
    tables.py     the tables
    report.py     what is printed
    page.py       the page
    picture.py    the picture
"""
