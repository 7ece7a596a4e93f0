"""The processes of the HTTPS broker: what they may do, and when they end."""

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import broker_fixtures
import pytest
import trio
from api_server import ApiServer
from broker_world import broker, make_api, start_parent

from airlock_daemon.boundary.brokers.https.messages import (
    Ended,
    Kill,
    Over,
    Question,
    Ready,
    Unready,
)
from airlock_daemon.platform.linux.landlock import landlock_version
from airlock_daemon.platform.linux.seccomp import _make_program
from confining import ALLOW, ERRNO, MACHINES, PROCESSORS, Call, Program, read_numbers
from launching import can_build

certificates = broker_fixtures.certificates
server = broker_fixtures.server
variables = broker_fixtures.variables


def read_status(pid: int) -> dict[str, str]:
    """What /proc says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def wait_for_end(pidfd: int) -> None:
    """Wait until a process has ended."""
    await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)


def attempt(code: str, *, is_guarded: bool = True) -> str:
    """What a process prints that has the worker's filter and then runs `code`."""
    program = "from airlock_daemon.platform.linux.seccomp import forbid_executing\n"
    program += "import ctypes, os, sys, threading\n"
    program += "forbid_executing()\n" if is_guarded else ""
    program += textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else f"ended by {done.returncode}"


def test_behind_the_filter_nothing_is_executed_or_traced() -> None:
    """Not by a process that is forked either, nor by a thread; what a worker needs goes on."""
    assert (
        attempt("""
        def run():
            try:
                os.execv("/bin/true", ["true"])
            except PermissionError:
                print("refused", flush=True)
        run()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if os.fork() == 0:
            run()
            os._exit(0)
        os.wait()
        """)
        == "refused\nrefused\nrefused"
    )
    assert (
        attempt("""
        libc = ctypes.CDLL(None, use_errno=True)
        for call in ("ptrace", "process_vm_readv", "unshare"):
            print(getattr(libc, call)(0, 0, 0, 0, 0, 0), ctypes.get_errno())
        """)
        == "-1 1\n-1 1\n-1 1"
    )
    # Calls of x32, and of the processor's other mode, would be other calls by the same numbers.
    assert attempt("ctypes.CDLL(None).syscall(0x40000000 + 39)") == f"ended by {-signal.SIGSYS}"


@pytest.mark.parametrize("is_guarded", [True, False])
def test_behind_the_filter_no_file_and_process_of_the_same_user_is_changed(
    tmp_path: Path, is_guarded: bool
) -> None:
    """A mode may open a file to others, and a limit of processor time ends the daemon."""
    (tmp_path / "key").touch(0o600)
    code = f"""
        import resource
        key, parent = {str(tmp_path / "key")!r}, os.getppid()
        limits = resource.getrlimit(resource.RLIMIT_CPU)
        with open(key) as file:
            for act in (
                lambda: os.chmod(key, 0o644),
                lambda: os.fchmod(file.fileno(), 0o644),
                lambda: os.utime(key, (1, 1)),
                lambda: os.chown(key, -1, -1),
                lambda: os.setpriority(os.PRIO_PROCESS, 0, 1),
                lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
                lambda: resource.prlimit(parent, resource.RLIMIT_CPU, limits),
            ):
                try:
                    act()
                    print("done")
                except PermissionError:
                    print("refused")
    """
    assert attempt(code, is_guarded=is_guarded).split() == ["refused" if is_guarded else "done"] * 7


CHANGING = """
    chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown utime utimes futimesat utimensat
    setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat
    setpriority sched_setparam sched_setscheduler sched_setaffinity sched_setattr ioprio_set
    migrate_pages move_pages shmget shmat shmctl semget semop semtimedop semctl msgget msgsnd msgrcv
    msgctl mq_open mq_unlink ptrace kill execve
"""


