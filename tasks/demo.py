"""``./dev demo``: shows Airlock at work on this machine."""

import os
import shutil
from collections.abc import Sequence
from typing import NoReturn

from tasks.environment import prepare_environment
from tasks.errors import TaskError
from tasks.places import ROOT


def run_demo(arguments: Sequence[str]) -> NoReturn:
    """Execute the demo (``demo/__main__.py``) in this process, so it gets the signals."""
    if shutil.which("git") is None:
        raise TaskError("git is needed and is not on PATH; on Debian and Ubuntu: apt install git")
    environment = prepare_environment("demo")
    os.chdir(ROOT)
    command = [str(environment.python), "-m", "demo", *arguments]
    os.execve(command[0], command, environment.variables())
