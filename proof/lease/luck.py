"""What leases draw at random, decided by a seed."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def luck(seed: int) -> Iterator[None]:
    """Let leases draw what the seed decides, and write no log meanwhile."""
    logger = logging.getLogger("anyflight")
    state, disabled = random.getstate(), logger.disabled
    random.seed(f"lease {seed}")
    logger.disabled = True
    try:
        yield
    finally:
        random.setstate(state)
        logger.disabled = disabled
