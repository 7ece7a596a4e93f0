"""Tests of `airlock_daemon.setup.paths`, with real sockets."""

import socket
from pathlib import Path

import pytest

from airlock_daemon.admin.listening import is_served


def test_a_daemon_is_found_however_deep_its_socket_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path may be longer than an address."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    assert not is_served(str(deep / "my.sock"))
    monkeypatch.chdir(deep)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind("my.sock")
        assert not is_served(str(deep / "my.sock"))
        listening.listen(1)
        assert is_served(str(deep / "my.sock"))


def test_a_socket_at_which_many_wait_is_served(tmp_path: Path) -> None:
    """By somebody who hangs: it is not waited for."""
    path = str(tmp_path / "my.sock")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as waiting:
        listening.bind(path)
        listening.listen(0)
        waiting.connect(path)
        assert is_served(path)
