"""The processes of the HTTPS broker: what they may do, and when they end."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import broker_fixtures
import trio
from api_server import ApiServer
from broker_world import broker, make_api

from airlock_daemon.brokers.https.messages import Ended, Ready, Unready

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


async def test_a_worker_has_the_filter_and_no_new_privileges(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """And none of the daemon's environment or directory."""
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        status = read_status(world.worker)
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
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
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
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


async def test_the_parent_ends_with_the_daemon_and_its_workers_with_it(
    tmp_path: Path, server: ApiServer, variables: dict[str, str]
) -> None:
    """Whatever ends that: closing its sockets is enough."""
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
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
        (tmp_path / "agent.key").chmod(0o644)
        told = await world.settle()
        assert isinstance(told, Unready)
        assert "is not this user's alone" in told.message
        _, answer = await world.tunnel(f"localhost:{server.port}")
        assert answer.startswith(b"HTTP/1.1 503 airlock: ")
        (tmp_path / "agent.key").chmod(0o600)
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
