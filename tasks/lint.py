"""``./dev lint``: all static checks."""

import argparse
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from tasks.environment import Environment, prepare_environment
from tasks.lock.renew import find_misfits
from tasks.places import ROOT, list_members
from tasks.release.changelog_form import find_faults
from tasks.release.history import HistoryMissingError
from tasks.release.public_names import find_breaks, find_loose_bounds, find_open_bounds
from tasks.report import Outcome, print_summary
from tasks.workflows import list_workflow_checks

_PYTHON_PLACES = ("bench", "conformance", "conftest.py", "demo", "e2e", "fuzz", "tasks")

_DARWIN = (
    "--platform=darwin",
    "--config-file=tasks/mypy_darwin.ini",
    "--cache-dir=.mypy_cache/darwin",
)

_OWN_CHECKS: dict[str, Callable[[], Iterable[str]]] = {
    "lock": find_misfits,
    "changelogs": find_faults,
    "public names": find_breaks,
    "lower bounds": find_loose_bounds,
    "upper bounds": find_open_bounds,
}


def lint(arguments: Sequence[str]) -> int:
    """Run all checks, even after a failure, and return the exit status, 0 or 1.

    With ``--quick`` only those that take seconds in total: all but types and shell scripts.
    """
    parser = argparse.ArgumentParser(prog="./dev lint", description="Check the sources.")
    parser.add_argument("--quick", action="store_true", help="only what takes no more than seconds")
    quick = parser.parse_args(arguments).quick
    environment = prepare_environment("default")
    checks = [*_list_quick_checks(environment), *(() if quick else _list_type_checks(environment))]
    outcomes = [_check(environment, name, command) for name, command in checks]
    outcomes += [_judge(name, find) for name, find in _OWN_CHECKS.items()]
    if not quick:
        outcomes.append(_check_scripts(environment, "shellcheck", "shellcheck", "sh", "bash"))
        outcomes.append(_check_scripts(environment, "checkbashisms", "devscripts", "sh"))
    return print_summary("./dev lint", outcomes)


def _list_quick_checks(environment: Environment) -> Iterator[tuple[str, list[str]]]:
    python = str(environment.python)
    yield "ruff check", [python, "-m", "ruff", "check"]
    yield "ruff format", [python, "-m", "ruff", "format", "--check"]
    yield "import-linter", [str(environment.find("lint-imports")), "--no-cache"]
    native = [str(member / "native") for member in list_members() if (member / "native").is_dir()]
    yield "zig fmt", [python, "-m", "ziglang", "fmt", "--check", *native]
    yield from list_workflow_checks(environment, ROOT / ".github")


def _list_type_checks(environment: Environment) -> Iterator[tuple[str, list[str]]]:
    python = str(environment.python)
    # One run per part: test modules of two packages may share a name.
    for member in list_members():
        folders = [member / name for name in ("src", "tests", "documents", "hatch_build.py")]
        # The build hook of one package may be a link to that of another.
        folders = [path for path in folders if path.exists() and not path.is_symlink()]
        yield f"mypy {member.name}", _type_check(python, folders)
    for name in _PYTHON_PLACES:
        yield f"mypy {name}", _type_check(python, [ROOT / name])
    # With a cache of its own: each run would replace what the other has cached.
    daemon = ROOT / "packages" / "airlock-daemon" / "src"
    yield "mypy for macOS", [*_type_check(python, [daemon]), *_DARWIN]


def _type_check(python: str, paths: Sequence[Path]) -> list[str]:
    return [python, "-m", "mypy", "--strict", *(str(path.relative_to(ROOT)) for path in paths)]


def _check_scripts(environment: Environment, name: str, package: str, *shells: str) -> Outcome:
    """Check the scripts for these shells with a program from Debian's ``package``."""
    program = shutil.which(name)
    if program is None:
        remedy = f"not installed; on Debian and Ubuntu: apt install {package}"
        return Outcome(name, "skipped", remedy)
    return _check(environment, name, [program, *_list_scripts(shells)])


def _list_scripts(shells: Sequence[str]) -> list[str]:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = (
        subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
        .stdout.decode()
        .split("\0")
    )
    return [name for name in names if name and _find_shell(ROOT / name) in shells]


def _find_shell(path: Path) -> str:
    """Return the shell named in a file's first line, "" for none."""
    if not path.is_file():  # deleted, but the index still lists it
        return ""
    with path.open("rb") as file:
        line = file.readline(80)
    words = line.rsplit(b"/", 1)[-1].split()
    return words[-1].decode(errors="replace") if line.startswith(b"#!") and words else ""


def _check(environment: Environment, name: str, command: Sequence[str]) -> Outcome:
    print(f"\n==> {name}", flush=True)
    status = environment.run(command)
    return Outcome(name, "failed", f"exit status {status}") if status else Outcome(name, "passed")


def _judge(name: str, find: Callable[[], Iterable[str]]) -> Outcome:
    print(f"\n==> {name}", flush=True)
    try:
        faults = list(find())
    except HistoryMissingError as error:
        return Outcome(name, "skipped", str(error))
    for fault in faults:
        print(fault)
    return Outcome(name, "failed" if faults else "passed", "see above" if faults else "")
