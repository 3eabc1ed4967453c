"""A plugin of pytest: a profile of Hypothesis that does not shrink what fails.

Of a mutant one wants to know that it fails; in what smallest way would cost many seconds.
"""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile(
    "unshrunk", derandomize=True, deadline=None, phases=(Phase.explicit, Phase.generate)
)
