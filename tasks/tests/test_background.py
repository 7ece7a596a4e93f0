"""Tests that run in the background, with signals ignored, as nohup and a shell's & start them."""

import shutil
import subprocess
import sys
from pathlib import Path

from tasks.places import ROOT

_TESTS = """\
import os
import signal
import subprocess
import sys

DEFAULT = "import signal; print(signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGINT))"

def test_what_it_starts_has_its_signals():
    asked = [sys.executable, "-c", DEFAULT]
    assert b"SIG_IGN" not in subprocess.run(asked, stdout=subprocess.PIPE, check=True).stdout

def test_it_goes_on_ignoring_them_itself():
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGINT)
"""


def test_what_tests_start_has_its_signals(tmp_path: Path) -> None:
    """Programs that a test starts are ended by signals that pytest itself was started without."""
    path = tmp_path / "test_background.py"
    path.write_text(_TESTS)
    shutil.copy(ROOT / "conftest.py", tmp_path)
    settings = ("-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider")
    background = ("/bin/sh", "-c", 'trap "" HUP INT QUIT; exec "$@"', "sh")
    done = subprocess.run(
        [*background, sys.executable, "-m", "pytest", *settings, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
