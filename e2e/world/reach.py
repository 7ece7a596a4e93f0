"""Running a program as an account, even if it is in a directory closed to that account.

An ordinary user cannot access a checkout or an interpreter below root's home. Such a program runs
in its own mount namespace, where an open directory with only the few directories that the program
needs replaces the closed one.
"""

import ctypes
import os
import pickle
import shlex
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from .account import Account
from .command import run
from .errors import BrokenError

Result = TypeVar("Result")

# sched.h.
_CLONE_NEWNS = 0x20000

_ASK = """
import os, sys
for path in {sys.prefix, sys.base_prefix, os.path.realpath(sys.executable), *sys.path}:
    if os.path.isabs(path) and os.path.exists(path):
        print(path)
"""


def command_line(
    executable: Path, account: Account, *, alongside: Sequence[Path] = ()
) -> list[str]:
    """Return the argv that runs `executable` as `account`; its arguments may follow.

    It can run the programs `alongside` too, wherever they are.

    Each program in it executes the next, so the pid stays the same. It ends with its parent: a
    killed run leaves no daemon behind.
    """
    program = [*become(account), str(executable)]
    closed, needed = _closed(
        sorted({path for program in (executable, *alongside) for path in _needs(program)})
    )
    if account.uid == 0 or not closed:
        return program
    opening = ["unshare", "--mount", "--propagation=slave", "sh", "-euc"]
    return [*opening, _script(closed, needed), "sh", *program]


def command_line_beside(pid: int, executable: Path, account: Account) -> list[str]:
    """As `command_line`, in the mount namespace of a process `pid` that it has started."""
    program = [*become(account), str(executable)]
    if os.path.samefile(f"/proc/{pid}/ns/mnt", "/proc/self/ns/mnt"):
        return program
    return ["nsenter", f"--target={pid}", "--mount", "--", *program]


def become(account: Account) -> list[str]:
    """Return the prefix that runs a command as `account`, which must be able to access it."""
    words = ["setpriv", "--pdeathsig=KILL"]
    if account.uid != 0:
        words += [f"--reuid={account.uid}", f"--regid={account.gid}"]
        words.append(f"--groups={','.join(map(str, account.groups))}")
    return [*words, "--"]


def run_apart(act: Callable[[], Result], executable: Path) -> Result:
    """Call `act` in a process in whose mount namespace every account can run `executable`.

    Returns its result, which must be picklable. Raises BrokenError if it fails.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reading)
            closed, needed = _closed(sorted(_needs(executable)))
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(_CLONE_NEWNS):
                raise OSError(ctypes.get_errno(), "unshare")
            script = "mount --make-rslave /\n" + _script(closed, needed, then="")
            run(("sh", "-euc", script)).succeeded()
            with open(writing, "wb") as file:
                pickle.dump(act(), file)
            status = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as file:
        data = file.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise BrokenError(f"a process of another namespace ended by {status}, and said why")
    result: Result = pickle.loads(data)  # noqa: S301 - our own child's
    return result


def _needs(executable: Path) -> set[Path]:
    """Return the directories that a Python program needs: its own, and its interpreter's."""
    real = executable.resolve()
    needs = {executable.parent, real.parent}
    with real.open("rb") as program:
        first = program.readline(4096)
    if first.startswith(b"#!") and b"python" in first:
        interpreter = first[2:].decode().split()[0]
        told = run((interpreter, "-c", _ASK)).succeeded().stdout.splitlines()
        needs |= {Path(line) for line in told}
    return needs


def _closed(needs: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return the outermost directories closed to others, and the needed paths below them."""
    closed: set[Path] = set()
    needed: list[Path] = []
    for path in needs:
        for above in reversed(path.parents):
            if not above.stat().st_mode & 0o001:
                closed.add(above)
                # A path below another needed one is included in that.
                if not any(path.is_relative_to(other) for other in needed):
                    needed.append(path)
                break
    return sorted(closed), needed


def _script(closed: Iterable[Path], needed: Iterable[Path], then: str = 'exec "$@"') -> str:
    """Return the shell script that sets up the mounts and by default executes its arguments."""
    numbered = [(f"/mnt/{number}", shlex.quote(str(path))) for number, path in enumerate(needed)]
    is_file = {shlex.quote(str(path)) for path in needed if os.path.isfile(path)}
    lines = ["mount -t tmpfs tmpfs /mnt"]
    for kept, path in numbered:
        lines.append(f"touch {kept}" if path in is_file else f"mkdir {kept}")
        lines.append(f"mount --bind {path} {kept}")
    lines += [f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(path))}" for path in closed]
    for kept, path in numbered:
        if path in is_file:
            lines.append(f"mkdir -p $(dirname {path}); touch {path}")
        else:
            lines.append(f"mkdir -p {path}")
        lines.append(f"mount --bind {kept} {path}")
    return "\n".join([*lines, then])
