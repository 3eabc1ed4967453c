"""Measure what a call costs, beside the floor and beside rivals, and write the page about it.

Run it as `nox -s bench`, or `python -m benchmarks` where the dependency group `bench` is installed;
`--help` tells the options. One file is one question:

    miss.py          what an uncontended call costs
    joiners.py       what a joiner of one key costs
    joiner_parts.py  where the time of a joiner goes
    many_keys.py     what a call costs in a mixture of both
    errors.py        what a caller costs when the work fails
    cancelled.py     what a caller costs when half of the joiners are cancelled
    checks.py        what checks of bad use, and instruments, cost
    parts.py         where the microseconds of an uncontended call go
    designs.py       which way to run a leader is the cheapest
    cache_hits.py    what a call costs whose value is in the cache
    cache_misses.py  what a call costs whose value has to be loaded
    expiry.py        how often the work is executed when a hot key expires
    hot_key.py       how often in the long run, beside the theory
    scale.py         what changes from ten calls in flight to a million

And what they share:

    _backends.py     the event loops
    _crowd.py        many callers at once
    _work.py         the work that they call for
    _rivals.py       the other libraries, and the check of their cancel-safety
    _caches.py       the other caches; _cache_claims.py lists what a probe looks for in each
    _virtual_time.py time that passes at once when every task waits
    _measure.py      rounds and ratios
    _questions.py    the files above, in order
    _environment.py  machine and versions
    _document.py     all that a run has found, and its file
    _targets.py      met or not met
    _markdown.py     paragraphs and tables in Markdown
    _tables.py       figures, and the tables of a question
    _page.py         the page
    _picture.py      the curves

Which entry a full cache drops is a matter of its own, without event loops: benchmarks/eviction/.
"""
