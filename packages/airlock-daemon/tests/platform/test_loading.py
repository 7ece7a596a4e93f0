"""What is loaded with a program: at least what the system's own loader says."""

import subprocess
from pathlib import Path

import pytest

from airlock_daemon.command.launcher import find_launcher
from airlock_daemon.platform.linux.loading import Loaded, find_loaded


@pytest.mark.parametrize("program", ["/bin/sh", "/usr/bin/python3", "/usr/bin/git", "/usr/bin/ssh"])
def test_nothing_is_missing_that_the_loader_would_map(program: str) -> None:
    """By their real paths, without the kernel's own."""
    found = find_loaded(program)
    assert found is not None
    assert found.loader is not None
    listed = subprocess.run(
        [found.loader, "--list", program], capture_output=True, text=True, check=True
    )
    named = [line.split("=>")[1].split()[0] for line in listed.stdout.splitlines() if "=>" in line]
    needed = {str(Path(each).resolve()) for each in named} - {found.loader}
    assert needed
    assert needed <= set(found.libraries)


def test_a_static_program_needs_nothing() -> None:
    """As the launcher is one."""
    assert find_loaded(find_launcher()) == Loaded(None, ())


def test_what_is_no_program_is_told_apart(tmp_path: Path) -> None:
    """A script, what is cut off, and what is not there."""
    script, short = tmp_path / "script", tmp_path / "short"
    script.write_text("#!/bin/sh\n")
    short.write_bytes(Path("/bin/sh").read_bytes()[:100])
    assert [find_loaded(str(each)) for each in (script, short, tmp_path / "none")] == [None] * 3
