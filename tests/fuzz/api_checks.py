"""What schemathesis is told beside the document: NDJSON, and the promise that a refused request leaves nothing behind."""

from __future__ import annotations

import os
from typing import Any, Final, cast

import redis
import schemathesis

_tool: Final = cast("Any", schemathesis)  # its decorators are typed in part only
_store: Final = cast("Any", redis).Redis.from_url(os.environ["GATEWAY_FUZZ_REDIS"])
_before: dict[str, int] = {}


def _writes() -> int:
    """How often anything has been written since the server started; nobody else uses it meanwhile."""
    return int(_store.info("persistence")["rdb_changes_since_last_save"])


@_tool.serializer("application/x-ndjson")
def ndjson(_ctx: object, value: object) -> bytes:
    """Lines as they are."""
    return str(value).encode("utf-8", "replace")


@_tool.hook
def before_call(_ctx: object, _case: object, _kwargs: dict[str, Any]) -> None:
    """Remember how far the store was."""
    _before.update(writes=_writes(), keys=_store.dbsize())


@_tool.check
def nothing_stored(_ctx: object, response: Any, case: Any) -> None:
    """A refusal writes nothing. With an Idempotency-Key it may claim the key, and must have let it go again."""
    if response.status_code < 400 or not _before:
        return
    keyed = any(name.lower() == "idempotency-key" for name in case.headers or ())
    made = _store.dbsize() - _before["keys"] if keyed else _writes() - _before["writes"]
    if made:
        raise AssertionError(f"a request refused with {response.status_code} has written")
