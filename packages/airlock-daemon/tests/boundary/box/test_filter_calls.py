"""The filter of a box on this machine's kernel: real calls, with and without it."""

import errno
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from boxing import lack
from confining import SOCKETS, build_confined, read_numbers, run_filtered
from launching import can_build

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux"),
    pytest.mark.skipif(not can_build(), reason="needs ziglang"),
    pytest.mark.usefixtures("confined"),
]

on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="is about x86-64")

QEMU = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64") or ""

# What a script begins with. `call` makes any call, by name, and gives 0 or the errno.
START = f"""
import ctypes, json, mmap, os, socket, sys
NUMBERS = {dict(read_numbers(platform.machine())) if can_build() else {}}
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def number(value, *arguments):
    ctypes.set_errno(0)
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = libc.syscall(ctypes.c_long(value), *given)
    return ctypes.get_errno() if result == -1 else 0

def call(name, *arguments):
    return number(NUMBERS[name], *arguments)
"""


def run_python(sockets: str, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script with `call`, under a filter or, for "", without."""
    command = [sys.executable, "-c", START + script, *arguments]
    if sockets:
        return run_filtered(sockets, command)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read_answers(sockets: str, script: str, *arguments: str) -> dict[str, int]:
    """What a script printed as JSON; fails if it did not end well."""
    done = run_python(sockets, script, *arguments)
    assert done.returncode == 0, done.stderr
    answers: dict[str, int] = json.loads(done.stdout)
    return answers


def is_almighty() -> bool:
    """Whether this process has CAP_SYS_ADMIN, and no filter of its own."""
    text = Path("/proc/self/status").read_text() if sys.platform == "linux" else ""
    status = dict(line.split(":\t", 1) for line in text.splitlines())
    return status.get("Seccomp") == "0" and bool(int(status["CapEff"], 16) >> 21 & 1)


# All by arguments that the kernel itself refuses, with another errno, should the filter not.
CALLS = """
mount umount2 pivot_root unshare setns open_tree move_mount fsopen fsconfig fsmount fspick
mount_setattr sethostname setdomainname chroot ptrace process_vm_readv process_vm_writev
process_madvise process_mrelease pidfd_getfd kcmp move_pages keyctl add_key request_key
io_uring_setup io_uring_enter io_uring_register bpf perf_event_open userfaultfd vmsplice
open_by_handle_at name_to_handle_at fanotify_init fanotify_mark quotactl init_module
finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct syslog
clock_settime clock_adjtime prlimit64 sched_setaffinity sched_setscheduler sched_setparam
sched_setattr ioprio_set setpriority
"""
TRY_CALLS = "print(json.dumps({name: call(name, *[-1] * 6) for name in sys.argv[1].split()}))"


@pytest.mark.parametrize("sockets", SOCKETS)
def test_calls_that_attacks_need_do_not_reach_the_kernel(sockets: str) -> None:
    """Each is answered EPERM by the filter; the kernel says something else of these arguments."""
    assert set(read_answers(sockets, TRY_CALLS, CALLS).values()) == {errno.EPERM}


@pytest.mark.skipif(
    not is_almighty(), reason="only root, unconfined, hears another answer than EPERM without it"
)
def test_the_kernel_would_answer_otherwise() -> None:
    """What the test before sees is the filter's work: without it no call is answered so."""
    assert errno.EPERM not in read_answers("", TRY_CALLS, CALLS).values()


TRY_PIPES = """
one, other = os.pipe(), os.pipe()
os.write(one[1], b"xx")
moved = call("splice", one[0], 0, other[1], 0, 1, 0)
copied = call("tee", one[0], other[1], 1, 0)
print(json.dumps({"splice": moved, "tee": copied}))
"""


@pytest.mark.parametrize("sockets", SOCKETS)
def test_a_page_of_a_client_gets_into_no_pipe_of_the_daemon(sockets: str) -> None:
    """From a fifo of the workspace: a client may hold its lock, for which a reader waits.

    EINVAL says that these files cannot be spliced; programs then copy.
    """
    answers = read_answers(sockets, TRY_PIPES)
    assert answers == {"splice": errno.EINVAL, "tee": errno.EINVAL}


# Calls that would do what an attack wants, as it would make them.
ATTACKS = """
def attack():
    space = ctypes.create_string_buffer(4096)
    yield "typing", call("ioctl", 0, 0x5412, space)
    yield "typing, high bits", call("ioctl", 0, 0x5412 | 1 << 32, space)
    yield "pasting", call("ioctl", 0, 0x541C | -1 << 32, space)
    yield "no random addresses", call("personality", 0x0040000)
    yield "user namespace", call("unshare", 0x10000000)
    yield "user namespace by clone3", call("clone3", space, 64)
    yield "tracing", call("ptrace", 0, 0, 0, 0)
    yield "own memory", call("process_vm_readv", os.getpid(), 0, 0, 0, 0, 0)
    yield "session keyring", call("keyctl", 0, -3, 1)
    yield "ring", call("io_uring_setup", 1, space)
    yield "page faults", call("userfaultfd", 1)
    yield "segment", call("shmget", 0, 4096, 0o1600)
    yield "queue", call("msgget", 0, 0o1600)
    yield "parent's limits", call("prlimit64", os.getppid(), 7, 0, space)
    yield "parent's priority", call("setpriority", 0, os.getppid(), 5)
    yield "parent's core", call("prctl", 62, 2, os.getppid(), 0, 0)

answers = dict(attack())
child = libc.syscall(NUMBERS["clone"], ctypes.c_long(0x10000000 | 17), 0, 0, 0, 0)
if child == 0:
    os._exit(0)
answers["user namespace by clone"] = ctypes.get_errno() if child == -1 else 0
print(json.dumps(answers))
"""


def test_attacks_by_single_calls_fail() -> None:
    """Each is answered by the filter, as the one that it is."""
    answers = read_answers("inet_and_unix", ATTACKS)
    absent = {answers.pop(name) for name in ("user namespace by clone3", "segment", "queue")}
    assert absent == {errno.ENOSYS}
    assert answers.pop("parent's core") == errno.EINVAL
    assert set(answers.values()) == {errno.EPERM}


@on_x86_64
@pytest.mark.parametrize("number", [39, 102, 165, 520])
def test_calls_of_x32_do_not_exist(number: int) -> None:
    """Neither harmless nor harmful ones, in either spelling of those that are x32's alone."""
    script = f"print(json.dumps([number(0x40000000 | {number}), number(520), number(-1)]))"
    done = run_python("none", script)
    assert json.loads(done.stdout) == [errno.ENOSYS] * 3


@on_x86_64
def test_a_call_of_i386_ends_the_process() -> None:
    """`int 0x80` with i386's number of getpid, which no table of this processor fits."""
    # push rbx; mov eax, 20; int 0x80; pop rbx; ret
    script = """
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("53b814000000cd805bc3"))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
"""
    assert run_python("none", script).returncode == -signal.SIGSYS


# Which of these sockets a process gets, each by its own (domain, type, protocol).
KINDS = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, 0),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, socket.IPPROTO_TCP),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM, 0),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM, 0),
    "mptcp": (socket.AF_INET, socket.SOCK_STREAM, 262),
    "udplite": (socket.AF_INET, socket.SOCK_DGRAM, 136),
    "ping": (socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
    "raw": (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP),
    "netlink": (socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0),
    "vsock": (40, socket.SOCK_STREAM, 0),
    "alg": (38, socket.SOCK_SEQPACKET, 0),
}
TRY_KINDS = """
answers = {}
for name, arguments in json.loads(sys.argv[1]).items():
    answers[name] = call("socket", *arguments)
print(json.dumps(answers))
"""


