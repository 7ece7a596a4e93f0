"""Tests of `airlock_daemon.setup.connecting`, with real sockets."""

import socket
from pathlib import Path

import pytest

from airlock_daemon.setup.connecting import is_served


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
