"""The figures of fairness: that they come about, not how large they are."""

import pytest
from e2e.hostile.fairness import measure_fairness, print_table
from e2e.hostile.flood import FLOODS


@pytest.mark.parametrize("flood", FLOODS)
def test_an_honest_agent_is_served_under_a_flood(flood: str, figures: list[str]) -> None:
    """Each of its calls is carried out while another agent takes all that it can get."""
    (figure,) = measure_fairness(40, floods=(flood,))
    print_table([figure], lambda line: figures.append(line) if flood in line else None)
    assert figure.calls == 40
    assert figure.refused == 0
