"""Checks the host: all that `airlock doctor` says of it."""

import os

import msgspec

from airlock_daemon.admin.doctor.boxes import name_box, write_apparmor, write_seccomp
from airlock_daemon.admin.doctor.checks import CHECKS, run_checks
from airlock_daemon.admin.doctor.surroundings import Surroundings
from airlock_daemon.errors import SetupError
from airlock_daemon.files import Finding
from airlock_daemon.setup.generation import Locations, Setup
from airlock_daemon.setup.status import DaemonStatus

__all__ = ["CHECKS", "Report", "examine", "write_apparmor", "write_seccomp"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The findings, the notes, and what makes boxes here, in the words of records."""

    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    boxes: str


def examine(locations: Locations) -> Report:
    """Run all checks with the files at `locations`, and the caller's environment."""
    try:
        setup = Setup.load(locations)
    except SetupError:
        setup = None
    around = Surroundings(
        locations=locations,
        setup=setup,
        status=DaemonStatus.find(locations),
        environment=os.environ,
    )
    found = tuple(run_checks(around))
    return Report(
        findings=tuple(each for each in found if not each.is_note),
        notes=tuple(each for each in found if each.is_note),
        boxes=name_box(around),
    )