@pytest.mark.parametrize(
    ("sockets", "made"),
    [
        ("none", set()),
        ("inet", {"tcp", "tcp6"}),
        ("unix", {"unix"}),
        ("inet_and_unix", {"tcp", "tcp6", "unix"}),
        ("inet_and_udp", {"tcp", "tcp6", "udp"}),
    ],
)
def test_a_box_makes_the_sockets_that_were_said(sockets: str, made: set[str]) -> None:
    """All others look as if the kernel did not have them."""
    answers = read_answers(sockets, TRY_KINDS, json.dumps(KINDS))
    assert {name for name, answer in answers.items() if answer == 0} == made
    assert {answers[name] for name in answers.keys() - made} == {errno.EAFNOSUPPORT}


# One of a pair sends a descriptor to a socket that has a name.
SMUGGLE = """
try:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.{kind})
    if {connect}:
        ours.connect(sys.argv[1])
        socket.send_fds(ours, [b"x"], [os.open("/", os.O_PATH)])
    else:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, bytes([os.open("/", os.O_PATH), 0, 0, 0]))
        ours.sendmsg([b"x"], [rights], 0, sys.argv[1])
except OSError as error:
    print(error.errno)
else:
    print(0)
"""


@pytest.mark.parametrize("connect", [False, True])
def test_no_descriptor_leaves_by_one_of_a_pair(tmp_path: Path, connect: bool) -> None:
    """Without the filter one of a pair of datagram sockets sends the host's root to a stranger."""
    path = str(tmp_path / "stranger")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.bind(path)
        stranger.setblocking(False)
        script = SMUGGLE.format(kind="SOCK_DGRAM", connect=connect)
        assert run_python("", script, path).stdout == "0\n"
        _, descriptors, _, _ = socket.recv_fds(stranger, 1, 1)
        assert os.path.samestat(os.fstat(descriptors[0]), os.stat("/"))
        os.close(descriptors[0])
        for sockets in ("none", "inet", "inet_and_udp"):
            for kind in ("SOCK_DGRAM", "SOCK_RAW", "SOCK_SEQPACKET", "SOCK_STREAM"):
                done = run_python(sockets, SMUGGLE.format(kind=kind, connect=connect), path)
                assert done.returncode == 0, done.stderr
                with pytest.raises(BlockingIOError):
                    stranger.recv(1)


