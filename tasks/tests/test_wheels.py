"""The four packages as a user gets them: wheels, installed into an environment of their own."""

import subprocess
import sys
import venv
from pathlib import Path

from tasks.places import list_members


def test_the_wheels_install_and_work(tmp_path: Path) -> None:
    """An empty environment with the four wheels has working programs and no foreign protocol."""
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(wheels)]
    _run(*command, *(str(member) for member in list_members()))
    names = sorted(path.name.partition("-")[0] for path in wheels.iterdir())
    assert names == ["airlock_daemon", "airlock_modules", "airlock_shim", "airlock_wire"]
    venv.create(environment, with_pip=True)
    programs = environment / "bin"
    _run(str(programs / "pip"), "install", "--quiet", *(str(path) for path in wheels.iterdir()))
    assert _run(str(programs / "airlock-daemon"), "version").strip() == "0.4.0"
    assert "0.4.0" in _run(str(programs / "airlock-shim"), "--version")
    assert 'bin = "git"' in _run(str(programs / "airlock-daemon"), "show", "git")
    # That name belongs to somebody else on the index: pip must never have reason to ask for it.
    assert "airlock-protocol" not in _run(str(programs / "pip"), "list")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
