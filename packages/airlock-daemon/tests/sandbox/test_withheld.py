"""Which variables a box never has, by their names."""

import pytest

from airlock_daemon.sandbox.environment import is_withheld


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SSH_AUTH_SOCK", True),
        ("aws_session_token", True),
        ("AWS_" + "X" * 1000, True),
        ("DOCKER_" + "X" * 57, True),
        ("DOCKER_" + "X" * 58, True),
        ("AWS_REGION", False),
        ("X" * 1000, False),
        ("PATH", False),
    ],
)
def test_a_name_is_judged_alike_however_long_it_is_and_whenever_it_is_asked_for(
    name: str, expected: bool
) -> None:
    """What is remembered of short names is what is found of them."""
    assert [is_withheld(name) for _ in range(3)] == [expected] * 3
