"""Bodies that a worker passes to the daemon, where a person has to see them."""

import fcntl
import os
import tempfile

import pytest

from airlock_daemon.boundary.brokers.https.messages import MAX_BODY, read_sealed, seal_body


@pytest.mark.parametrize("body", [b"", b"x", b"y" * MAX_BODY])
def test_a_sealed_body_is_read_back(body: bytes) -> None:
    file = seal_body(body)
    assert read_sealed(file) == body
    os.close(file)


def test_nobody_can_change_what_was_judged() -> None:
    """Neither the worker that has made it."""
    file = seal_body(b"judged")
    with pytest.raises(PermissionError):
        os.pwrite(file, b"other", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(file, 0)
    os.close(file)


def test_any_other_file_is_refused() -> None:
    """Reading a pipe, or a file of FUSE, may block the daemon for ever."""
    reading, writing = os.pipe()
    with pytest.raises(OSError, match="Invalid argument"):
        read_sealed(reading)
    os.close(reading)
    os.close(writing)
    with tempfile.TemporaryFile() as file, pytest.raises((OSError, ValueError)):
        read_sealed(file.fileno())


def test_an_unsealed_or_too_long_body_is_refused() -> None:
    file = os.memfd_create("body", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    with pytest.raises(ValueError, match="not sealed"):
        read_sealed(file)
    os.close(file)
    file = seal_body(b"x" * (MAX_BODY + 1))
    with pytest.raises(ValueError, match="of at most"):
        read_sealed(file)
    os.close(file)
