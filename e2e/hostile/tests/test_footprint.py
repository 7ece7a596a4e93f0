"""What a process holds is seen from outside."""

import os
import subprocess
from pathlib import Path

from e2e.hostile.footprint import forget_peak, measure, read_memory, read_ticks


def test_descriptors_children_and_tools_are_seen(tmp_path: Path) -> None:
    """A descriptor more, a process below, one that stands in a tool's directory: each shows."""
    before = measure(os.getpid(), tmp_path)
    (tmp_path / "one").mkdir()
    reading, writing = os.pipe()
    tool = subprocess.Popen(["sleep", "600"], cwd=tmp_path / "one")
    try:
        now = measure(os.getpid(), tmp_path)
        assert len(now.descriptors) == len(before.descriptors) + 2
        assert len(now.descendants) == len(before.descendants) + 1
        assert [one.split()[0] for one in now.tools] == [str(tool.pid)]
        assert now.directories == ["one"]
    finally:
        os.close(reading)
        os.close(writing)
        tool.kill()
        tool.wait()
    assert measure(os.getpid(), tmp_path).tools == []


def test_memory_and_its_peak_are_read() -> None:
    """The peak can be made to begin anew."""
    pid = os.getpid()
    block = b"x" * (64 << 20)
    peak = read_memory(pid, "VmHWM")
    assert peak >= len(block)
    del block
    forget_peak(pid)
    assert read_memory(pid, "VmHWM") < peak
    assert read_memory(pid, "VmRSS") > 0
    assert read_ticks(pid) >= 0
