"""Where tests find their tools."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tasks.places import ROOT

_TEST = "import shutil\n\ndef test_found():\n    assert 'shims' not in shutil.which('git')\n"


def test_no_tool_is_a_version_managers_wrapper(tmp_path: Path) -> None:
    """One that stands first on PATH is passed over by every test of this checkout."""
    wrapper = tmp_path / "shims" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text("#!/bin/sh\nexit 99\n")
    wrapper.chmod(0o755)
    (tmp_path / "test_found.py").write_text(_TEST)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    settings = ("-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider")
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    assert shutil.which("git", path=path) == str(wrapper)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *settings, str(tmp_path / "test_found.py")],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
