"""How many attacks were tried, and how many got something, is told at the end."""

import os
from collections.abc import Callable
from functools import partial
from itertools import chain

import pytest
from e2e.canary.run import Told
from e2e.world import sshd
from e2e.world.need import need

_PROPERTY = "told"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the figures."""
    terminalreporter.section("canaries")
    for report in chain(*terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport) and report.when == "call":
            for name, line in report.user_properties:
                if name == _PROPERTY:
                    terminalreporter.line(str(line))


@pytest.fixture(autouse=True)
def may_attack() -> None:
    """Skip where there is no server to be reached, or nobody may look into a daemon."""
    need(sshd.why_not())
    if os.geteuid() != 0:
        pytest.skip("a daemon keeps itself to itself, and only root may look into it")


@pytest.fixture
def told(record_property: Callable[[str, object], None]) -> Told:
    """Return what has a line told at the end."""
    return partial(record_property, _PROPERTY)
