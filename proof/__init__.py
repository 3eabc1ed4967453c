"""The proof harness: what tries to show that a law of anyflight does not hold.

Run it as `python -m proof`, or `nox -s prove`; see docs/proof.md. The modules:

    plans.py            what a program is: frozen data
    programs.py         random programs, one for each seed
    scenarios.py        small programs, one for each path through the coalescer
    ways.py             the ways to be cancelled
    setting.py          what a program is played with: coalescer, limiter, instrument
    stage.py            plays a program in an event loop: owner, callers, work
    world.py            what of that is a coalescer's
    invariants.py       what must hold at every moment
    history.py          what happened in a run
    evidence.py         what can be concluded from that
    outcome_rules.py    rules about what each call is given
    time_rules.py       rules about when functions are called, and when calls end
    policy_rules.py     rules about what policies promise
    policy_outcomes.py  what a call is given because of one
    oracle.py           all rules together
    loader_plans.py     for batch loaders: what a program is
    loader_programs.py  random ones
    loader_scenarios.py small ones, one for each path
    loader_world.py     the loaders, and what their batches do
    loader_history.py   what a history tells of batches
    loader_evidence.py  what can be concluded from that
    loader_outcomes.py  rules about what each call is given
    loader_rules.py     rules about the flights of keys
    batch_rules.py      rules about batches, and the two laws of these
    loader_faults.py    faults to be found
    cache_plans.py      for caches: what a program is
    cache_programs.py   random ones
    cache_scenarios.py  small ones, one for each path
    cache_world.py      the cache, and what its functions do
    cache_store.py      its second tier: honest, slow, and it may fail
    cache_invariants.py what must hold within it at every moment
    cache_history.py    what a history tells of values
    cache_evidence.py   what can be concluded from that
    cache_outcomes.py   rules about what each call is given
    cache_rules.py      rules about what is kept, and the six laws of that
    fetch_rules.py      rules about the executions that fill it
    cache_faults.py     faults to be found
    subjects.py         what is under proof
    shuffled_loop.py    asyncio with a virtual clock and a seeded schedule
    trio_schedule.py    the same for Trio
    tasks.py            finds the leaders' tasks from outside
    backends.py         the back ends by name
    checking.py         one program on one back end
    search.py           the programs of many seeds
    shrink.py           makes a program that fails smaller
    checkpoints.py      cancels somebody at each step of a program
    planting.py         plants a fault, and looks for it
    faults.py           those of published libraries, to be found by all this
    policy_faults.py    those in what policies promise
    model.py            the flight table against its model
    soak.py             millions of calls, and flat memory
    mutator.py          changes a module in one place
    mutants.py          runs the tests against each such change
    unshrunk.py         has Hypothesis spend no time on shrinking, for the mutants
    watchdog.py         ends what hangs in real time
"""
