"""How many attacks were tried, and how many got something, is told at the end."""

import os

import pytest
from e2e.world import sshd
from e2e.world.need import need

TOLD = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what the tests have to tell."""
    config.stash[TOLD] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell the figures."""
    terminalreporter.section("canaries")
    for line in config.stash[TOLD]:
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def may_attack() -> None:
    """Skip where there is no server to be reached, or nobody may look into a daemon."""
    need(sshd.why_not())
    if os.geteuid() != 0:
        pytest.skip("a daemon keeps itself to itself, and only root may look into it")


@pytest.fixture
def told(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are told at the end."""
    return request.config.stash[TOLD]
