"""What a process holds is seen from outside."""

import os
import subprocess
from pathlib import Path

from e2e.hostile.footprint import measure
from e2e.world.process_status import cpu_seconds, forget_peak, peak_memory, resident_memory


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
    """The peak can be made to begin anew; a process that is not there has none."""
    pid = os.getpid()
    block = b"x" * (64 << 20)
    peak = peak_memory(pid)
    assert peak >= len(block)
    del block
    forget_peak(pid)
    assert peak_memory(pid) < peak
    assert resident_memory(pid) > 0
    assert cpu_seconds(pid) >= 0
    assert peak_memory(2**22 + 1) == 0
