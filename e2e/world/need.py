"""Requirements of tests on this machine: without them a test is skipped.

REQUIRE_TOOLS=1 in the environment makes it fail instead, so that a machine that has everything
never skips silently.
"""

import os

import pytest


def need(reason: str | None) -> None:
    """Skip the test unless `reason` is None; with REQUIRE_TOOLS=1 fail it instead."""
    if reason and os.environ.get("REQUIRE_TOOLS") == "1":
        pytest.fail(f"REQUIRE_TOOLS=1, but {reason}")
    if reason:
        pytest.skip(reason)
