"""The policy vectors: their files, and what a daemon's own modules decide about them."""

from pathlib import Path

import pytest

from airlock_conformance.cases import Case
from airlock_conformance.checks import Checks
from airlock_conformance.daemons import Daemons
from airlock_conformance.outcomes import NOT_JUDGED
from airlock_conformance.policy_role import run_policy_case
from airlock_conformance.vector_review import repeated_ids, review
from airlock_conformance.vectors import form_faults, read_vectors, vector_files
from airlock_conformance.violation import NotJudged


@pytest.mark.parametrize("path", vector_files(), ids=lambda path: path.stem)
def test_file_follows_the_schema(path: Path) -> None:
    """Each vector file follows the schema."""
    assert form_faults(path) == []


@pytest.mark.parametrize("path", vector_files(), ids=lambda path: path.stem)
def test_file_says_something(path: Path) -> None:
    """Flags resolve, and each of enough classes has its spellings and an everyday neighbour."""
    assert review(read_vectors(path), path) == []


def test_ids_are_unique() -> None:
    """No two vectors of all tools have the same id."""
    assert repeated_ids(map(read_vectors, vector_files())) == []


def test_policy(policy_case: Case, daemons: Daemons, checks: Checks) -> None:
    """The daemon's module of the tool decides the vector as it says."""
    with daemons.serving("policy") as (installation, seconds):
        try:
            run_policy_case(policy_case, installation, patience=seconds, checks=checks)
        except NotJudged as reason:
            pytest.skip(f"{NOT_JUDGED}{reason}")