@pytest.mark.skipif(not can_build(), reason="needs ziglang")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_filter_refuses_by_the_numbers_of_the_kernel(processor: str) -> None:
    """Whichever of these calls a processor has."""
    program = Program(b"".join(_make_program(processor)))
    refused = {name for name in CHANGING.split() if name in read_numbers(processor)}
    for name, number in read_numbers(processor).items():
        answer = program.answer(Call(number, MACHINES[processor], (1,)))
        if name in refused:
            assert answer == ERRNO | errno.EPERM, name
        elif name in ("read", "write", "openat", "getpriority", "shmdt", "sched_getaffinity"):
            assert answer == ALLOW, name
    assert len(refused) > 35


# CLONE_NEWUSER and SIGCHLD.
UNSHARED = 0x10000000 | 17


@pytest.mark.parametrize("is_guarded", [True, False])
def test_behind_the_filter_no_other_process_is_reached(tmp_path: Path, is_guarded: bool) -> None:
    """Neither by a socket of this host, such as the engine's, nor by a signal or a namespace."""
    path = str(tmp_path / "engine.sock")
    datagrams = str(tmp_path / "log.sock")
    with socket.socket(socket.AF_UNIX) as engine, socket.socket(socket.AF_UNIX, 2) as log:
        engine.bind(path)
        engine.listen()
        log.bind(datagrams)
        code = f"""
            import errno, socket
            def attempt(act):
                try:
                    act()
                    print("done", flush=True)
                except OSError as error:
                    print(errno.errorcode[error.errno], flush=True)
            def call(number, *arguments):
                libc = ctypes.CDLL(None, use_errno=True)
                result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
                if result == 0 and number != 424:
                    os._exit(0)
                if result < 0:
                    raise OSError(ctypes.get_errno(), "")
            attempt(lambda: socket.socket(socket.AF_UNIX).connect({path!r}))
            attempt(lambda: socket.socketpair(type=socket.SOCK_DGRAM)[0].connect({datagrams!r}))
            attempt(lambda: os.kill(os.getppid(), 0))
            attempt(lambda: call(424, os.pidfd_open(os.getppid()), 0, 0, 0))
            attempt(lambda: call({{"x86_64": 56, "aarch64": 220}}[os.uname().machine],
                                 {UNSHARED}, 0, 0, 0, 0))
        """
        assert (
            attempt(code, is_guarded=is_guarded).split() == ["EPERM" if is_guarded else "done"] * 5
        )
    # What a worker needs: the network, its resolver, threads, and the pair of its event loop.
    assert (
        attempt("""
        import socket
        socket.socketpair()
        listener = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(listener.getsockname())
        thread = threading.Thread(target=socket.getaddrinfo, args=("localhost", 443))
        thread.start()
        thread.join()
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).bind((0, 0))
        print("served")
        """)
        == "served"
    )


CONFINED = """
    from pathlib import Path
    from airlock_daemon.boundary.brokers.https.confinement import confine
    from airlock_daemon.boundary.brokers.https.messages import Settings
    root = Path({root!r})
    keys, published = str(root / "https" / "a.ca" / "key"), str(root / "published")
    {confine}(Settings(agent="a", apis=(), keys=keys, published=published,
                       variables={{"SSL_CERT_FILE": str(root / "home" / "authorities.pem")}}))
    def attempt(act):
        try:
            act()
            print("done", flush=True)
        except PermissionError:
            print("refused", flush=True)
"""


def attempt_confined(root: Path, code: str, *, is_guarded: bool) -> list[str]:
    """The words that a process prints which is confined as a worker of agent `a` is."""
    for name in ("https/a.ca", "https/b.ca", "stored", "published", "home"):
        (root / name).mkdir(parents=True)
    for name in ("https/a.ca/key", "https/b.ca/key", "stored/gh", "home/token"):
        (root / name).write_text("as it was")
    (root / "home" / "authorities.pem").write_text("")
    confine = "confine" if is_guarded else "type"
    beginning = textwrap.dedent(CONFINED.format(root=str(root), confine=confine))
    return attempt(beginning + textwrap.dedent(code), is_guarded=is_guarded).split()


