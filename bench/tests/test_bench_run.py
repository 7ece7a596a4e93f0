"""A whole run of the measurements, on the programs that are installed here."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from bench.figures import Figure
from bench.table import Report
from bench.transports import SERVERS
from e2e.world import aws_server
from e2e.world.process_status import list_processes_with
from e2e.world.project import TOOLS
from e2e.world.sshd import why_not

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sysconfig.get_path("scripts"))
DAEMON, SHIM = PROGRAMS / "airlock-daemon", PROGRAMS / "airlock-shim"

pytestmark = pytest.mark.timeout(300)

needs_programs = pytest.mark.skipif(
    not (DAEMON.exists() and SHIM.exists()), reason="the packages are not installed here"
)


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory whose path is short enough for sockets below it."""
    with tempfile.TemporaryDirectory(prefix="b-") as folder:
        yield Path(folder)


def _run(scratch: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        capture_output=True,
        text=True,
        check=False,
    )


def _measure(scratch: Path, *words: str, status: int = 0) -> Report:
    """A smoke run, which leaves nothing behind."""
    written = scratch / "report.json"
    done = _run(scratch, *words, "--quick", "--json", str(written))
    assert done.returncode == status, done.stderr
    report = msgspec.json.decode(written.read_bytes(), type=Report)
    written.unlink()
    assert list(scratch.iterdir()) == []
    assert list_processes_with(str(scratch)) == []
    return report


def _find(report: Report, *, pair: str, start: str) -> Figure:
    return next(f for f in report.figures if f.pair == pair and f.what.startswith(start))


@needs_programs
def test_pairs_are_measured_and_nothing_is_left(scratch: Path) -> None:
    """A run with another pair, and with the floor, has figures of all; it leaves nothing behind."""
    other = ("--daemon", str(DAEMON), "--shim", str(SHIM), "--name", "second", "--floor")
    report = _measure(scratch, "latency", "shim", *other)
    assert report.is_quick
    for pair in ("airlock", "second", "floor"):
        latency = _find(report, pair=pair, start="`true`, streamed")
        assert latency.fault == ""
        assert latency.behind["through ms"] > 0
        size = _find(report, pair=pair, start="shim: size")
        assert size.value == SHIM.stat().st_size / 1e3


@pytest.mark.nightly
@needs_programs
@pytest.mark.skipif(why_not() is not None, reason="there is no sshd")
def test_conversations_with_a_remote_are_measured(scratch: Path) -> None:
    """Short ones and long ones."""
    report = _measure(scratch, "remote")
    assert [figure.fault for figure in report.figures] == [""] * 5 * len(SERVERS)


@pytest.mark.nightly
@needs_programs
@pytest.mark.skipif(why_not() is not None, reason="there is no sshd")
def test_a_large_push_beside_another_agent_is_measured_for_each_pair(scratch: Path) -> None:
    """The pairs take turns, and the push beside which others are timed is timed too."""
    second = ("--daemon", str(DAEMON), "--shim", str(SHIM), "--name", "second")
    report = _measure(scratch, "push", *second)
    assert {figure.fault for figure in report.figures} == {""}
    for pair in ("airlock", "second"):
        for transport in SERVERS:
            memory = _find(report, pair=pair, start=f"a push of 1 MiB over {transport}")
            assert memory.behind["daemon at rest MiB"] > 10
            others = f"`true` of another agent under a push of 1 MiB over {transport}"
            assert _find(report, pair=pair, start=others).behind["push s"] > 0


@needs_programs
def test_requests_to_an_api_are_measured(scratch: Path) -> None:
    """By the broker and past it; the server, the clients and the daemon are gone afterwards."""
    report = _measure(scratch, "https")
    assert [figure.fault for figure in report.figures] == [""] * len(report.figures)
    large = _find(report, pair="airlock", start="2 MiB down, through the broker")
    assert large.behind["through MB/s"] > 0


@pytest.mark.nightly
@needs_programs
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may serve at port 443")
@pytest.mark.skipif(aws_server.why_not() is not None, reason="there is no moto")
@pytest.mark.skipif(
    not all(shutil.which(name, path=TOOLS) for name in ("aws", "gh", "kubectl")),
    reason="not all of the tools are installed",
)
def test_tools_in_boxes_are_measured(scratch: Path) -> None:
    """Each gets its answer both ways; the servers are gone afterwards."""
    # Whoever is in the boxes gets to the workspace.
    scratch.chmod(0o711)
    report = _measure(scratch, "tools")
    assert [figure.fault for figure in report.figures] == [""] * 6


@pytest.mark.nightly
@needs_programs
def test_load_of_another_agent_is_measured(scratch: Path) -> None:
    """Clients beyond the limit of connections are counted, and so is what they were told."""
    report = _measure(scratch, "crowding")
    told = _find(report, pair="airlock", start="1,100 connections")
    assert (told.value, told.fault) == (100, "")
    assert told.n >= 76
