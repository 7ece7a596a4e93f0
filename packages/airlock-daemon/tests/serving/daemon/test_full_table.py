"""A daemon whose table of descriptors is full, at each step of a request."""

import os
import resource

from running import Daemon

_MORE = 40


def test_wherever_a_request_finds_no_descriptor_it_is_told_so(daemon: Daemon) -> None:
    """It is no fault of the daemon's own, nor of the client; with enough of them it is served."""
    assert daemon.shell("true").exit_code == 0
    taken = set(map(int, os.listdir(f"/proc/{daemon.process.pid}/fd")))
    first = next(number for number in range(len(taken) + 1) if number not in taken)
    said = set()
    for limit in range(first, max(taken) + _MORE):
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, 20_000))
        answer = daemon.shell("echo done")
        said.add(answer.error["message"] if "error" in answer.last else answer.text())
    assert {each for each in said if "Too many open files" not in each} == {
        "done\n",
        "the daemon has no file descriptors left",
    }
    assert "fault" not in daemon.messages()
