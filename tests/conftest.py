"""The back ends on which every asynchronous test runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import ASYNCIO_BACKENDS, TRIO_BACKEND


@pytest.fixture(params=[*ASYNCIO_BACKENDS, TRIO_BACKEND])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param
