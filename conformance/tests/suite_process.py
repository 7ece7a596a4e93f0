"""The suite as a process of its own, as a person runs it."""

import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).resolve().parent.parent
DAEMON = SUITE / "controls" / "reference_daemon.py"


def run_suite(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the suite with the given options."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        [str(word) for word in command], cwd=SUITE, capture_output=True, text=True, check=False
    )
