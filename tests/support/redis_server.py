"""A throw-away Redis for tests: the binary the gateway itself would run, on a unix socket, in memory alone."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

from gateway.store.server_binary import find_binary

# Ends the server when our end of its standard input closes, so also when pytest itself is killed.
_KEEPER: Final = '"$@" & exec >/dev/null 2>&1; read -r _; kill -9 $!; wait $!; rm -rf "$0"'


@contextlib.contextmanager
def throwaway_redis() -> Generator[str]:
    """Start a server, give its `unix://` URL, end it and remove what it left."""
    # Not pytest's own directories: their paths can be longer than a socket's may be.
    home = Path(tempfile.mkdtemp(prefix="gw-redis-"))
    options = {
        "port": "0",
        "unixsocket": str(home / "s"),
        "dir": str(home),
        "save": "",
        "appendonly": "no",
        "maxmemory": str(512 * 2**20),
        "maxmemory-policy": "noeviction",
        "hash-max-listpack-value": "2048",
        "stream-node-max-bytes": "512",
        "databases": "1",
    }
    command = [find_binary().path, *(part for name, value in options.items() for part in (f"--{name}", value))]
    # A session of its own, so that Ctrl-C reaches pytest alone and the teardown still finds a server.
    with subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, str(home), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        said: list[bytes] = []
        for line in server.stdout:
            said.append(line)
            if b"Ready to accept connections" in line:
                break
        else:
            raise AssertionError(b"".join(said).decode(errors="replace"))
        # A full pipe would stop the server at its next line of log.
        drain = threading.Thread(target=_swallow, args=(server.stdout,), daemon=True)
        drain.start()
        try:
            yield f"unix://{home / 's'}"
        finally:
            server.stdin.close()
            server.wait()
            drain.join()


def _swallow(lines: Iterator[bytes]) -> None:
    for _ in lines:
        pass
