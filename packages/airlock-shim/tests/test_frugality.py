"""How little the shim does beside its work."""

import re
import shutil

import pytest

from fake_daemons import FakeDaemon
from fake_messages import RESULT, start_message


def test_it_makes_few_system_calls(daemon: FakeDaemon) -> None:
    """A short command takes some twenty-five calls, none of which allocates memory."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = daemon.folder / "calls"
    pieces = (start_message("fds", "signals", "exit-signal"), RESULT)
    ended = daemon.answer(*pieces, wrapper=[strace, "-o", str(log)])
    if "ptrace" in ended.stderr:
        pytest.skip(f"strace may not trace here: {ended.stderr}")
    assert (ended.status, ended.stdout) == (0, b"")
    calls = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    assert calls[0] == "execve"
    # The control group's file is read, and the list of mounts in a container.
    assert len(calls) <= 32, calls
    assert not {"mmap", "brk", "mremap", "clone", "rt_sigaction", "pipe2"} & set(calls), calls
