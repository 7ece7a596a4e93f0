"""What code in a box may use up: there is a bound, it is the box's own, and others go on."""

import shared_fixtures
from airlock_daemon.setup.limits import Limits
from boxing import needs_bubblewrap, write_boxes
from running import Daemon, read_answer, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

FORKS = """
import os, sys, time
made = 0
for _ in range(20_000):
    try:
        if not os.fork():
            time.sleep(600)
    except BlockingIOError:
        break
    made += 1
print(made, flush=True)
time.sleep(600)
"""

FILL = """
import os
for place in ("/tmp", "/dev/shm", os.environ["HOME"]):
    written = 0
    try:
        with open(place + "/big", "wb", buffering=0) as file:
            for _ in range(1024):
                written += file.write(bytes(1 << 20))
    except OSError as error:
        print(place, written >> 20, error.strerror)
    os.truncate(place + "/big", 0)
    made = 0
    try:
        for made in range(100_000):
            os.mknod(f"{place}/{made}")
    except OSError as error:
        print(place, made < 70_000, error.strerror)
for place in ("/", "/dev", "/etc"):
    try:
        os.mkdir(place + "/x")
    except OSError as error:
        print(place, error.strerror)
"""


OWN = """
import os, resource
for name in ("NPROC", "DATA", "FSIZE"):
    print(*resource.getrlimit(getattr(resource, "RLIMIT_" + name)))
for place in ("/tmp", "/dev/shm", os.environ["HOME"]):
    found = os.statvfs(place)
    print(found.f_blocks * found.f_frsize)
try:
    bytearray(128 << 20)
except MemoryError:
    print("no memory")
"""

COUNTED = """
import ctypes, errno, os, resource, socket
library = ctypes.CDLL(None, use_errno=True)
made = 0
while library.inotify_init() >= 0:
    made += 1
print(made, errno.errorcode[ctypes.get_errno()])
least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
print(most, len(os.listdir("/proc/self/fd")) < most)
# Of more than 64 MiB new pipes of this user are shorter (pipe-user-pages-soft of pipe(7)).
pipes = [os.pipe() for _ in range(1100)]
sent = 0
kept = []
try:
    while True:
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        kept.append(ends)
        socket.send_fds(ends[0], [b"x"], [0] * 250)
        sent += 250
except OSError as error:
    print(sent <= most + 250, errno.errorcode[error.errno], flush=True)
import time
time.sleep(600)
"""

world = shared_fixtures.boxed


def test_forks_without_end_fill_one_box_alone(world: World) -> None:
    """As many as it may have, less those that are there; another box has as many again."""
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("git", "-c", FORKS))
        made = int(read_until(connection, "\n"))
        most = Limits().box_processes
        assert most - 10 < made < most
        assert daemon.shell("echo goes; echo on | cat").text() == "goes\non\n"


def test_memory_as_files_is_bounded_in_bytes_and_number(world: World) -> None:
    """And there is no other place that can be written but the workspace."""
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("git", "-c", FILL))
        said = read_answer(connection).text().splitlines()
    full = "No space left on device"
    assert said == [
        *(f"/tmp 256 {full}", f"/tmp True {full}"),
        *(f"/dev/shm 64 {full}", f"/dev/shm True {full}"),
        *(f"/home/airlock 64 {full}", f"/home/airlock True {full}"),
        *(f"{place} Read-only file system" for place in ("/", "/dev", "/etc")),
    ]


def test_the_limits_are_those_of_the_configuration(world: World) -> None:
    """For each process of a box, and for what it has in memory."""
    numbers = {"processes": 100, "memory_mb": 64, "file_mb": 2, "tmpfs_mb": 8}
    lines = [f"box_{name} = {number}" for name, number in numbers.items()]
    write_boxes(world, more="\n".join(("[limits]", *lines, "")))
    with Daemon(world) as daemon:
        said = daemon.ask("git", "-c", OWN).text().splitlines()
    mebibyte = 1 << 20
    limits = [100, 64 * mebibyte, 2 * mebibyte]
    assert said[:3] == [f"{limit} {limit}" for limit in limits]
    assert said[3:6] == [str(size * mebibyte) for size in (8, 2, 2)]
    assert said[6:] == ["no memory"]


def test_what_the_kernel_counts_by_user_is_left_to_the_daemon(world: World) -> None:
    """Others get descriptors, and output through pipes, while one has what it can of both."""
    with Daemon(world) as daemon, daemon.connect() as connection:
        connection.sendall(request("git", "-c", COUNTED))
        said = read_until(connection, "ETOOMANYREFS").splitlines()
        assert said == ["16 EMFILE", "4096 True", "True ETOOMANYREFS"]
        assert daemon.shell("head -c 1000000 /dev/zero | tr '\\0' x").text() == "x" * 1_000_000
