"""With ``GATEWAY_TEST_NO_SKIP=1`` a skipped test is a failed one: where everything is installed, nothing may hide.

The variable is taken out of the environment at once, since gateways that tests start refuse unknown ``GATEWAY_`` names.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any, Final

import pytest

VARIABLE: Final = "GATEWAY_TEST_NO_SKIP"
_OPTION: Final = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read the wish: from the environment, or in a worker of xdist from the process that started it."""
    from_parent: dict[str, Any] = getattr(config, "workerinput", {})
    wanted = os.environ.pop(VARIABLE, "") not in {"", "0"}
    config.stash[_OPTION] = bool(from_parent.get(VARIABLE, wanted))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the wish to a worker of xdist, whose node has no public type."""
    node.workerinput[VARIABLE] = node.config.stash[_OPTION]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail skipped tests; an expected failure (xfail) is no skip."""
    report = yield
    if item.config.stash[_OPTION] and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail modules skipped as a whole (``importorskip``, ``skip(allow_module_level=True)``)."""
    report = yield
    if collector.config.stash[_OPTION] and report.outcome == "skipped":
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn the skip into a failure that quotes its reason."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid}: skipped although {VARIABLE} is set: {reason}"
