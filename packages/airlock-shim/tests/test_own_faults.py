"""The shim's messages about its own faults."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]

# No command is known to lead to a fault: what does is mended. So another program has the shim's way
# of ending by one.
_PROGRAM = """
pub const panic = @import("shim").panic;
pub fn main() void {
    @panic("no such \\x1b[2Jcase");
}
"""


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed")
def test_a_fault_of_its_own_is_told(folder: Path) -> None:
    """It is no exit status of the command's, and the person is asked to report it."""
    (folder / "fault.zig").write_text(_PROGRAM)
    cache = str(PACKAGE / ".zig-cache")
    command = [sys.executable, "-m", "ziglang", "build-exe", f"-femit-bin={folder}/fault"]
    command += ["--cache-dir", cache, "--global-cache-dir", cache, "--dep", "shim"]
    command += [f"-Mroot={folder}/fault.zig", f"-Mshim={PACKAGE}/native/main.zig"]
    subprocess.run(command, check=True)
    ended = subprocess.run([folder / "fault"], capture_output=True, check=False, text=True)
    assert (ended.returncode, ended.stdout) == (125, "")
    assert ended.stderr == (
        "airlock: the shim has a fault: no such \\x1b[2Jcase\n"
        "airlock: hint: please report it, with the command that led to it\n"
    )
