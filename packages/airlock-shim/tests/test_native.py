"""The unit tests in the native sources, and the version that is written down twice."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import airlock_shim

PACKAGE = Path(__file__).parents[1]


@pytest.mark.timeout(600)
def test_unit_tests_pass(tmp_path: Path) -> None:
    """All tests in the Zig sources pass."""
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("the ziglang package is not installed")
    # Zig's local cache stays, so that only changes are compiled again; temporary folders of the
    # tests go below the working directory.
    cache = PACKAGE / ".zig-cache"
    root = str(PACKAGE / "native" / "tests.zig")
    compiler = [sys.executable, "-m", "ziglang", "test", root]
    subprocess.run(
        [*compiler, "--cache-dir", cache, "--global-cache-dir", cache],
        cwd=tmp_path,
        check=True,
    )


def test_every_source_is_tested() -> None:
    """The list of tested sources has every source with a test in it."""
    sources = PACKAGE / "native"
    listed = (sources / "tests.zig").read_text()
    tested = [path.name for path in sorted(sources.glob("*.zig")) if '\ntest "' in path.read_text()]
    assert [name for name in tested if f'@import("{name}")' not in listed] == []


def test_version_is_that_of_the_package(shim: Path) -> None:
    """The binary and the Python package say the same version."""
    said = subprocess.run([shim, "--version"], capture_output=True, check=True, text=True).stdout
    assert said == f"airlock-shim {airlock_shim.__version__}\n"


def test_it_is_small_and_needs_no_libc(built: None) -> None:
    """Each binary is under 160 KB and names no interpreter, so it needs nothing of the image."""
    for arch in airlock_shim.ARCHITECTURES:
        binary = airlock_shim.binary_for(arch).read_bytes()
        assert len(binary) < 160_000
        assert b"/ld-linux" not in binary
        assert os.access(airlock_shim.binary_for(arch), os.X_OK)