@pytest.mark.skipif(landlock_version() < 3, reason="needs a newer Landlock")
@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_confined_worker_writes_in_its_two_directories_alone(
    tmp_path: Path, is_guarded: bool
) -> None:
    """So that it leaves nothing for others to execute, and replaces no file that they trust."""
    code = """
        import tempfile
        def run():
            attempt((root / "home" / "token").unlink)
            attempt(lambda: (root / "home" / "token").write_text("changed"))
            attempt(lambda: os.symlink("x", root / "home" / "link"))
            attempt(lambda: os.truncate(root / "home" / "token", 0))
            attempt((root / "https" / "b.ca" / "key").unlink)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        # The file of a long body, and a file that is published.
        tempfile.TemporaryFile(dir=root / "https" / "a.ca").write(b"body")
        file = root / "published" / "ca.pem"
        file.with_suffix(".new").write_text("it")
        os.replace(file.with_suffix(".new"), file)
        print(file.read_text())
    """
    answers = ["refused" if is_guarded else "done"] * 5
    assert attempt_confined(tmp_path, code, is_guarded=is_guarded) == [*answers, "it"]
    found = (tmp_path / "home" / "token").read_text()
    assert found == ("as it was" if is_guarded else "")


@pytest.mark.skipif(landlock_version() == 0, reason="needs Landlock")
@pytest.mark.parametrize("is_guarded", [True, False])
def test_a_confined_worker_reads_neither_credentials_nor_keys_of_others(
    tmp_path: Path, is_guarded: bool
) -> None:
    """Whoever breaks it has its agent's own; what it needs it still reads."""
    code = """
        for name in ("stored/gh", "https/b.ca/key", "home/token"):
            attempt((root / name).read_text)
        for name in ("stored", "https", "home", "/root", "/proc", "/"):
            attempt(lambda: os.listdir(root / name))
        attempt(Path("/proc/self/environ").read_bytes)
        import encodings.idna, socket, ssl, sqlite3
        socket.getaddrinfo("localhost", 443)
        ssl.create_default_context()
        print(Path(keys).read_text(), (root / "home" / "authorities.pem").read_text())
    """
    answers = ["refused" if is_guarded else "done"] * 10
    found = attempt_confined(tmp_path, code, is_guarded=is_guarded)
    assert found == [*answers, "as", "it", "was"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities")
@pytest.mark.parametrize("is_own", [True, False])
def test_capabilities_are_dropped_but_for_one_where_the_directories_are_of_others(
    tmp_path: Path, is_own: bool
) -> None:
    """A daemon of root may have its state in a directory of another user."""
    if not is_own:
        os.chown(tmp_path, 65534, 65534)
    printed = attempt(f"""
        from airlock_daemon.platform.linux.privileges import drop_capabilities
        drop_capabilities()
        drop_capabilities([{str(tmp_path)!r}])
        status = dict(line.split(":") for line in open("/proc/self/status"))
        print(*(int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")))
        open({str(tmp_path / "file")!r}, "w")
    """)
    assert printed == ("0 0 0 0" if is_own else "2 2 0 0")


async def test_a_worker_has_the_filter_and_no_new_privileges(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """And none of the daemon's capabilities, environment or directory."""
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        status = read_status(world.worker)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        # No capability either, whoever runs the daemon.
        assert {int(status[each], 16) for each in ("CapPrm", "CapEff", "CapAmb")} == {0}
        assert os.readlink(f"/proc/{world.worker}/cwd") == "/"
        assert world.process is not None
        assert read_status(world.process.pid)["Threads"] == "1"
        # It can be read by root alone.
        assert Path(f"/proc/{world.process.pid}/environ").read_bytes() == (
            f"PATH={os.defpath}\0".encode()
        )


async def test_workers_end_by_their_sockets_and_not_by_signals_of_the_session(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """The daemon ends first, with its grace for what is under way."""
    async with broker(
        tmp_path, make_api(server.port), variables=variables, parent=start_parent()
    ) as world:
        assert world.process is not None
        assert world.channel is not None
        worker = os.pidfd_open(world.worker)
        for pid in (world.process.pid, world.worker):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(pid, number)
        tool = await world.open()
        assert (await tool.ask("GET", "/"))[0] == 200
        world.channel.close()
        await wait_for_end(worker)
        # The parent forks another.
        async with trio.open_nursery() as nursery:
            await world.fork(nursery)
            assert isinstance(await world.settle(), Ready)
            tool = await world.open()
            assert (await tool.ask("GET", "/"))[0] == 200
            second = os.pidfd_open(world.worker)
            # The kernel ends workers with their parent.
            world.process.kill()
            await wait_for_end(second)


async def test_a_worker_that_hangs_is_killed_by_its_number(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """Its socket's end does not end it; others are left alone, and the parent forks on."""
    async with (
        broker(
            tmp_path, make_api(server.port), variables=variables, parent=start_parent()
        ) as world,
        trio.open_nursery() as nursery,
    ):
        first, number = os.pidfd_open(world.worker), world.number
        os.kill(world.worker, signal.SIGSTOP)
        await world.fork(nursery)
        assert isinstance(await world.settle(), Ready)
        for each in (number, number, number + 7):
            await world.parent.send(Kill(worker=each))
        await wait_for_end(first)
        tool = await world.open()
        assert (await tool.ask("GET", "/"))[0] == 200
        nursery.cancel_scope.cancel()


async def test_the_parent_ends_with_the_daemon_and_its_workers_with_it(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """Whatever ends that: closing its sockets is enough."""
    async with broker(
        tmp_path, make_api(server.port), variables=variables, parent=start_parent()
    ) as world:
        assert world.process is not None
        parent, worker = os.pidfd_open(world.process.pid), os.pidfd_open(world.worker)
        world.parent.close()
        await wait_for_end(parent)
        await wait_for_end(worker)


async def test_new_settings_hold_for_connections_that_come_later(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """The CA has the same key, and its certificate the new hosts."""
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        before = (world.published / "ca.pem").read_bytes()
        kept = await world.open()
        old = world.apis
        world.apis = (make_api(server.port, hosts=("127.0.0.1",)),)
        assert await world.settle() == world.find(Ready)[0]
        assert (world.published / "ca.pem").read_bytes() != before
        _, answer = await world.tunnel(f"localhost:{server.port}")
        assert answer.startswith(b"HTTP/1.1 403 airlock: localhost:")
        assert (await (await world.open("127.0.0.1")).ask("GET", "/"))[0] == 200
        world.apis = old
        assert (await kept.ask("GET", "/"))[0] == 200


async def test_where_the_files_cannot_be_published_connections_are_told_so(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """And it is mended by the next settings."""
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        (tmp_path / "agent.ca" / "key").chmod(0o644)
        told = await world.settle()
        assert isinstance(told, Unready)
        assert "is not this user's alone" in told.message
        _, answer = await world.tunnel(f"localhost:{server.port}")
        assert answer.startswith(b"HTTP/1.1 503 airlock: ")
        (tmp_path / "agent.ca" / "key").chmod(0o600)
        assert isinstance(await world.settle(), Ready)
        assert (await (await world.open()).ask("GET", "/"))[0] == 200


async def test_a_connection_that_is_ended_from_the_daemon_is_told_as_ended(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """By shutdown(2), which ends it for whoever has it open."""
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = await world.pass_on(theirs)
            theirs.shutdown(socket.SHUT_RDWR)
            assert await world.wait_for(Ended) == Ended(connection=number)


async def test_a_connection_that_is_over_for_the_daemon_waits_for_nothing(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """Neither for the answer to a question, which would hold its descriptors, nor for the tool."""
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        world.answers = False
        asking = await world.open()
        await asking.begin("GET", "/")
        question = await world.wait_for(Question)
        assert isinstance(question, Question)
        silent, _ = await world.connect()
        # A number that nothing has any more is told too, where both ends end at once.
        for number in (99, question.connection, silent):
            await world.give(Over(connection=number))
        with trio.fail_after(60):
            while len(world.find(Ended)) < 2:
                await world.wait_for(Ended, since=len(world.told))
        world.answers = True
        assert (await (await world.open()).ask("GET", "/"))[0] == 200


def test_a_worker_loads_nothing_of_setup() -> None:
    """It gets what it needs in messages; a face that loads more would grow each worker."""
    code = "import sys, airlock_daemon.boundary.brokers.https.worker; print(*sys.modules)"
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, check=True, timeout=60
    )
    assert not [name for name in done.stdout.split() if name.startswith("airlock_daemon.setup")]
