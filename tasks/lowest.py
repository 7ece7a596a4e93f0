"""``./dev lowest``: the packages' own tests with the lowest dependencies that they declare."""

from collections.abc import Sequence

from tasks.environment import prepare_environment
from tasks.lock.declared import LOWEST, list_run_time
from tasks.places import ROOT
from tasks.release.tag import list_packages

LEFT_OUT = "packages/airlock-modules/tests/builtin"
"""Holds built-in modules against the tools that are installed, which takes longest and has no more
to do with the packages' dependencies than the tests beside it."""


def run_lowest(arguments: Sequence[str]) -> int:
    """Run the unit tests of each package that depends on others, and return pytest's exit status.

    LEFT_OUT is left out; further arguments go to pytest.
    """
    folders = [
        str(package.folder.relative_to(ROOT))
        for package in list_packages()
        if list_run_time((package.name,))
    ]
    environment = prepare_environment(LOWEST)
    command = [str(environment.python), "-m", "pytest", *folders, f"--ignore={LEFT_OUT}"]
    return environment.run([*command, *arguments])
