"""``./dev`` itself: what it says and how it ends where nothing has to be installed."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "demo",
    "test",
    "e2e",
    "lowest",
    "fuzz",
    "hostile",
    "canary",
    "bench",
    "build",
    "lint",
    "lock",
    "mac-check",
    "clean",
)


def _run_dev(*words: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    variables = dict(os.environ) | ({"PATH": path} if path is not None else {})
    return subprocess.run(
        [str(ROOT / "dev"), *words], env=variables, capture_output=True, text=True, check=False
    )


def _make_python(folder: Path, name: str, status: int) -> None:
    """Make a program that answers ``./dev``'s question about its version with ``status``."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n[ $1 = -c ] && exit {status}\necho $0 $*\n")
    program.chmod(0o755)


def _link_programs(folder: Path) -> None:
    for name in ("sh", "dirname"):
        found = next(
            Path(place, name) for place in ("/usr/bin", "/bin") if Path(place, name).exists()
        )
        (folder / name).symlink_to(found)


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_lists_the_commands(word: str) -> None:
    """Help goes to stdout, names every command and ends with 0."""
    done = _run_dev(word)
    assert done.returncode == 0
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("words", [(), ("nonsense",), ("--nonsense",)])
def test_unknown_command_is_wrong_usage(words: tuple[str, ...]) -> None:
    """Without a command, or with an unknown one, stderr gets the list and the status is 2."""
    done = _run_dev(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Usage: ./dev COMMAND" in done.stderr


def test_old_python_is_named(tmp_path: Path) -> None:
    """Where every Python is too old, the message says which version is needed and how to get it."""
    _make_python(tmp_path / "bin", "python3", 4)
    _link_programs(tmp_path / "bin")
    done = _run_dev("--help", path=str(tmp_path / "bin"))
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_python_without_venv_is_named(tmp_path: Path) -> None:
    """A Python that cannot make environments is told apart from one that is too old."""
    _make_python(tmp_path / "bin", "python3", 3)
    _link_programs(tmp_path / "bin")
    done = _run_dev("--help", path=str(tmp_path / "bin"))
    assert done.returncode == 1
    assert "python3 cannot make virtual environments" in done.stderr
    assert "apt install python3-venv" in done.stderr


def test_newer_python_is_found_beside_an_old_one(tmp_path: Path) -> None:
    """An old ``python3`` does not hide a ``python3.12`` that will do."""
    _make_python(tmp_path / "bin", "python3", 4)
    _make_python(tmp_path / "bin", "python3.12", 0)
    _link_programs(tmp_path / "bin")
    done = _run_dev("lint", path=str(tmp_path / "bin"))
    assert done.stdout == f"{tmp_path}/bin/python3.12 -m tasks lint\n"
