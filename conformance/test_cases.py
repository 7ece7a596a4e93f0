"""The case files themselves: form, names, and which requirements they leave out."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from airlock_conformance.cases import ROLES, Role, case_files, faults, load, setup_files
from airlock_conformance.checks import list_checks
from airlock_conformance.requirements import read_requirements

ROLES_OF: Mapping[str, tuple[Role, ...]] = {
    "daemon": ("daemon",),
    "shim": ("shim",),
    "bridge": ("bridge",),
    "both": ("daemon", "shim"),
}

_FILES = [path for role in ROLES for path in case_files(role)] + setup_files()


@pytest.mark.parametrize("path", _FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_file_follows_the_schema(path: Path) -> None:
    """Each case file and each setup follows the schema of its kind."""
    assert faults(path) == []


def test_names_are_unique() -> None:
    """No two cases of a role have the same name."""
    for role in ROLES:
        names = [case.id for case in load(role)]
        assert len(names) == len(set(names)), role


def test_each_setup_is_there() -> None:
    """Each daemon case names a setup that exists."""
    stems = {path.stem for path in setup_files()}
    assert {case.body["setup"] for case in load("daemon")} <= stems


def test_each_requirement_has_a_case_or_an_excuse() -> None:
    """Each numbered requirement is named by a case, or excused with a reason, and never both."""
    named = {reference for role in ROLES for case in load(role) for reference in case.reference}
    excused = {item.id for item in read_requirements() if item.excuse}
    listed = {item.id for item in read_requirements()}
    assert listed - named == excused
    assert named & excused == set()


def test_each_role_that_is_bound_has_a_case() -> None:
    """What binds a daemon is named by a case of a daemon, what binds a shim by one of a shim."""
    named = {
        role: {reference for case in load(role) for reference in case.reference} for role in ROLES
    }
    for item in read_requirements():
        if not item.excuse:
            bound = ROLES_OF[item.of]
            assert [role for role in bound if item.id not in named[role]] == [], item.id


def test_each_number_is_a_requirement() -> None:
    """What a case names in the form of a requirement's number is one that is listed."""
    listed = {item.id for item in read_requirements()}
    for case in [case for role in ROLES for case in load(role)] + list_checks():
        numbers = {reference for reference in case.reference if " " not in reference}
        assert numbers <= listed, case.name
