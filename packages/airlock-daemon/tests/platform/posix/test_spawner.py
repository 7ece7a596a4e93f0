"""Tests of `airlock_daemon.platform.posix.spawner`, beside those of its launcher."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from airlock_daemon.platform.posix import spawner


@pytest.fixture
def leader() -> Iterator[int]:
    """The leader of a session."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True) as process:
        yield process.pid
        process.kill()


def test_a_pid_that_is_anothers_by_now_ends_no_group(
    leader: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process of the session was listed, has ended, and one of another session has its pid."""
    killed = []
    monkeypatch.setattr(os, "killpg", lambda group, number: killed.append((group, number)))
    monkeypatch.setattr(spawner, "_PASSES", 1)
    monkeypatch.setattr(spawner, "_list_session", lambda *_: [os.getpid(), leader])
    spawner.kill_session(leader)
    assert killed == [(leader, signal.SIGKILL)]
