"""Files of /proc are read whole, or not at all where somebody has made them too long."""

import errno
import os
from pathlib import Path

import pytest

from airlock_daemon.platform.linux.processes import (
    name_descriptor,
    read_process_entry,
    read_process_file,
)


def test_a_file_is_read_whole() -> None:
    """Also where the kernel gives it in pieces."""
    text = Path("/proc/self/mountinfo").read_text()
    assert read_process_file(os.getpid(), "mountinfo") == text
    assert read_process_file(os.getpid(), "mountinfo", limit=len(text.encode())) == text
    assert read_process_entry(os.getpid(), "cgroup") == Path("/proc/self/cgroup").read_text()


def test_a_file_that_is_too_long_is_an_error() -> None:
    """Nobody has the daemon read for ever."""
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        read_process_file(os.getpid(), "mountinfo", limit=10)


def test_a_process_that_is_gone_is_an_error() -> None:
    """The caller says what that means."""
    with pytest.raises(FileNotFoundError):
        read_process_file(2**22 + 1, "mountinfo")


def test_a_descriptor_is_called_what_the_kernel_calls_it(tmp_path: Path) -> None:
    """By its number now: one that was closed has no name, and another file under it has its own."""
    number = os.open(tmp_path, os.O_PATH)
    assert name_descriptor(number) == str(tmp_path)
    os.close(number)
    with pytest.raises(FileNotFoundError):
        name_descriptor(number)
    reading, writing = os.pipe()
    assert (
        name_descriptor(reading) == name_descriptor(writing) == f"pipe:[{os.fstat(reading).st_ino}]"
    )
    os.close(reading)
    os.close(writing)
