"""Fuzz for as long as wished: `python -m tests.fuzz [--seconds 600] [target …]`, with `api` for the HTTP API as a whole.

Every parser is fuzzed by libFuzzer, guided by coverage, in a process of its own. What breaks one is printed, and kept
under `--keep`; a line of it in `seeds/<target>.txt` then tries it for ever.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

_OPTIONS: Final = ("-timeout=25", "-rss_limit_mb=2048", "-max_len=8192", "-verbosity=0", "-print_final_stats=0")
_WATCHED: Final = ["gateway", "flufl.bounce", "wechatpy"]
API: Final = "api"


def main() -> int:
    """How many targets were broken."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("--seconds", type=int, default=600, help="for each target (600)")
    asked.add_argument("--seed", type=int, default=0, help="0: another one each time")
    asked.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()), help="where findings are kept")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once (one for each CPU)")
    asked.add_argument("targets", nargs="*", metavar="target", help="all of them, if none is named")
    given = asked.parse_args()
    fuzzer: Any = importlib.import_module("atheris")  # without types, and without a wheel for some machines
    with fuzzer.instrument_imports(include=_WATCHED):
        targets = importlib.import_module("tests.fuzz.targets")
    wanted: list[str] = given.targets or [*targets.TARGETS, API]
    if unknown := set(wanted) - {*targets.TARGETS, API}:
        asked.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join((*targets.TARGETS, API))}")
    seed: int = given.seed or random.SystemRandom().randrange(1, 2**31)
    say(f"{len(wanted)} targets, {given.seconds} s each, seed {seed}")
    broken = 0
    for held in _parsers(fuzzer, targets, [name for name in wanted if name != API], given, seed):
        broken += not held
    if API in wanted:
        broken += not _api(given.seconds, seed)
    return broken


def say(words: str) -> None:
    """One line or more for whoever watches."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def _parsers(fuzzer: Any, targets: Any, names: list[str], given: argparse.Namespace, seed: int) -> Iterator[bool]:
    """Fuzz parsers, `jobs` at once, each in a child of its own, since libFuzzer ends the process it runs in."""
    folder, parent = Path(tempfile.mkdtemp()), os.getpid()
    waiting, running = list(names), dict[int, str]()
    try:
        while waiting or running:
            while waiting and len(running) < given.jobs:
                name = waiting.pop(0)
                corpus = folder / name
                corpus.mkdir()
                for number, one in enumerate(targets.seeds(name)):
                    (corpus / str(number)).write_bytes(one)
                child = os.fork()
                if child == 0:
                    _become(fuzzer, targets.TARGETS[name], given, seed, corpus)
                running[child] = name
            child, status = os.wait()
            name, held = running.pop(child), os.waitstatus_to_exitcode(status) == 0
            if not held:
                say(_log(folder / name).read_text(errors="replace")[-4000:])
            say(f"{name}: {'held' if held else 'BROKEN'}")
            yield held
    finally:
        if os.getpid() == parent:  # a child that ends runs this, too
            shutil.rmtree(folder)


def _log(corpus: Path) -> Path:
    """Where the fuzzer of a corpus writes what it says."""
    return corpus.with_suffix(".log")


def _become(fuzzer: Any, target: Any, given: argparse.Namespace, seed: int, corpus: Path) -> NoReturn:
    """Turn this process into the fuzzer of one target."""
    said = os.open(_log(corpus), os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    limits = (f"-max_total_time={given.seconds}", f"-seed={seed}", f"-artifact_prefix={given.keep}/{corpus.name}-")
    fuzzer.Setup([sys.argv[0], *_OPTIONS, *limits, str(corpus)], target)
    fuzzer.Fuzz()
    os._exit(0)


def _api(seconds: int, seed: int) -> bool:
    """Run schemathesis for about that long."""
    from tests.fuzz import api
    from tests.support.redis_server import throwaway_redis

    with throwaway_redis() as url:
        status, said = asyncio.run(api.run(url, "--max-time", str(seconds), "--seed", str(seed)))
    say(said if status else f"{API}: held")
    return status == 0


if __name__ == "__main__":
    sys.exit(main())
