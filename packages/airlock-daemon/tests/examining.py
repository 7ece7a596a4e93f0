"""Running single `doctor` checks on a world."""

import os
from pathlib import Path

from airlock_daemon.admin.doctor.checks import CHECKS
from airlock_daemon.admin.doctor.surroundings import Surroundings
from airlock_daemon.errors import SetupError
from airlock_daemon.files import Finding
from airlock_daemon.setup.status import DaemonStatus
from worlds import World


def around(world: World, root: Path | None = None, **environment: str) -> Surroundings:
    """The input of `doctor` for a caller with these variables and the tests' PATH."""
    try:
        setup = world.load()
    except SetupError:
        setup = None
    return Surroundings(
        locations=world.locations,
        setup=setup,
        status=DaemonStatus.find(world.locations),
        environment={"PATH": os.environ["PATH"], **environment},
        root=str(root or "/"),
    )


def find(name: str, surroundings: Surroundings) -> list[Finding]:
    """The findings of the check of this name."""
    (check,) = (check for check in CHECKS if check.name == name)
    found = list(check.run(surroundings))
    for each in found:
        assert each.source
        assert each.problem
        assert each.remedy
    return found


def write_program(folder: Path, name: str, text: str) -> None:
    """Write an sh script as a program."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
