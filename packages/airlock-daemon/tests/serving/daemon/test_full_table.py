"""A daemon whose table of descriptors is full, at each step of a request."""

import os
import resource
import signal

from running import Daemon, connect_to, read_answer, request
from worlds import World

FRESH = ("-m", "airlock_daemon")
"""Executed, so that code is read as it is needed: other daemons here have it all."""

_MORE = 40


def list_limits(daemon: Daemon, more: int = _MORE) -> range:
    """Limits from one that leaves the daemon no descriptor to one that leaves it `more`."""
    taken = set(map(int, os.listdir(f"/proc/{daemon.process.pid}/fd")))
    first = next(number for number in range(len(taken) + 1) if number not in taken)
    return range(first, max(taken) + more)


def allow(daemon: Daemon, limit: int) -> None:
    """Limit the daemon's descriptors."""
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, 20_000))


def test_wherever_a_request_finds_no_descriptor_it_is_told_so(daemon: Daemon) -> None:
    """It is no fault of the daemon's own, nor of the client; with enough of them it is served."""
    assert daemon.shell("true").exit_code == 0
    said = set()
    for limit in list_limits(daemon):
        allow(daemon, limit)
        answer = daemon.shell("echo done")
        said.add(answer.error["message"] if "error" in answer.last else answer.text())
    assert {each for each in said if "Too many open files" not in each} == {
        "done\n",
        "the daemon has no file descriptors left",
    }
    assert "fault" not in daemon.messages()


def test_a_reload_without_a_descriptor_does_not_end_the_daemon(world: World) -> None:
    """It has not read the code yet that explains such faults; the next reload mends all."""
    with Daemon(world, program=FRESH) as daemon:

        def reload() -> str:
            before = daemon.messages()
            count = before.count("reloaded: ")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_until(lambda: daemon.messages().count("reloaded: ") > count)
            return daemon.messages()[len(before) :]

        for name in ("another", "third"):
            world.add_agent(name)
        limits = list_limits(daemon, 4)
        allow(daemon, limits[0])
        assert "not reloaded: " in reload()
        for limit in limits[1:]:
            allow(daemon, limit)
            reload()
        assert "the daemon has no file descriptors left" in daemon.messages()
        allow(daemon, 20_000)
        assert "not reloaded: " not in reload()
        for name in ("another", "third", "my"):
            with connect_to(world.socket.replace("/my/", f"/{name}/")) as connection:
                connection.sendall(request("sh", "-c", "echo done"))
                assert read_answer(connection).text() == "done\n"
