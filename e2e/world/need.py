"""What a test needs of this machine: without it the test is skipped, or fails where it must not be.

REQUIRE_TOOLS=1 in the environment is for a machine that has everything, so that nothing is left
out there without a word.
"""

import os

import pytest


def need(reason: str | None) -> None:
    """Skip the test for this reason, if it is one; with REQUIRE_TOOLS=1 it fails instead."""
    if reason and os.environ.get("REQUIRE_TOOLS") == "1":
        pytest.fail(f"REQUIRE_TOOLS=1, but {reason}")
    if reason:
        pytest.skip(reason)
