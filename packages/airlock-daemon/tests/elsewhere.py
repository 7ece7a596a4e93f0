"""A daemon whose Python lacks the names that Linux alone has, as on a Mac: POSIX parts stand in.

The kernel is still Linux, so what stands in really runs. A container's processes are not the
daemon's to see, as those of an engine in a virtual machine: their connections have no pid.

With WITHOUT_LINUX=1 in the environment, tests start such daemons. Then `[workspace] host`, which
they have not, is a mapping of the workspace to its own path, and requests name their directory. For
the journeys of e2e and their option `--without-linux`, `python elsewhere.py FOLDER` makes one.
"""

import atexit
import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

from linux_names import remove_linux_names

_PYTHON = """\
#!{python} -I
import select
import sys
import types
import trio._core._io_epoll

# The event loop has epoll, as it has kqueue on a Mac.
trio._core._io_epoll.select = types.SimpleNamespace(**vars(select))
{removal}
import tempfile

# It has looked for a name before that was removed.
tempfile._O_TMPFILE_WORKS = False
sys.executable = {self!r}


def hide_containers():
    import os
    from airlock_daemon.platform.linux import processes

    ask = processes.peer_credentials
    own = os.readlink("/proc/self/ns/pid")

    def peer_credentials(connection):
        found = ask(connection)
        try:
            is_here = os.readlink(f"/proc/{{found.pid}}/ns/pid") == own
        except PermissionError:
            # Another user's, which the daemon may not look at.
            with open(f"/proc/{{found.pid}}/status") as file:
                ids = next(line for line in file if line.startswith("NSpid:")).split()[1:]
            is_here = len(ids) == 1
        except FileNotFoundError:
            return found
        return found if is_here else processes.Credentials(0, found.uid)

    processes.peer_credentials = peer_credentials


hide_containers()
"""

_MODULE = """
import runpy

# What is started in turn: python -I -m MODULE ARGUMENTS.
assert sys.argv[1:3] == ["-I", "-m"], sys.argv
module = sys.argv[3]
del sys.argv[1:4]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""

_DAEMON = """
from airlock_daemon.admin.cli import main

main()
"""


def is_wanted() -> bool:
    """Whether tests are to start such daemons."""
    return os.environ.get("WITHOUT_LINUX") == "1"


@functools.cache
def find_daemon() -> str:
    """The path of such an `airlock-daemon`, made for this process."""
    folder = Path(tempfile.mkdtemp(prefix="al-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Daemons of other users run it, too.
    folder.chmod(0o755)
    return str(make_daemon(folder / "bin"))


def make_daemon(folder: Path) -> Path:
    """Write such an `airlock-daemon` into a new folder; returns its path.

    The processes that it starts with its own Python lack the names, too.
    """
    folder.mkdir()
    python, daemon = folder / "python", folder / "airlock-daemon"
    head = _PYTHON.format(
        python=sys.executable, removal=remove_linux_names(), self=str(python.absolute())
    )
    for path, rest in ((python, _MODULE), (daemon, _DAEMON)):
        path.write_text(head + rest)
        path.chmod(0o755)
    return daemon


if __name__ == "__main__":
    print(make_daemon(Path(sys.argv[1])))
