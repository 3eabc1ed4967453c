"""How a run can end before it has figures to show."""

from __future__ import annotations

from demo.errors import DemoError


class WorkerFailedError(DemoError):
    """Raised if a worker process has failed, or does not answer."""
