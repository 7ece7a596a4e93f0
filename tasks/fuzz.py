"""``./dev fuzz``: searches for inputs that violate an invariant of parsers, evaluator or daemon."""

import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from fuzz.target import TARGETS

from tasks.environment import Environment, prepare_environment
from tasks.errors import TaskError
from tasks.hostile import attack_and_soak
from tasks.places import HATCH
from tasks.report import Outcome, print_summary

_FIXED = ("--runs=4000", "--seconds=0", "--seed=1")
"""The default search: deterministic, so that a finding is due to a change. Half of its time is that
of starting the targets; .ci/nightly has the time to search."""

_TOO_NEW = (3, 15)
"""The first Python without atheris wheels; pyproject.toml has it too."""


def run_fuzz(arguments: Sequence[str]) -> int:
    """Search each target and return the exit status, 0 or 1.

    With a number of seconds, each target gets a share of them and extends its saved corpus; then
    hostile clients attack a daemon. Without, each gets a fixed number of deterministic inputs.
    Raises TaskError if atheris cannot be installed: from source it needs a whole LLVM.
    """
    seconds = _read_seconds(arguments)
    reason = _find_obstacle()
    if reason is not None:
        raise TaskError(reason)
    environment = prepare_environment("fuzz")
    if seconds is None:
        folder = HATCH / "fuzz-fixed"
        shutil.rmtree(folder, ignore_errors=True)
        bounds: Sequence[str] = _FIXED
    else:
        folder = HATCH / "fuzz-corpus"
        bounds = [f"--seconds={-(-seconds // len(TARGETS))}"]
    outcomes = [_search(environment, name, bounds, folder / name) for name in TARGETS]
    if seconds is not None:
        outcomes += attack_and_soak()
    return print_summary("./dev fuzz", outcomes)


def _read_seconds(arguments: Sequence[str]) -> int | None:
    match arguments:
        case []:
            return None
        case [word] if word.isascii() and word.isdecimal() and int(word) > 0:
            return int(word)
        case _:
            raise TaskError("fuzz takes one argument, for how many seconds; for example: fuzz 600")


def _find_obstacle() -> str | None:
    if sys.version_info >= _TOO_NEW:
        return (
            f"Python {platform.python_version()} is too new to fuzz: atheris has wheels for 3.11 "
            f"to {_TOO_NEW[0]}.{_TOO_NEW[1] - 1}. Put one of these on PATH as python3."
        )
    found = (platform.python_implementation(), platform.machine(), platform.libc_ver()[0])
    if found != ("CPython", "x86_64", "glibc"):
        return f"atheris has wheels for CPython on x86_64 with glibc only, and this is {found}"
    return None


def _search(environment: Environment, name: str, bounds: Sequence[str], folder: Path) -> Outcome:
    print(f"\n==> {name}, {' '.join(bounds)}", flush=True)
    python = str(environment.python)
    command = [python, "-m", "fuzz", name, *bounds, f"--folder={folder}"]
    started = monotonic()
    status = environment.run(command)
    took = f"{monotonic() - started:.0f} s"
    if status == 0:
        return Outcome(name, "passed", took)
    look = f"look at the input it names with: .hatch/fuzz/bin/python -m fuzz {name} FILE"
    return Outcome(name, "failed", f"exit status {status} after {took}; {look}")
