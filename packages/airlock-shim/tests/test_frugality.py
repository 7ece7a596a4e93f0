"""How little the shim does beside its work."""

import re
import shutil

import pytest

from fake_daemons import RESULT, FakeDaemon, output


def test_it_makes_few_system_calls(daemon: FakeDaemon) -> None:
    """A short command takes some twenty calls, none of which allocates memory."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = daemon.folder / "calls"
    ended = daemon.answer(output("x"), RESULT, wrapper=[strace, "-o", str(log)])
    if "ptrace" in ended.stderr:
        pytest.skip(f"strace may not trace here: {ended.stderr}")
    assert (ended.status, ended.stdout) == (0, b"x")
    calls = re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE)
    assert calls[0] == "execve"
    assert len(calls) <= 25, calls
    assert not {"mmap", "brk", "mremap", "clone", "rt_sigaction"} & set(calls), calls
