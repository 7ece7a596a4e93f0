"""The measuring of real processes."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.bursts import run_burst
from bench.calls import Call, Caller
from bench.content import Kind, write_content
from bench.errors import BenchError, CallFailed
from bench.timeline import read_events
from bench.transfers import digest, receive


@pytest.fixture
def caller() -> Iterator[Caller]:
    with Caller(patience_s=20) as caller:
        yield caller


def _shell(script: str) -> Call:
    return Call("/bin/sh", ("sh", "-c", script), {"PATH": os.defpath})


def test_call_is_timed_and_its_output_kept(caller: Caller) -> None:
    """A call that ends well has its seconds; what it wrote can be looked at."""
    assert caller.time(_shell("echo out; echo err >&2")) > 0
    assert (caller.printed, caller.complained) == (b"out\n", b"err\n")


def test_failing_call_is_told_with_what_it_said(caller: Caller) -> None:
    """A call that fails is no measurement, and the error has its words."""
    with pytest.raises(CallFailed, match=r"status 3: no such luck"):
        caller.time(_shell("echo no such luck >&2; exit 3"))


def test_hanging_call_is_ended(tmp_path: Path) -> None:
    """A call that does not end in time is killed and reaped."""
    with Caller(patience_s=0.2) as caller, pytest.raises(BenchError, match="did not end"):
        caller.run(_shell(f"echo $$ > {tmp_path}/pid; exec sleep 60"))
    pid = (tmp_path / "pid").read_text().strip()
    assert not pid or not Path("/proc", pid).exists()


def test_commands_do_not_ignore_broken_pipes(caller: Caller) -> None:
    """Python ignores SIGPIPE; what is measured must not inherit that."""
    caller.time(_shell("sh -c 'kill -s PIPE $$; echo still there' || echo ended"))
    assert caller.printed == b"ended\n"


def test_burst_counts_each_call_and_each_failure(caller: Caller, tmp_path: Path) -> None:
    """Every call of a burst has its time, and those that fail are counted."""
    (tmp_path / "once").touch()
    calls = [_shell(f"rm {tmp_path}/once 2>/dev/null")] * 10
    burst = run_burst(calls, caller=caller, patience_s=20)
    assert (len(burst.each), burst.failures) == (10, 9)
    assert max(burst.each) <= burst.seconds


@pytest.mark.parametrize(
    "kind", ["text of 80 columns", "random bytes", "one line without a newline"]
)
def test_transfer_sees_every_byte(tmp_path: Path, kind: Kind) -> None:
    """What is received has the size and the digest of the content that was written."""
    (path,) = write_content(tmp_path, kind, 100_000)
    call = Call("/bin/cat", ("cat", path), {})
    assert receive(call, expected=100_000, patience_s=20).size == 100_000
    found = digest(call, patience_s=20)
    assert found == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_text_has_eighty_columns(tmp_path: Path) -> None:
    """A line of the text has 79 characters and its newline."""
    (path,) = write_content(tmp_path, "text of 80 columns", 8000)
    lines = Path(path).read_bytes().split(b"\n")
    assert len(lines) == 101
    assert {len(line) for line in lines[:-1]} == {79}


def test_strace_lines_become_events() -> None:
    """System calls are read; ends and signals are not calls."""
    text = (
        '12 1.500000 execve("/bin/true", ["true"], ...) = 0\n'
        "12    1.600000 +++ exited with 0 +++\n"
        "13 1.700000 --- SIGCHLD {si_signo=SIGCHLD} ---\n"
        "13 1.800000 <... read resumed>) = 0\n"
        "nonsense\n"
    )
    (event,) = read_events(text)
    assert (event.pid, event.at) == (12, 1.5)
    assert event.call.startswith("execve(")
