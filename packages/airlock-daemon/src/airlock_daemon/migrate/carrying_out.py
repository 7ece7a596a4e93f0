"""Carrying out a step, and telling whether that has been done.

A step is made whole or not at all, so that a migration which is interrupted goes on with those that
are left. It changes nothing that is not as the plan has seen it, and writes through no link.
"""

import filecmp
import os
import shutil
import stat
import tempfile
from contextlib import ExitStack, suppress

from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.steps import (
    Copy,
    CopyTree,
    Discard,
    Make,
    Remove,
    RemoveDirectory,
    Rename,
    SetMode,
    Step,
    Write,
)
from airlock_daemon.setup.writing import Change, make_directory, read_whole

_AGAIN = "mend that, and run this again: it goes on where it was interrupted"


def is_done(step: Step) -> bool:
    """Whether everything is as the step leaves it.

    Raises AirlockError where something is in the way that neither it nor an earlier release made.
    """
    try:
        return _is_done(step)
    except OSError as error:
        raise AirlockError(f"a step cannot be looked at: {error}", hint=_AGAIN) from error


def carry_out(step: Step) -> None:
    """Make the change, unless it is made; raises AirlockError, and then nothing has changed."""
    if is_done(step):
        return
    try:
        _change(step)
    except (OSError, shutil.Error) as error:
        raise AirlockError(f"a step cannot be carried out: {error}", hint=_AGAIN) from error


def _is_done(step: Step) -> bool:
    match step:
        case Make():
            done = _is_there(step.path, is_directory=True)
        case SetMode():
            done = stat.S_IMODE(os.lstat(step.path).st_mode) == step.mode
        case Write():
            done = _is_written(step)
        case Copy():
            done = _is_there(step.target) and _is_same(step.target, step.source)
        case Rename():
            done = _is_renamed(step)
        case Remove():
            done = _is_removed(step)
        case RemoveDirectory() | Discard():
            done = not os.path.lexists(step.path)
        case CopyTree():
            done = False
    return done


def _change(step: Step) -> None:
    match step:
        case Make():
            with ExitStack() as undo:
                make_directory(step.path, mode=0o700, undo=undo)
                undo.pop_all()
        case SetMode():
            directory = os.open(step.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.fchmod(directory, step.mode)
            finally:
                os.close(directory)
        case Write():
            with ExitStack() as undo:
                Change(path=step.path, before=step.before, after=step.after).apply(undo)
                undo.pop_all()
        case Copy():
            _copy_whole(step.source, step.target)
        case CopyTree():
            _copy_tree(step.source, step.target)
        case Rename():
            _sync(step.source)
            os.rename(step.source, step.target)
        case Remove():
            _is_same(step.path, step.backup)
            os.unlink(step.path)
        case RemoveDirectory():
            os.rmdir(step.path)
        case Discard():
            shutil.rmtree(step.path)


def _is_written(step: Write) -> bool:
    text = read_whole(step.path) if _is_there(step.path) else None
    if text not in (step.before, step.after):
        raise _in_the_way(step.path)
    return text == step.after


def _is_removed(step: Remove) -> bool:
    is_there = _is_there(step.path)
    # Before the first step there is no backup yet.
    if is_there and os.path.lexists(step.backup):
        _is_same(step.path, step.backup)
    return not is_there


def _is_renamed(step: Rename) -> bool:
    is_there = os.path.lexists(step.target)
    if is_there and os.path.lexists(step.source):
        raise _in_the_way(step.target)
    return is_there


def _is_there(path: str, *, is_directory: bool = False) -> bool:
    """Whether something is there, which has to be a directory or a file, and no link to one."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if not (stat.S_ISDIR(mode) if is_directory else stat.S_ISREG(mode)):
        raise _in_the_way(path)
    return True


def _is_same(path: str, other: str) -> bool:
    # Without a backup it is the copy of nothing.
    if not os.path.lexists(other) or not filecmp.cmp(path, other, shallow=False):
        raise _in_the_way(path)
    return True


def _copy_tree(source: str, target: str) -> None:
    if os.path.isdir(source) and not os.path.islink(source):
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _sync(path: str) -> None:
    """Have all of a backup on the disk, since it counts from now on, after a loss of power too."""
    for directory, _, names in os.walk(path):
        for file in (*(os.path.join(directory, name) for name in names), directory):
            if not os.path.islink(file):
                descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                os.fsync(descriptor)
                os.close(descriptor)


def _copy_whole(source: str, target: str) -> None:
    descriptor, new = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".airlock-")
    try:
        shutil.copy2(source, new, follow_symlinks=False)
        os.fsync(descriptor)
        os.rename(new, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise
    finally:
        os.close(descriptor)


def _in_the_way(path: str) -> AirlockError:
    return AirlockError(
        f"{path} is neither as a migration finds it nor as it leaves it",
        hint="look what it is, move it away or put it back, and run this again",
    )
