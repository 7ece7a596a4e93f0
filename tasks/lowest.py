"""``./dev lowest``: the packages' own tests with the lowest dependencies that they declare."""

from collections.abc import Sequence

from tasks.environment import prepare_environment
from tasks.lock.declared import LOWEST, list_run_time
from tasks.places import ROOT
from tasks.release.tag import list_packages


def run_lowest(arguments: Sequence[str]) -> int:
    """Run the unit tests of each package that depends on others, and return pytest's exit status.

    Further arguments go to pytest.
    """
    folders = [
        str(package.folder.relative_to(ROOT))
        for package in list_packages()
        if list_run_time((package.name,))
    ]
    environment = prepare_environment(LOWEST)
    return environment.run([environment.python, "-m", "pytest", *folders, *arguments])
