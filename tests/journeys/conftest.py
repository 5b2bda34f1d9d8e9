from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.support.running import Running, running


@pytest.fixture
async def gw(redis_url: str, tmp_path: Path) -> AsyncGenerator[Running]:
    """A whole gateway with look-alike carriers."""
    async with running(redis_url, tmp_path) as made:
        yield made
