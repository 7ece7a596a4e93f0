"""Tests of `airlock_daemon.platform.byte_lock`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airlock_daemon.platform.byte_lock import find_holder, lock_byte

OFFSET = 1 << 61

HOLD = f"""
import os, sys
from airlock_daemon.platform.byte_lock import lock_byte
lock_byte(os.open(sys.argv[1], os.O_RDWR), {OFFSET})
print(flush=True)
sys.stdin.read()
"""


def test_the_kernel_names_the_process_that_holds_a_byte(tmp_path: Path) -> None:
    """For that byte alone, and until the process ends."""
    path = tmp_path / "file"
    path.touch()
    file = os.open(path, os.O_RDWR)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert find_holder(file, OFFSET) == holder.pid
        assert find_holder(file, OFFSET + 1) is None
        with pytest.raises(BlockingIOError):
            lock_byte(file, OFFSET)
    assert find_holder(file, OFFSET) is None
    os.close(file)
