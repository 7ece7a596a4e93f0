"""``./dev lowest``: the packages' unit tests with their lowest declared dependencies."""

from collections.abc import Sequence

from tasks.environment import prepare_environment
from tasks.lock.declared import LOWEST, list_run_time
from tasks.parts import SHORT, SLOWEST
from tasks.places import ROOT
from tasks.release.tag import list_packages

LEFT_OUT = (
    "packages/airlock-modules/tests/builtin",
    "packages/airlock-daemon/tests/test_messages.py",
    "packages/airlock-daemon/tests/boundary/command",
    "packages/airlock-daemon/tests/boundary/box",
)
"""Tests that compare modules with installed tools, read our own sources, or test the launcher and
its boxes: they take longest, and depend no more on the packages' dependencies than others."""


def run_lowest(arguments: Sequence[str]) -> int:
    """Run the unit tests of each package that depends on others, and return pytest's exit status.

    Skips LEFT_OUT; further arguments go to pytest.
    """
    folders = [
        str(package.folder.relative_to(ROOT))
        for package in list_packages()
        if list_run_time((package.name,))
    ]
    environment = prepare_environment(LOWEST)
    command = [str(environment.python), "-m", "pytest", *folders]
    command += [f"--ignore={folder}" for folder in LEFT_OUT]
    return environment.run([*command, *SLOWEST, *SHORT, *arguments])
