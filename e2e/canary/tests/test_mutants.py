"""The launchers with a fault: what is replaced in their sources is there to be replaced."""

import pytest
from e2e.canary.boxes.mutants import CHANGES, SOURCES


@pytest.mark.parametrize("guard", CHANGES)
def test_what_a_guard_is_taken_away_by_is_there_once(guard: str) -> None:
    """As a change of the launcher is to find out without building it."""
    found = [(name, text) for name, text, _ in CHANGES[guard]]
    assert [(SOURCES / name).read_text().count(text) for name, text in found] == [1] * len(found)
