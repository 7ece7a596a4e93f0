"""``./dev lowest``: the packages' own tests with the lowest dependencies that they declare."""

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
"""What holds modules against the tools that are installed, reads our own sources, or tries the
launcher and the boxes that it makes: it takes longest, and has no more to do with the packages'
dependencies than the tests beside it."""


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
    command = [str(environment.python), "-m", "pytest", *folders]
    command += [f"--ignore={folder}" for folder in LEFT_OUT]
    return environment.run([*command, *SLOWEST, *SHORT, *arguments])
