"""Running modules of the checkout as processes, so that a load does not slow what is measured."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def start_module(name: str, *words: str) -> "subprocess.Popen[bytes]":
    """Start ``python -m NAME`` with pipes as stdin and stdout."""
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", name, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C goes to us; we then end it.
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
