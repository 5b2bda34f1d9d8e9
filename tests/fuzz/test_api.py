"""Whatever is sent to the API: no 5xx, answers as documented, unknown fields and strangers refused, refusals kept nowhere."""

from __future__ import annotations

import pytest

from tests.fuzz import api


@pytest.mark.slow
async def test_the_api_keeps_to_its_document(redis_url: str) -> None:
    """The same requests each time; `python -m tests.fuzz api` tries others, for as long as wished."""
    status, said = await api.run(redis_url, "--max-examples", "2", "--seed", "1")
    assert status == 0, said
    assert "No issues found" in said, said
