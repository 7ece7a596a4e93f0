"""What a box with credentials executes: its tool and nothing more, or what its module lists.

The tool is Python here, or a static program: what a tool might be made to do by an agent, it does.
"""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxing import PYTHON, mapped_world, needs_bubblewrap
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap

HELD = '[credentials]\nenv.TOKEN = "HOME"\n'


@pytest.fixture
def world() -> Iterator[World]:
    """A daemon with boxes, `/workspace`, and in there a program and a script."""
    with mapped_world() as world:
        shutil.copy("/bin/echo", world.workspace / "dynamic")
        (world.workspace / "script").write_text("#!/bin/sh\necho ran\n")
        (world.workspace / "script").chmod(0o755)
        yield world


def write_tool(world: World, programs: str, tool: str = PYTHON) -> None:
    """Have `git` run a program in a holding box with such a list."""
    box = f'[deny]\nargs = []\n[sandbox]\nbox = "closed"\n{programs}\n'
    world.write_module("git", tool, box + HELD)


def run(world: World, *args: str) -> tuple[str, int]:
    """What the tool says with these arguments, and how it ends."""
    with Daemon(world, environment={"PATH": "/usr/bin:/bin"}) as daemon:
        answer = daemon.ask("git", *args, cwd="/workspace")
    assert "result" in answer.last, answer.last
    return answer.text() + answer.text("stderr"), answer.exit_code


ATTACKS = r"""
import ctypes, errno, os, signal, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
EXECVE, EXECVEAT, MEMFD, SECCOMP, PRCTL = 59, 322, 319, 317, 157
if os.uname().machine == "aarch64":
    EXECVE, EXECVEAT, MEMFD, SECCOMP, PRCTL = 221, 281, 279, 277, 167
EMPTY, HERE = 0x1000, -100

def call(number, *args):
    ctypes.set_errno(0)
    words = [ctypes.c_char_p(a) if isinstance(a, bytes) else a for a in args]
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in words]
    return libc.syscall(ctypes.c_long(number), *words)

def vector(*words):
    return (ctypes.c_char_p * (len(words) + 1))(*words, None)

def attempt(name, deed):
    # Each in a child: what succeeds takes its place and says so.
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.close(read)
        os.close(write)
        try:
            deed()
        except BaseException as error:
            pass
        os._exit(7)
    os.close(write)
    said = b""
    while chunk := os.read(read, 4096):
        said += chunk
    _, status = os.waitpid(child, 0)
    if said or status != 7 << 8:
        print("EXECUTED", name, said, status)

PROGRAM = os.environ.get("PROGRAM", "/bin/echo")
ARGS = vector(PROGRAM.encode(), *os.environ.get("WORDS", "ran").encode().split())
NOTHING = vector()

def by_path(path): return lambda: call(EXECVE, path, ARGS, NOTHING)
def at(path, flags=0, directory=HERE):
    return lambda: call(EXECVEAT, directory, path, ARGS, NOTHING, flags)

def held(number):
    def deed():
        opened = os.open(PROGRAM, os.O_PATH)
        if number is not None:
            os.dup2(opened, number)
            opened = number
        call(EXECVEAT, opened, b"", ARGS, NOTHING, EMPTY)
    return deed

def in_memory():
    made = call(MEMFD, b"x", 0)
    if made < 0: return
    os.write(made, open(PROGRAM, "rb").read())
    call(EXECVEAT, made, b"", ARGS, NOTHING, EMPTY)
    call(EXECVE, b"/proc/self/fd/%d" % made, ARGS, NOTHING)

def written(place):
    def deed():
        path = os.path.join(place, "evil")
        with open(path, "wb") as file:
            file.write(open(PROGRAM, "rb").read())
        os.chmod(path, 0o755)
        call(EXECVE, path.encode(), ARGS, NOTHING)
        call(EXECVEAT, HERE, path.encode(), ARGS, NOTHING, 0)
    return deed

def unnamed():
    made = os.open("/tmp", os.O_TMPFILE | os.O_RDWR, 0o755)
    os.write(made, open(PROGRAM, "rb").read())
    again = os.open(f"/proc/self/fd/{made}", os.O_PATH)
    os.close(made)
    call(EXECVEAT, again, b"", ARGS, NOTHING, EMPTY)

def own_listener():
    # A filter of ours that asks us first, and a helper that answers: go on.
    import socket, struct, threading, fcntl
    class Instruction(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("t", ctypes.c_ubyte), ("f", ctypes.c_ubyte),
                    ("k", ctypes.c_uint)]
    class Program(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.POINTER(Instruction))]
    words = (Instruction * 5)(
        Instruction(0x20, 0, 0, 0), Instruction(0x15, 1, 0, EXECVE),
        Instruction(0x15, 0, 1, EXECVEAT), Instruction(0x06, 0, 0, 0x7FC00000),
        Instruction(0x06, 0, 0, 0x7FFF0000))
    program = Program(5, words)
    listener = libc.syscall(ctypes.c_long(SECCOMP), ctypes.c_long(1), ctypes.c_long(8),
                            ctypes.byref(program))
    if listener < 0: return
    if os.fork() == 0:
        os.close(1)
        while True:
            asked = bytearray(80)
            try: fcntl.ioctl(listener, 0xC0502100, asked)
            except OSError: os._exit(0)
            fcntl.ioctl(listener, 0xC0182101, bytearray(asked[:8]) + struct.pack("<qiI", 0, 0, 1))
    at(PROGRAM.encode())()
    by_path(PROGRAM.encode())()

attempt("execve", by_path(PROGRAM.encode()))
attempt("execveat", at(PROGRAM.encode()))
attempt("execveat, empty", at(PROGRAM.encode(), EMPTY))
attempt("execveat, no follow", at(PROGRAM.encode(), 0x100))
attempt("execveat, of a directory", at(PROGRAM.encode().lstrip(b"/"), 0, os.open("/", os.O_PATH)))
attempt("a descriptor", held(None))
for number in (3, 100, 1023):
    attempt(f"descriptor {number}", held(number))
attempt("this program again", by_path(b"/proc/self/exe"))
attempt("posix_spawn", lambda: os.posix_spawn(PROGRAM, [PROGRAM, "ran"], {}))
attempt("subprocess", lambda: subprocess.run([PROGRAM, "ran"]))
attempt("system", lambda: os.system("echo ran"))
attempt("popen", lambda: os.popen("echo ran").read())
attempt("vfork", lambda: subprocess.Popen(["/bin/sh", "-c", "echo ran"]).wait())
attempt("a script", by_path(b"/workspace/script"))
attempt("a file in memory", in_memory)
for place in ("/workspace", "/tmp", os.environ["HOME"], "/dev/shm"):
    attempt(f"a file in {place}", written(place))
attempt("a file without a name", unnamed)
attempt("a listener of its own", own_listener)
for loader in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"):
    if os.path.exists(loader):
        for path in ("/workspace/dynamic", "/bin/echo"):
            words = vector(loader.encode(), path.encode(), b"ran")
            attempt(f"the loader, {path}", lambda: call(EXECVE, loader.encode(), words, NOTHING))
if os.fork() == 0:
    os._exit(0)
print("children:", os.wait()[1])
"""


