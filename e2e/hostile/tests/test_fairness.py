"""The figures of fairness: that they come about, not how large they are."""

import os
import shutil

import pytest
from e2e.hostile.fairness import measure_fairness, print_table
from e2e.hostile.flood import FLOODS, HOGS


@pytest.mark.parametrize("flood", FLOODS)
def test_an_honest_agent_is_served_under_a_flood(flood: str, figures: list[str]) -> None:
    """Each of its calls is carried out while another agent takes all that it can get."""
    (figure,) = measure_fairness(40, floods=(flood,))
    print_table([figure], lambda line: figures.append(line) if flood in line else None)
    assert figure.calls == 40
    assert figure.refused == 0


@pytest.mark.skipif(
    not os.environ.get("REQUIRE_TOOLS") and shutil.which("bwrap") is None,
    reason="needs bubblewrap",
)
@pytest.mark.parametrize("hog", HOGS)
def test_an_honest_agent_has_its_boxes_while_another_takes_what_it_can(
    hog: str, figures: list[str]
) -> None:
    """The other one's processes, memory, files and time are its own boxes' matter."""
    (figure,) = measure_fairness(20, floods=(hog,))
    print_table([figure], lambda line: figures.append(line) if hog in line else None)
    assert figure.calls == 20
    assert figure.refused == 0
