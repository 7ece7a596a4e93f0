"""Changes of files that a person owns: each made whole or not at all, and undone if need be."""

import difflib
import fcntl
import itertools
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import msgspec

from airlock_daemon.errors import AirlockError


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it is and as it should be: UTF-8 with the line ends that it has.

    `before` is None for a new file, `after` is None for one to be removed.
    """

    path: str
    before: str | None
    after: str | None

    def describe(self) -> Iterator[str]:
        """What changes, a line each: a new file whole, else the lines that go and come."""
        if self.after is None:
            yield f"remove {self.path}"
        elif self.before is None:
            yield f"make {self.path}:"
            yield from (f"    {line}".rstrip() for line in self.after.splitlines())
        else:
            yield f"change {self.path}:"
            diff = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0)
            # The first two name files, the others that are left out name places.
            for line in itertools.islice(diff, 2, None):
                if line[0] in "+-":
                    yield f"    {line[0]} {line[1:]}".rstrip()

    def apply(self, undo: ExitStack) -> None:
        """Make the change; what takes it back is pushed to `undo`. Raises AirlockError."""
        undo.callback(self._take_back)
        write_whole(self.path, self.after)

    def _take_back(self) -> None:
        # What was not made, or has been changed since, stays.
        if read_whole(self.path) == self.after:
            write_whole(self.path, self.before)


def read_whole(path: str) -> str | None:
    """The text of a file to be changed, with its line ends; None where there is none.

    Raises AirlockError where it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise AirlockError(
            f"{path} cannot be read: {error}", hint="make it a readable UTF-8 file"
        ) from error


def make_directory(path: str, *, mode: int, undo: ExitStack) -> None:
    """Make a directory and those above it, which are private; what is there already stays.

    Raises AirlockError.
    """
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        make_directory(parent, mode=0o700, undo=undo)
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except OSError as error:
        raise _unwritable(path, error) from error
    undo.callback(_remove_directory, path)
    made = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(made, mode)
        _give(made, like=parent)
    finally:
        os.close(made)


@contextmanager
def alone(directories: Iterable[str], *, wait: Callable[[], None]) -> Iterator[None]:
    """Be the only one of these programs that changes files of the directories in the block.

    Another one is waited for, after a call of `wait`.
    """
    with ExitStack() as opened:
        # In one order, so that two do not wait for each other, and each once.
        for directory in sorted({os.path.realpath(each) for each in directories}):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def write_whole(path: str, text: str | None, *, mode: int = 0o600) -> None:
    """Replace a file by a new one with this text, or remove it; a link to one stays a link.

    `mode` is that of a file that was not there. Raises AirlockError.
    """
    # Where a person keeps such files elsewhere, with links to them.
    path = os.path.realpath(path)
    try:
        if text is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
            return
        directory = os.path.dirname(path)
        descriptor, new = tempfile.mkstemp(dir=directory, prefix=f".{os.path.basename(path)}.")
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                if os.path.exists(path):
                    os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
                    _give(descriptor, like=path)
                else:
                    os.fchmod(descriptor, mode)
                    _give(descriptor, like=directory)
                os.fsync(descriptor)
            os.replace(new, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(new)
            raise
    except OSError as error:
        raise _unwritable(path, error) from error


def write_public(path: str, text: str) -> None:
    """Write a file that every user of a container may read, in a private directory.

    What has this text already stays. Raises AirlockError.
    """
    make_directory(os.path.dirname(path), mode=0o700, undo=ExitStack())
    if read_whole(path) != text:
        write_whole(path, text, mode=0o644)


def _remove_directory(path: str) -> None:
    # What somebody else has put in there meanwhile is not ours.
    with suppress(OSError):
        os.rmdir(path)


def _give(descriptor: int, *, like: str) -> None:
    """Give what root has made to the owner of `like`: the daemon's user may be another one."""
    if os.geteuid() == 0:
        info = os.stat(like)
        os.fchown(descriptor, info.st_uid, info.st_gid)


def _unwritable(path: str, error: OSError) -> AirlockError:
    return AirlockError(
        f"{path} cannot be written: {error.strerror}",
        hint="mend that, or run this as the user whose files these are",
    )
