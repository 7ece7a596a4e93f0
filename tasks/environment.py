"""The workspace's Hatch environments, created when missing or out of date."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tasks.errors import TaskError
from tasks.hatch import build_variables, hold_lock, run_hatch
from tasks.lock.locked import read_locked
from tasks.lock.wheels import fetch_wheels
from tasks.places import HATCH, ROOT, list_members


@dataclass(frozen=True)
class Environment:
    """One environment of ``[tool.hatch.envs]``, ready for use."""

    name: str
    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.folder / "bin" / "python"

    def find(self, program: str) -> Path:
        """Return a program that a package installed; raises TaskError if there is none."""
        path = self.folder / "bin" / program
        if not path.exists():
            raise TaskError(
                f"{program} is not in the {self.name} environment. Run `./dev clean`, try again: "
                "if it is missing then too, its package does not install it."
            )
        return path

    def variables(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables for programs that run in it."""
        own = {
            "VIRTUAL_ENV": str(self.folder),
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
        return build_variables() | own | dict(extra or {})

    def run(
        self,
        command: Sequence[str | Path],
        *,
        extra: Mapping[str, str] | None = None,
        output: IO[str] | None = None,
    ) -> int:
        """Run a command at the top of the checkout and return its exit status.

        Its output goes to `output`, by default to our own.
        """
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.variables(extra),
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            check=False,
        ).returncode


def prepare_environment(name: str) -> Environment:
    """Return the environment, created or updated as needed.

    It is recreated when its description, its lock, a package's metadata, the Python or the
    checkout's path has changed. Only the packages are reinstalled when native sources have: an
    editable install follows changes of Python files, but contains built programs. Raises TaskError
    if that fails.
    """
    environment = Environment(name, HATCH / name)
    stamp = environment.folder / "stamp"
    # The built programs that are package data are in the source tree, which all
    # environments share: the last one to build them may have had other sources.
    shared = HATCH / "native-stamp"
    with hold_lock():
        description, native = _digest_description(name), _digest_native()
        found = _read(stamp).split()
        if found == [description, native] and _read(shared) == native:
            return environment
        if found[:1] != [description]:
            print(f"dev: making the {name} environment in .hatch/", file=sys.stderr, flush=True)
            shutil.rmtree(environment.folder, ignore_errors=True)
            run_hatch("env", "create", name, extra=_install_locked(environment))
        else:
            print("dev: native sources have changed, building them", file=sys.stderr, flush=True)
            _reinstall_members(environment)
        shared.write_text(native)
        stamp.write_text(f"{description}\n{native}\n")
    return environment


def _install_locked(environment: Environment) -> dict[str, str]:
    """Return the variables that restrict pip's installs and builds to what is locked."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": fetch_wheels(environment.name).as_uri()}


def _reinstall_members(environment: Environment) -> None:
    editable = [word for member in list_members() for word in ("--editable", str(member))]
    command = [str(environment.python), "-m", "pip", "install", "--quiet", "--no-deps", *editable]
    if environment.run(command, extra=_install_locked(environment)):
        raise TaskError("installing the packages of the workspace failed, see above")


def _read(stamp: Path) -> str:
    return stamp.read_text() if stamp.is_file() else ""


def _digest_description(name: str) -> str:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]
    described = json.dumps([str(ROOT), sys.version, settings, read_locked(name)])
    return _digest([member / "pyproject.toml" for member in list_members()], described)


def _digest_native() -> str:
    files = [member / "hatch_build.py" for member in list_members()]
    for member in list_members():
        files += [
            path for path in sorted(member.glob("native/**/*")) if path.suffix in {".zig", ".zon"}
        ]
    return _digest([path for path in files if path.is_file()])


def _digest(files: Sequence[Path], text: str = "") -> str:
    digest = hashlib.sha256(text.encode())
    for path in files:
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(ROOT)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
