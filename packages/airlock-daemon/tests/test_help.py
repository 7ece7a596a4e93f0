"""Each command explains itself, also with the oldest libraries that the package allows."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["", "start", "check", "test", "show", "profile", "version"])
def test_help_is_printed(command: str) -> None:
    """`--help` ends with 0 and says how the command is called."""
    done = subprocess.run(
        [sys.executable, "-m", "airlock_daemon", *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"airlock_daemon {command}".rstrip() in done.stdout.partition("Usage: ")[2]
