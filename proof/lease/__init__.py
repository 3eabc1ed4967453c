"""Leases over a simulated server and network: the algorithm is the real one, all else is drawn.

A run has processes, each with a lease of its own and perhaps a coalescer before it, in one event
loop of Trio with a virtual clock. The modules:

    plans.py        what a program is: frozen data
    programs.py     random programs, one for each seed
    history.py      what happened in a run
    server.py       a `MemoryStore`, which may lose its memory
    network.py      carries requests, answers and messages: late, never, or half the way
    client.py       the store of a process, which asks the server through the network
    freezer.py      pauses processes, and kills them
    troubles.py     what befalls processes and the server
    work.py         what the functions do, and how values cross processes
    world.py        plays a program
    leftovers.py    what must not be there in the end
    ledger.py       goes through what the server did, and says what was wrong with it
    evidence.py     what can be concluded from a history
    wait_rules.py   rules about waiting
    use_rules.py    rules about what a call may be given
    work_rules.py   rules about when work runs
    end_rules.py    rules about what is left, and the counters
    oracle.py       all rules together
    store_faults.py faults of a server, to be found
    faults.py       those, and faults of its clients
    luck.py         seeds what leases draw
    crowd.py        many processes without troubles
    crowd_theory.py     what is to be expected of them
    crowd_figures.py    which are observed, and the tables
    crowd_picture.py    the picture
    crowd_command.py    the command that writes both
"""
