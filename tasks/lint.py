"""``./dev lint``: every check that reads the sources and runs none of them."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.environment import Environment, prepare_environment
from tasks.errors import TaskError
from tasks.places import ROOT, list_members
from tasks.report import Outcome, print_summary
from tasks.workflows import list_workflow_checks

_PYTHON_PLACES = ("bench", "conformance", "conftest.py", "demo", "e2e", "fuzz", "tasks")


def lint(arguments: Sequence[str]) -> int:
    """Run all checks, also after one has failed, and return the exit status, 0 or 1."""
    if arguments:
        raise TaskError("lint takes no arguments")
    environment = prepare_environment("default")
    outcomes = [_check(environment, name, command) for name, command in _list_checks(environment)]
    outcomes.append(_check_scripts(environment))
    return print_summary("./dev lint", outcomes)


def _list_checks(environment: Environment) -> Iterator[tuple[str, list[str]]]:
    python = str(environment.python)
    yield "ruff check", [python, "-m", "ruff", "check"]
    yield "ruff format", [python, "-m", "ruff", "format", "--check"]
    # One run for each part: test modules of two packages may share a name.
    for member in list_members():
        folders = [member / name for name in ("src", "tests", "documents", "hatch_build.py")]
        # The build hook of one package may be a link to that of another.
        folders = [path for path in folders if path.exists() and not path.is_symlink()]
        yield f"mypy {member.name}", _type_check(python, folders)
    for name in _PYTHON_PLACES:
        yield f"mypy {name}", _type_check(python, [ROOT / name])
    yield "import-linter", [str(environment.find("lint-imports")), "--no-cache"]
    native = [str(member / "native") for member in list_members() if (member / "native").is_dir()]
    yield "zig fmt", [python, "-m", "ziglang", "fmt", "--check", *native]
    yield from list_workflow_checks(environment, ROOT / ".github")


def _type_check(python: str, paths: Sequence[Path]) -> list[str]:
    return [python, "-m", "mypy", "--strict", *(str(path.relative_to(ROOT)) for path in paths)]


def _check_scripts(environment: Environment) -> Outcome:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        return Outcome(
            "shellcheck", "skipped", "not installed; on Debian and Ubuntu: apt install shellcheck"
        )
    return _check(environment, "shellcheck", [shellcheck, *_list_scripts()])


def _list_scripts() -> list[str]:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = (
        subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
        .stdout.decode()
        .split("\0")
    )
    return [name for name in names if name and _is_shell_script(ROOT / name)]


def _is_shell_script(path: Path) -> bool:
    if not path.is_file():  # deleted, but the index still lists it
        return False
    with path.open("rb") as file:
        line = file.readline(80)
    return line.startswith(b"#!") and line.rsplit(b"/", 1)[-1].split()[-1:] in ([b"sh"], [b"bash"])


def _check(environment: Environment, name: str, command: Sequence[str]) -> Outcome:
    print(f"\n==> {name}", flush=True)
    status = environment.run(command)
    return Outcome(name, "failed", f"exit status {status}") if status else Outcome(name, "passed")