# Landlock refuses all connections; sending with MSG_FASTOPEN makes one.
FAST_OPEN = """
import struct
call("prctl", 38, 1, 0, 0, 0)
rules = libc.syscall(NUMBERS["landlock_create_ruleset"], struct.pack("<QQ", 0, 2), 16, 0)
answers = {"restricted": call("landlock_restrict_self", rules, 0)}
address = ("127.0.0.1", int(sys.argv[1]))
answers["connect"] = socket.socket().connect_ex(address)
for name, send in {
    "sendto": lambda each: each.sendto(b"x", 0x20000000, address),
    "sendmsg": lambda each: each.sendmsg([b"x"], [], 0x20000000, address),
}.items():
    try:
        send(socket.socket())
    except OSError as error:
        answers[name] = error.errno
print(json.dumps(answers))
"""


def test_landlock_is_not_gone_around_by_sending() -> None:
    """What is sent is a connection nowhere; Landlock alone would not have seen it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answers = read_answers("inet", FAST_OPEN, str(server.getsockname()[1]))
        if answers.pop("restricted"):
            lack("Landlock for networks (Linux 6.7)")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    refused = {"sendto": errno.EOPNOTSUPP, "sendmsg": errno.EOPNOTSUPP}
    assert answers == {"connect": errno.EACCES, **refused}


def test_a_filter_outlives_execve_and_cannot_be_widened() -> None:
    """A program that installs a filter of its own, which allows everything, has won nothing."""
    script = """
allow_all = ctypes.create_string_buffer(bytes.fromhex("060000000000ff7f"))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]
program = Program(1, ctypes.addressof(allow_all))
print(json.dumps([call("seccomp", 1, 0, ctypes.byref(program)), call("ptrace", 0, 0, 0, 0)]))
"""
    done = run_filtered(
        "none", ["/bin/sh", "-c", 'exec "$@"', "sh", sys.executable, "-c", START + script]
    )
    assert json.loads(done.stdout) == [0, errno.EPERM]
    status = run_filtered("none", ["/bin/cat", "/proc/self/status"]).stdout
    assert "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n" in status


@pytest.mark.nightly
@pytest.mark.timeout(300)  # it compiles for the other processor
@pytest.mark.skipif(not QEMU, reason="needs qemu-user")
@on_x86_64
def test_where_there_are_no_filters_nothing_is_run() -> None:
    """An emulator of the other processor has none: that is told, and the program is not started."""
    command = [QEMU, build_confined("aarch64"), "run", "none", "/bin/echo", "started"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (70, "", "Unsupported")
