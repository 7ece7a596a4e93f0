"""Tests of `airlock_daemon.platform.posix.processes`, with this host's own processes."""

import os
import signal
import subprocess

from airlock_daemon.platform.posix.processes import Ancestry, ProcessEntry, read_process


def test_children_and_theirs_descend_and_parents_do_not() -> None:
    """The process itself counts as its own descendant."""
    ancestry = Ancestry(os.getpid(), read_process)
    with subprocess.Popen(
        ["sh", "-c", "sh -c 'echo $$; read _'; :"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert ancestry.includes(child.pid)
        assert ancestry.includes(grandchild)
        child.communicate(b"\n")
    assert ancestry.includes(os.getpid())
    assert not ancestry.includes(os.getppid())


def test_an_orphan_counts_by_its_session() -> None:
    """So that no tool has one answer a question that the daemon asks a person."""
    script = "(sh -c 'echo $$; exec sleep 60' &); echo; read _"
    with subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as tool:
        assert tool.stdout is not None
        # The subshell between them has ended with the empty line.
        orphan = int(tool.stdout.readline() + tool.stdout.readline())
        try:
            assert Ancestry(tool.pid).includes(orphan)
            assert Ancestry(os.getpid()).includes(orphan)
            # By their parents alone it would be nobody's.
            assert not Ancestry(tool.pid, find_session=lambda pid: pid).includes(orphan)
        finally:
            os.kill(orphan, signal.SIGKILL)
        tool.communicate(b"\n")


def test_what_cannot_be_read_counts_as_a_descendant() -> None:
    """So that it is refused."""

    def refuse(_: int) -> ProcessEntry:
        raise PermissionError

    def end(_: int) -> ProcessEntry:
        raise ProcessLookupError

    assert Ancestry(1, refuse).includes(2)
    assert Ancestry(1, end).includes(2)


def test_a_pid_that_is_used_again_is_not_mistaken_for_its_former_process() -> None:
    """Between two reads the client's parent ends, and another process gets its pid."""
    table = {10: ProcessEntry(9, 1), 9: ProcessEntry(5, 2), 1: ProcessEntry(0, 0)}
    calls = 0

    def read_changing(pid: int) -> ProcessEntry:
        nonlocal calls
        calls += 1
        if calls == 2:
            # The client is init's child now, and pid 9 a child of the daemon's.
            table[10] = ProcessEntry(1, 1)
            return ProcessEntry(7, 3)
        return table[pid]

    assert not Ancestry(7, read_changing, find_session=lambda pid: pid).includes(10)
