"""The table of AWS's operations that airlock-modules ships."""

import importlib.util
import json
import os
import zlib

import pytest
from tasks.aws_operations import TABLE, read_models

HAS_BOTOCORE = importlib.util.find_spec("botocore") is not None


@pytest.mark.nightly
@pytest.mark.skipif(
    not HAS_BOTOCORE and os.environ.get("REQUIRE_TOOLS") != "1",
    reason="botocore is not installed in the environment of the tests",
)
def test_the_table_is_that_of_the_locked_botocore() -> None:
    """After a change of the lock it is written anew: python -m tasks.aws_operations."""
    assert json.loads(zlib.decompress(TABLE.read_bytes())) == json.loads(json.dumps(read_models()))


def test_the_table_is_small() -> None:
    """It is in every wheel, and in the memory of each process that speaks to AWS."""
    assert TABLE.stat().st_size < 200_000
