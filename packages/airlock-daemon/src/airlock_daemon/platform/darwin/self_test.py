"""Checks of `leaves`, for `posix.self_test`: each has an answer that is known without the leaf."""

import os
import socket
import subprocess
import sys
import tempfile
import time

from airlock_daemon.platform.darwin import leaves
from airlock_daemon.platform.posix.calls import raise_open_files
from airlock_daemon.platform.posix.self_test import Check, expect

_WAITING = (sys.executable, "-I", "-c", "import sys; sys.stdin.read()", "a word", "")
_ENOUGH_FILES = 4096


def _try_peer() -> None:
    """The client is another process: a leaf that says who this one is would be found out."""
    code = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        path = os.path.join(folder, "s")
        listening.bind(path)
        listening.listen()
        listening.settimeout(10)
        with subprocess.Popen([sys.executable, "-I", "-c", code, path]) as client:
            try:
                connection, _ = listening.accept()
                with connection:
                    expect(leaves.read_peer_pid(connection), client.pid, "the client's pid")
                    expect(leaves.read_peer_user(connection), os.geteuid(), "the client's user")
            finally:
                client.kill()


def _try_process() -> None:
    before = time.time() - 1
    with subprocess.Popen(_WAITING, stdin=subprocess.PIPE) as child:
        entry = leaves.read_process(child.pid)
        expect(entry.parent, os.getpid(), "a child's parent")
        is_now = before * 1_000_000 <= entry.began <= (time.time() + 1) * 1_000_000
        expect(is_now, True, "the start of a child just now")
        expect(leaves.read_process(child.pid), entry, "what is read twice")
        expect(child.pid in leaves.list_pids(), True, "a child's place among all processes")
        child.communicate()
    try:
        leaves.read_process(child.pid)
    except ProcessLookupError:
        return
    raise ProcessLookupError("a process that has ended is still there")


def _try_arguments() -> None:
    with subprocess.Popen(_WAITING, stdin=subprocess.PIPE) as child:
        found = leaves.read_arguments(child.pid)
        child.communicate()
    expect(found[1:], [os.fsencode(word) for word in _WAITING[1:]], "a child's arguments")


def _try_directory() -> None:
    with tempfile.TemporaryDirectory() as folder:
        real = os.path.realpath(folder)
        with subprocess.Popen(_WAITING, stdin=subprocess.PIPE, cwd=folder) as child:
            found = leaves.read_working_directory(child.pid)
            child.communicate()
        expect(found, real, "a child's directory")


def _try_paths() -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(os.path.realpath(folder), "Name")
        os.mkdir(made)
        other = os.path.join(folder, "nAME")
        # Where names differ by case, the first is the only one.
        asked = other if os.path.exists(other) else made
        descriptor = os.open(asked, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            expect(leaves.read_path(descriptor), made, "a directory's name on disk")
        finally:
            os.close(descriptor)


def _try_tracing() -> None:
    """In a child: what it does cannot be undone."""
    code = "from airlock_daemon.platform.darwin.leaves import forbid_tracing; forbid_tracing()"
    done = subprocess.run([sys.executable, "-I", "-c", code], check=False)
    expect(done.returncode, 0, "the exit status of a child that forbids tracing")


def _try_files() -> None:
    import resource  # noqa: PLC0415 - its constants are of use here alone

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        raise_open_files()
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        expect(soft >= _ENOUGH_FILES, True, f"a limit of {_ENOUGH_FILES} open files, with {soft},")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


LEAVES: tuple[Check, ...] = (
    ("peer", "the client at the other end of a socket (LOCAL_PEERCRED, LOCAL_PEERPID)", _try_peer),
    ("process", "a process's parent and start (proc_pidinfo, proc_listallpids)", _try_process),
    ("arguments", "a process's arguments (KERN_PROCARGS2)", _try_arguments),
    ("directory", "a process's directory (PROC_PIDVNODEPATHINFO)", _try_directory),
    ("paths", "the spelling of a path on disk (F_GETPATH)", _try_paths),
    ("tracing", "no debugger for the daemon (PT_DENY_ATTACH)", _try_tracing),
    ("files", "the limit of open files (setrlimit(2))", _try_files),
)
