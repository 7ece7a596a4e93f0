"""Tests of `airlock_daemon.platform.linux.processes`."""

import os
import subprocess
import sys

from airlock_daemon.platform.linux.processes import Ancestry

# Prints the number of a process of its own and waits for the end of its stdin.
PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen(['sleep', '600'])\n"
    "print(child.pid, flush=True)\n"
    "sys.stdin.read()\n"
    "child.kill(); child.wait()\n"
)


def test_descendants_are_told_from_strangers() -> None:
    """A child descends from its parent and grandparent, and no parent from its child."""
    with subprocess.Popen(["sleep", "600"]) as child:
        try:
            assert Ancestry(os.getpid()).includes(child.pid)
            assert Ancestry(os.getppid()).includes(child.pid)
            assert not Ancestry(child.pid).includes(os.getpid())
        finally:
            child.kill()


def test_who_cannot_be_looked_at_is_not_trusted() -> None:
    """A process that is gone could have been anybody's."""
    with subprocess.Popen(["true"]) as child:
        child.wait()
    assert Ancestry(os.getpid()).includes(child.pid)


def test_what_was_learnt_of_strangers_does_not_hide_descendants() -> None:
    """The second question about a family is answered like the first."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        grandchild = int(parent.stdout.readline())
        stranger = Ancestry(grandchild)
        assert [stranger.includes(parent.pid) for _ in range(2)] == [False, False]
        assert stranger.includes(grandchild)
        family = Ancestry(parent.pid)
        assert [family.includes(os.getpid()), family.includes(grandchild)] == [False, True]
        assert family.includes(grandchild)
        parent.stdin.close()


def test_a_parent_that_has_ended_meanwhile_says_nothing_of_its_orphan() -> None:
    """What `docker exec` starts is handed up while it asks: who it is, is then looked at again."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    with subprocess.Popen(["sleep", "600"]) as child:
        try:
            assert not Ancestry(child.pid).includes(os.getpid(), parent=ended.pid)
            assert Ancestry(os.getpid()).includes(child.pid, parent=ended.pid)
        finally:
            child.kill()


def test_the_number_of_a_stranger_that_has_ended_is_believed_no_more() -> None:
    """A process that Airlock started could have it by now."""
    ancestry = Ancestry(os.getpid())
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pidfd = os.pidfd_open(stranger.pid)
        stranger.kill()
    with subprocess.Popen(["sleep", "60"]) as own:
        ancestry._remember(own.pid, pidfd)
        is_included = ancestry.includes(own.pid)
        own.kill()
    assert is_included
    ancestry.close()
