"""Choose what bounds the cache in memory: which entry goes when it is full.

Run it as `nox -s eviction`, or `python -m benchmarks.eviction` where the dependency group `bench`
is installed; it writes docs/eviction.md, its figures and its picture. One file is one question:

    hit_ratios.py    how many requests a policy answers, beside the best that is possible
    costs.py         what a hit costs, and a miss with the insertion and the eviction after it
    footprints.py    what an entry takes in memory, and an import in time
    probes.py        what a library does with odd keys, with finalizers, and on its own

And what they share:

    traces.py        who asks for what, seeded
    optimum.py       the best that is possible
    policies.py      policies in a few lines over what Python has
    contestants.py   those, and the libraries, behind one face
    _document.py     all that a run has found, and its file
    _page.py         the page
    _picture.py      the picture
"""
