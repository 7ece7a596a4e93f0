"""Tests of `prepared`: a daemon that is forked is like one that is executed."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.reload import is_daemon
from commanding import airlock_daemon
from running import Daemon
from worlds import World

ALIKE = ("Umask", "Groups", "SigPnd", "SigBlk", "SigIgn", "SigCgt", "CapEff", "NoNewPrivs")


def list_links(folder: Path) -> Iterator[str]:
    """Yield the targets of a process's descriptors, without numbers.

    A daemon that starts scans the temporary directory for leftovers, in its own time.
    """
    for each in folder.iterdir():
        with suppress(FileNotFoundError):
            if (target := os.readlink(each)) != tempfile.gettempdir():
                yield re.sub(r"\d+", "N", target)


def test_a_daemon_is_the_same_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same signals, mask, directory and descriptors, and known as a daemon."""
    monkeypatch.setenv("SAID", "to it")
    seen = []
    for program in ((), ("-m", "airlock_daemon")):
        with Daemon(world, program=program) as daemon:
            entry = Path(f"/proc/{daemon.process.pid}")
            lines = (entry / "status").read_text().splitlines()
            status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
            told = [status[name] for name in ALIKE]
            if os.geteuid() == 0:
                told.append(os.readlink(entry / "cwd"))
                # A thread may still have the agent's directory open.
                told += sorted(each for each in set(list_links(entry / "fd")) if "/my" not in each)
            assert is_daemon(daemon.process.pid)
            # Last, since a thread closes a client's descriptors at some later time.
            assert daemon.shell("true").exit_code == 0
            assert daemon.stop() == 0
            seen.append((told, daemon.messages()))
    assert seen[0] == seen[1]


def test_a_command_says_the_same(world: World) -> None:
    """On both streams, with its status."""
    for args in (("chek",), ("--config", str(world.config), "show", "git"), ("start", "--help")):
        done = airlock_daemon(*args, status=2 if args == ("chek",) else 0)
        again = airlock_daemon(*args, status=done.returncode, before=("-m", "airlock_daemon"))
        assert (done.stdout, done.stderr) == (again.stdout, again.stderr)
