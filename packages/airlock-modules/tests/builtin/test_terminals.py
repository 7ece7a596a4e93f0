"""ssh on a terminal, in the environment of its module."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from airlock_modules import load_builtin
from terminal import run_on_terminal

needs_ssh = pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a key for which a passphrase is needed."""
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "passphrase", "-f", str(path)], check=True
    )
    return path


@needs_ssh
def test_a_passphrase_is_not_asked_for(tmp_path: Path, key: Path) -> None:
    """Whatever reads a key fails at once, terminal or not."""
    ended = run_on_terminal(
        *("ssh-keygen", "-y", "-f", str(key)),
        directory=tmp_path,
        environment={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm"}
        | dict(load_builtin("ssh").set),
        typed="passphrase\n",
    )
    assert "Enter passphrase" not in ended.text
    assert "ssh-ed25519" not in ended.text
    assert ended.status != 0
