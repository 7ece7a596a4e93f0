"""The suites of a daemon once more, with real bridges between it and all of its clients.

`[bridge]` is the daemon's own; what is played is the engine, whose containers are processes here.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from e2e.hostile.attack import Family
from e2e.hostile.campaign import Report, carry_out
from e2e.hostile.daemon import run_daemon
from e2e.hostile.families import (
    boxes,
    claims,
    connections,
    crowd,
    full_table,
    leaving,
    not_requests,
    readers,
    sizes,
    stdin,
    terminals,
    wrong_params,
)
from e2e.world.bridged_daemon import write_bridged_daemon

_ROOT = Path(__file__).parents[3]

# Not `passing` and `passed`: a bridge drops the descriptors that clients send (PROTOCOL.md, S-11).
_FAMILIES = (
    *(not_requests, wrong_params, sizes, claims, boxes, leaving, readers, stdin, terminals),
    *(connections, crowd, full_table),
)


@pytest.fixture(scope="module")
def executable() -> Iterator[str]:
    """A daemon whose clients are behind bridges."""
    with tempfile.TemporaryDirectory(prefix="airlock-") as folder:
        yield write_bridged_daemon(Path(folder, "airlock-daemon"))


@pytest.mark.timeout(600)
def test_the_daemon_conforms_behind_a_bridge(executable: str) -> None:
    """All cases of a daemon but those about descriptors, which no bridge carries."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", "conformance/pytest.ini"]
    command += ["conformance/test_daemon.py", "--timeout=60", f"--daemon={executable}"]
    command += ["--bridged", "--without=fds", "-k=not fds-refused", "-pno:cacheprovider"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "family", [each.FAMILY for each in _FAMILIES], ids=lambda family: family.name
)
def test_the_daemon_stands_behind_a_bridge(
    family: Family, executable: str, reports: list[Report]
) -> None:
    """Each attack gets its answer, others are served meanwhile, and nothing is left behind."""
    report = carry_out(family, executable=executable, is_bridged=True)
    reports.append(report)
    assert report.faults == ()
    assert report.tried + len(report.untried) == len(family.attacks)


@pytest.mark.timeout(300)
def test_of_fifty_at_once_none_fails(executable: str) -> None:
    """In twenty runs; each client has a thread, and all of them begin together."""
    with run_daemon(executable) as daemon, ThreadPoolExecutor(50) as pool:
        for _ in range(20):
            asked = [pool.submit(daemon.ask_true) for _ in range(50)]
            assert [each.exception() for each in asked] == [None] * 50
