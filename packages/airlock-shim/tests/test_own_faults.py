"""The shim's messages about its own faults, and that a build finds them."""

import importlib.util
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1]

# No command is known to lead to a fault: what does is mended. So another program, built as the shim
# is, has the shim's way of ending by one. What comes of its arguments is not known to the compiler.
_PROGRAM = """
const std = @import("std");
pub const panic = @import("main.zig").panic;
pub const std_options = @import("main.zig").std_options;
pub fn main() u8 {
    const count = std.os.argv.len;
    var bytes: [8]u8 = @splat(0);
    const more: [9]u8 = @splat(0);
    switch (count) {
        1 => @panic("no such \\x1b[2Jcase"),
        2 => bytes[count + 6] = 1,
        3 => bytes[0] = @intCast(count + 253),
        4 => bytes[0] += @as(u8, @truncate(count)) * 100,
        5 => @memcpy(&bytes, more[0 .. count + 4]),
        else => std.mem.copyForwards(u8, bytes[0 .. count + 2], more[0 .. count + 3]),
    }
    return bytes[7];
}
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with as many faults as it takes arguments, by the hook that builds the shim."""
    if not all(map(importlib.util.find_spec, ["hatchling", "ziglang"])):
        pytest.skip("hatchling or ziglang is not installed")
    folder = tmp_path_factory.mktemp("faulty")
    shutil.copytree(PACKAGE / "native", folder / "native")
    (folder / "native" / "faulty.zig").write_text(_PROGRAM)
    found = importlib.util.spec_from_file_location("hatch_build", PACKAGE / "hatch_build.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    config = {"source": "native/faulty.zig", "data": "faulty-{arch}"}
    hook = module.NativeBuildHook(str(folder), config, None, None, str(folder), "wheel")
    program: Path = hook.compile(platform.machine())
    return program


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (0, "no such \\x1b[2Jcase"),
        (1, "index out of bounds: index 8, len 8"),
        (2, "integer does not fit in destination type"),
        (3, "integer overflow"),
        (4, "source and destination arguments have non-equal lengths"),
        (5, "index out of bounds: index 9, len 8"),
    ],
)
def test_a_fault_of_its_own_is_found_and_told(faulty: Path, arguments: int, said: str) -> None:
    """It is no exit status of the command's, and the person is asked to report it."""
    command = [str(faulty), *map(str, range(arguments))]
    ended = subprocess.run(command, capture_output=True, check=False, text=True)
    assert ended.stderr == (
        f"airlock: the shim has a fault: {said}\n"
        "airlock: hint: please report it, with the command that led to it\n"
    )
    assert (ended.returncode, ended.stdout) == (125, "")
