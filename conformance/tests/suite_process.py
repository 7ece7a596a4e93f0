"""The suite as a process of its own, as a person runs it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT_S = 600  # only there so that a hang fails a test

SUITE = Path(__file__).resolve().parent.parent
DAEMON = SUITE / "controls" / "reference_daemon.py"


def run_suite(
    *arguments: str | Path, ignored: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the suite with the given options, started with these signals ignored.

    It needs no plugin of pytest, so none is loaded.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if ignored:
        script = f"trap '' {' '.join(ignored)}; exec \"$@\""
        command = ["/bin/sh", "-c", script, "sh", *command]
    return subprocess.run(
        [str(word) for word in command],
        cwd=SUITE,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT_S,
    )
