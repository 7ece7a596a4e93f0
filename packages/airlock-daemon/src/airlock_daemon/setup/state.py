"""The daemon's state directory: what the daemon notes for itself, private to its user.

It is no part of any workspace, and nothing in it is for a person to edit.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.writing import make_directory, read_whole, write_whole

_LOCK = ".lock"


class State(msgspec.Struct, frozen=True):
    """A state directory, by its absolute path. It is made (0700) by the first change."""

    directory: str

    def path(self, name: str) -> str:
        """The path of its file `name`."""
        return os.path.join(self.directory, name)

    def find(self, name: str) -> str | None:
        """The path of a file, None where `read` finds none."""
        path = self.path(name)
        return path if os.path.lexists(path) else None

    def read(self, name: str) -> str | None:
        """The text of a file, None where there is none or the directory is another user's alone.

        Raises AirlockError.
        """
        return read_whole(self.path(name)) if os.access(self.directory, os.X_OK) else None

    def write(self, name: str, text: str | None) -> None:
        """Replace a file (0600) as a whole, or remove it, in a block of `changing`.

        The folder that it is in is made (0700). Raises AirlockError.
        """
        path = self.path(name)
        if text is not None:
            with ExitStack() as undo:
                make_directory(os.path.dirname(path), mode=0o700, undo=undo)
                undo.pop_all()
        write_whole(path, text)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only process that changes files here, in the block. Raises AirlockError."""
        with ExitStack() as undo:
            make_directory(self.directory, mode=0o700, undo=undo)
            undo.pop_all()
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            lock = os.open(self.path(_LOCK), flags, 0o600)
        except OSError as error:
            raise AirlockError(
                f"{self.directory} cannot be written: {error.strerror}",
                hint="mend that, or name another directory: [daemon] state in config.toml",
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