def test_nothing_is_executed_beside_the_tool(world: World) -> None:
    """By whatever call, path or descriptor, in whatever child: the tool is all that runs."""
    write_tool(world, "programs = []")
    said, status = run(world, "-c", ATTACKS)
    lines = [line for line in said.splitlines() if not line.startswith("airlock: warning: ")]
    assert lines == ["children: 0"]
    assert status == 0


def test_the_attacks_execute_things_where_nothing_forbids_it(world: World) -> None:
    """So that the test above would see one that works."""
    write_tool(world, 'programs = ["*"]')
    said, _ = run(world, "-c", ATTACKS)
    names = [line.split("b'")[0] for line in said.splitlines() if line.startswith("EXECUTED")]
    assert len(names) >= 18, said
    assert any("a listener of its own" in name for name in names)
    assert any("a file in memory" in name for name in names)
    assert any("the loader" in name for name in names)


def test_what_can_be_written_is_not_mapped_as_code(world: World) -> None:
    """A library of the client's is not loaded into the tool, by its path or by a variable."""
    write_tool(world, "programs = []")
    library = next(Path("/usr/lib").glob("*/libz.so.1"))
    load = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print('loaded')"
    assert run(world, "-c", load, str(library))[0] == "loaded\n"
    copy = "import os, shutil, sys; path = os.path.expanduser(sys.argv[1]); "
    copy += f"shutil.copy('{library}', path); sys.argv[1] = path; "
    for path in ("/workspace/lib.so", "/tmp/lib.so", "/dev/shm/lib.so", "~/lib.so"):
        said, status = run(world, "-c", copy + load, path)
        assert status == 1
        assert "failed to map segment" in said


LINES = ["#!/usr/bin/env python3", "#!/usr/bin/env -S python3 -s", "#!/usr/bin/python3 -s"]


@pytest.mark.parametrize("line", LINES)
def test_a_tool_that_is_a_script_runs_by_its_interpreter(world: World, line: str) -> None:
    """Which env would have had to execute."""
    with tempfile.TemporaryDirectory(prefix="tool-") as folder:
        Path(folder).chmod(0o755)
        tool = Path(folder, "bin", "tool")
        tool.parent.mkdir(mode=0o755)
        tool.write_text(
            f"{line}\nimport sys, os\nprint(sys.argv[1:], os.path.basename(sys.argv[0]))\n"
        )
        tool.chmod(0o755)
        write_tool(world, "programs = []", str(tool))
        said, status = run(world, "a", "-b")
    assert (said, status) == ("['a', '-b'] tool\n", 0)


def test_a_tool_that_is_not_there_is_told_as_ever(world: World) -> None:
    """The one call that is permitted fails, and nothing waits for it."""
    with tempfile.TemporaryDirectory(prefix="tool-") as folder:
        Path(folder).chmod(0o755)
        tool = Path(folder, "bin", "tool")
        tool.parent.mkdir(mode=0o755)
        tool.write_text("#!/no/such/interpreter\n")
        tool.chmod(0o755)
        write_tool(world, "programs = []", str(tool))
        with Daemon(world) as daemon:
            error = daemon.ask("git", cwd="/workspace").error
    assert "the command cannot be executed: No such file or directory" in error["message"]


def test_a_program_that_may_be_absent_is_executed_where_it_is_there(
    world: World, tmp_path: Path
) -> None:
    """Where none of a list is there the tool is alone, and need not be a static one."""
    start = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    write_tool(world, 'programs = ["/nowhere/**?", "no-such-tool?"]')
    said, status = run(world, "-I", "-c", start, "/usr/bin/true")
    assert (status, "PermissionError" in said) == (1, True)
    write_tool(world, f'programs = ["{tmp_path}/**?"]')
    with Daemon(world, environment={"PATH": "/usr/bin:/bin"}) as daemon:
        refused = daemon.ask("git", "-c", "1", cwd="/workspace").error
    assert 'python3" is no static program' in refused["message"]
