"""The names of features, and their valid combinations."""

from itertools import combinations

import pytest

from airlock_wire import FEATURES
from airlock_wire.events import find_conflict


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_works_alone(feature: str) -> None:
    """No feature needs another one."""
    assert find_conflict({feature}, stdin_credit=int(feature == "stdin")) is None


def test_all_but_the_descriptors_work_together() -> None:
    """So do the descriptors and the features unrelated to streams."""
    assert find_conflict(set(FEATURES) - {"fds"}, stdin_credit=1) is None
    assert find_conflict({"fds", "signals", "exit-signal", "env"}, stdin_credit=0) is None


def test_descriptors_stand_in_for_streams() -> None:
    """Features of streams cannot be used together with them."""
    for first, second in combinations(FEATURES, 2):
        conflict = find_conflict({first, second}, stdin_credit=int("stdin" in {first, second}))
        is_conflict = second == "fds" and first in {"base64", "stdin", "tty"}
        assert (conflict is not None) == is_conflict


@pytest.mark.parametrize(
    ("features", "credit"), [({"stdin"}, 0), ({"stdin"}, -1), (set(), 1), ({"tty"}, 1)]
)
def test_credit_goes_with_stdin(features: set[str], credit: int) -> None:
    """One without the other is an error."""
    assert "stdin" in (find_conflict(features, stdin_credit=credit) or "")
