"""Host processes that Airlock did not start."""

import subprocess
import sys
from pathlib import Path


def start_stranger(directory: Path) -> int:
    """Start a process that is not our descendant, and return its pid."""
    code = (
        "import os, sys\n"
        "if os.fork(): sys.exit()\n"
        "os.setsid()\n"
        "print(os.getpid(), flush=True)\n"
        "os.close(1)\n"
        "os.execvp('sleep', ['sleep', '60'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, stdout=subprocess.PIPE, check=True
    )
    return int(done.stdout)
