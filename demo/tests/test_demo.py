"""The demo as a person runs it: its exit status, what it prints, and what it leaves."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from e2e.world.engine import Engine, find_engine
from e2e.world.process_status import list_processes_with

ROOT = Path(__file__).resolve().parents[2]


def _command(options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "demo", *options]


def _variables(folder: Path) -> dict[str, str]:
    # The programs of the environment that the tests run in, and a place of our own for its files.
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return dict(os.environ) | {"PATH": programs, "TMPDIR": str(folder)}


def _run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(options),
        cwd=ROOT,
        env=_variables(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for the demo's files with a path short enough for a socket (unix(7)).

    Others may enter it: a daemon that is root has somebody else in its boxes.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(params=["process", "container"])
def kind(request: pytest.FixtureRequest) -> str:
    """The option for a client of each kind, the second only where an engine answers."""
    if request.param == "process":
        return "--no-docker"
    engine = find_engine()
    if not isinstance(engine, Engine):
        pytest.skip(f"no client in a container: {engine}")
    return "--docker"


def test_everything_shown_is_so(folder: Path) -> None:
    """With the credential the demo ends with 0, shows all six steps and leaves nothing.

    With a client in a container it is a stage of .ci/run.
    """
    done = _run(folder, "--no-docker")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("   ok: ") == 6
    assert "ok: the hook ran, and got nothing" in done.stdout
    assert "\033" not in done.stdout
    assert list(folder.iterdir()) == []


def test_without_the_credential_it_fails(folder: Path) -> None:
    """With the daemon's credential taken away the push fails, and so does the demo."""
    done = _run(folder, "--no-docker", "--without-credential")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.count("   ok: ") == 1
    assert "not so: the push should have reached the server" in done.stdout
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("process", signal.SIGINT),
        ("container", signal.SIGTERM),
    ],
    indirect=["kind"],
)
def test_signal_ends_it_in_order(folder: Path, kind: str, number: signal.Signals) -> None:
    """A signal in the middle ends the daemon too and removes the files; the status is 128+n."""
    with subprocess.Popen(
        _command((kind,)), cwd=ROOT, env=_variables(folder), stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        next(line for line in demo.stdout if line.startswith("1. "))
        demo.send_signal(number)
        demo.communicate(timeout=60)
    assert demo.returncode == 128 + number
    assert list(folder.iterdir()) == []
    assert list_processes_with(str(folder)) == []
    if kind == "--docker":
        assert _list_containers_and_images() == []


def test_unknown_option_is_wrong_usage(folder: Path) -> None:
    """An option that does not exist ends the demo with 2 before anything is started."""
    assert _run(folder, "--nonsense").returncode == 2


def _list_containers_and_images() -> list[str]:
    engine = find_engine()
    assert isinstance(engine, Engine)
    commands = (
        ("ps", "--all", "--quiet", "--filter", "label=airlock.demo"),
        ("images", "--quiet", "--filter", "label=airlock.demo"),
    )
    found = []
    for words in commands:
        answer = subprocess.run(
            [engine.cli, *words], env=engine.variables(), capture_output=True, text=True, check=True
        )
        found += answer.stdout.split()
    return found
