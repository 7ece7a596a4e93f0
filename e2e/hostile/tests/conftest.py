"""What was tried is told at the end, whatever came of it."""

import os

import pytest
from e2e.hostile.campaign import Report

REPORTS = pytest.StashKey[list[Report]]()
FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what the tests have to tell."""
    config.stash[REPORTS] = []
    config.stash[FIGURES] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell how many attacks were tried, and the figures of soak and fairness."""
    terminalreporter.section("hostile clients")
    reports = config.stash[REPORTS]
    for report in reports:
        terminalreporter.line(f"{report.family.name}: {report.tried} attacks")
        for attack in report.untried:
            terminalreporter.line(f"  not tried: {attack}")
    tried = sum(report.tried for report in reports)
    broken = sum(len(report.faults) for report in reports)
    terminalreporter.line(f"{tried} attacks tried, {broken} not stood")
    for line in config.stash[FIGURES]:
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def may_look() -> None:
    """Skip where nobody could look into a daemon for what an attack has left."""
    if os.geteuid() != 0:
        pytest.skip("a daemon keeps itself to itself, and only root may look into it")


@pytest.fixture
def reports(request: pytest.FixtureRequest) -> list[Report]:
    """Reports that are told at the end."""
    return request.config.stash[REPORTS]


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are told at the end."""
    return request.config.stash[FIGURES]
