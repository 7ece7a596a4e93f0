"""Tests of `airlock_daemon.platform.private_file`."""

import os
import stat
import sys
from pathlib import Path

import pytest

from airlock_daemon.platform.private_file import private_file


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_file_can_be_read_repeatedly_and_is_gone_afterwards(
    system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a library reads a certificate and its key from one file."""
    monkeypatch.setattr(sys, "platform", system)
    descriptors = os.listdir("/proc/self/fd")
    with private_file("name", b"secret") as path:
        assert [Path(path).read_bytes() for _ in range(2)] == [b"secret"] * 2
        assert system == "linux" or stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert not os.path.exists(path)
    assert os.listdir("/proc/self/fd") == descriptors
