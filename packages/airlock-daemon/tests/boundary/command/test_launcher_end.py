"""The launcher, from the start of the tool to the end of its last descendant."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from launching import (
    STRAYS,
    Launch,
    has_ended,
    launcher_path,
    open_strays,
    shell,
    wait_ended,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux")


def end_by_tool(launch: Launch) -> None:
    """The tool ends by itself."""
    os.write(launch.stdin, b"\n")


def end_by_order(launch: Launch) -> None:
    """The daemon orders the end."""
    launch.order("E", signal.SIGTERM)


def kill_by_order(launch: Launch) -> None:
    """The daemon orders the end without a grace."""
    launch.order("E", signal.SIGKILL)


def end_by_close(launch: Launch) -> None:
    """The daemon has nothing to say any more, as after closing its end of the socket."""
    launch.control.shutdown(socket.SHUT_WR)


def end_by_nonsense(launch: Launch) -> None:
    """The daemon says something that is no order."""
    launch.control.send(b"?")


@pytest.mark.parametrize(
    "end", [end_by_tool, end_by_order, kill_by_order, end_by_close, end_by_nonsense]
)
def test_descendants_end_that_left_the_session(end: Callable[[Launch], None]) -> None:
    """Neither setsid nor a double fork leads out, however the end comes."""
    with Launch("/bin/sh", *shell(f"{STRAYS} read x")) as launch:
        strays = open_strays(launch)
        end(launch)
        launch.read_reports()
        assert [has_ended(pidfd) for pidfd in strays] == [True, True]


def test_descendants_end_with_a_daemon_that_is_killed() -> None:
    """A daemon that gets SIGKILL can say nothing; the closed socket says it."""
    daemon = textwrap.dedent("""
        import os, sys
        from launching import Launch, shell
        script = "echo $PPID; echo $$;" + sys.argv[1] + "read x"
        with Launch("/bin/sh", *shell(script)) as launch:
            print(*(launch.read_line().decode() for _ in range(4)), flush=True)
            sys.stdin.read()
    """)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", daemon, STRAYS],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        pids = [int(word) for word in process.stdout.readline().split()]
        pidfds = [os.pidfd_open(pid) for pid in pids]
        process.kill()
    for pidfd in pidfds:
        wait_ended(pidfd)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide /proc")
@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
def test_descendants_end_where_proc_is_hidden() -> None:
    """Without /proc it takes longer, and nothing escapes either."""
    hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    hide.append(launcher_path())
    with Launch("/bin/sh", *shell(f"{STRAYS} read x"), launcher=hide) as launch:
        strays = open_strays(launch)
        end_by_tool(launch)
        assert launch.read_reports() == [("X", 0)]
        assert [has_ended(pidfd) for pidfd in strays] == [True, True]


def test_a_thousand_descendants_end() -> None:
    """A tree of some depth, each in a session of its own, ends as a whole."""
    program = textwrap.dedent("""
        import os, signal
        def grow(*, width, depth):
            for _ in range(width if depth else 0):
                if os.fork() == 0:
                    os.setsid()
                    grow(width=width, depth=depth - 1)
                    signal.pause()
            os.write(1, b".")
        grow(width=10, depth=3)
        signal.pause()
    """)
    with Launch(sys.executable, "-IS", "-c", program) as launch:
        remaining = 1 + 10 + 100 + 1000
        while remaining:
            remaining -= len(os.read(launch.stdout, remaining))
        end_by_order(launch)
        assert launch.read_reports() == [("X", signal.SIGTERM)]
        assert launch.read_output() == b""


def test_descendants_of_threads_end() -> None:
    """A process that another thread than the first one started is found too."""
    program = textwrap.dedent("""
        import subprocess, sys, threading
        def start():
            subprocess.run([*sys.argv[1:]])
        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
    """)
    child = shell("trap 'echo hup; exit' HUP; echo $$; while :; do read x; done")
    with Launch(sys.executable, "-IS", "-c", program, "/bin/sh", *child) as launch:
        pidfd = os.pidfd_open(int(launch.read_line()))
        launch.order("E", signal.SIGHUP)
        assert launch.read_output() == b"hup\n"
        launch.read_reports()
        assert has_ended(pidfd)


def test_a_signal_goes_to_the_tools_process_group() -> None:
    """The tool's children in its group get it; processes that left the group do not."""
    script = """
        exec 3<&0
        setsid sh -c 'trap "echo stray" USR1; echo up; read x <&3; echo left' &
        sh -c 'trap "echo child; exit" USR1; echo up; while :; do sleep 1000 & wait; done' &
        trap 'echo tool' USR1
        echo up
        while :; do wait; done
    """
    with Launch("/bin/sh", *shell(script)) as launch:
        assert [launch.read_line() for _ in range(3)] == [b"up"] * 3
        launch.order("S", signal.SIGUSR1)
        assert {launch.read_line(), launch.read_line()} == {b"tool", b"child"}
        os.write(launch.stdin, b"\n")
        assert launch.read_line() == b"left"


def test_an_ordered_end_may_be_handled() -> None:
    """The signal that was asked for comes first, and the tool's own exit status is reported."""
    script = "trap 'echo term; exit 3' TERM; echo up; while :; do read x; done"
    with Launch("/bin/sh", *shell(script)) as launch:
        launch.read_line()
        launch.order("E", signal.SIGTERM)
        assert launch.read_line() == b"term"
        assert launch.read_reports() == [("X", 3 << 8)]


def test_a_stopped_tool_may_handle_its_end() -> None:
    """A tool that was stopped is continued, since it could not handle anything otherwise."""
    script = "trap 'exit 3' HUP; echo up; kill -STOP $$; while :; do read x; done"
    with Launch("/bin/sh", *shell(script)) as launch:
        launch.read_line()
        launch.order("E", signal.SIGHUP)
        assert launch.read_reports() == [("X", 3 << 8)]


def test_a_tool_that_ignores_its_end_is_killed() -> None:
    """After the grace SIGKILL ends what is left, descendants that ignore the signal too."""
    script = "trap '' HUP; setsid sh -c 'echo $$; exec sleep 1000' & read x"
    with Launch("/bin/sh", *shell(script)) as launch:
        stray = os.pidfd_open(int(launch.read_line()))
        launch.order("E", signal.SIGHUP)
        assert launch.read_reports() == [("X", signal.SIGKILL)]
        assert has_ended(stray)


def test_the_tools_end_is_reported_before_that_of_its_descendants() -> None:
    """What the tool leaves behind gets SIGHUP and then SIGKILL, and holds up no exit status."""
    script = """
        setsid sh -c 'trap "echo hup" HUP; echo $$; while :; do sleep 1000 & wait; done' &
        read x
    """
    with Launch("/bin/sh", *shell(script)) as launch:
        stray = os.pidfd_open(int(launch.read_line()))
        os.write(launch.stdin, b"\n")
        assert launch.read_report() == ("X", 0)
        assert not launch.left_nothing
        assert not has_ended(stray)
        assert launch.read_line() == b"hup"
        assert launch.read_report() is None
        assert has_ended(stray)


def test_a_tool_that_leaves_nothing_behind_is_reported_as_such() -> None:
    """Whoever reads that need not wait for the end of the supervisor."""
    with Launch("/bin/sh", *shell("/bin/true; exit 3")) as launch:
        assert launch.read_report() == ("X", 3 << 8)
        assert launch.left_nothing
        assert launch.read_report() is None


def test_signals_do_not_end_service_or_supervisor() -> None:
    """Nothing but SIGKILL ends them before the tool."""
    with Launch("/bin/sh", *shell("echo $PPID; read x; exit 4")) as launch:
        for pid in [int(launch.read_line()), launch.service.pid]:
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                os.kill(pid, number)
        os.write(launch.stdin, b"\n")
        assert launch.read_reports() == [("X", 4 << 8)]
        with Launch("/bin/true", service=launch.service) as another:
            assert another.read_reports() == [("X", 0)]


def test_the_supervisor_holds_none_of_the_tools_descriptors() -> None:
    """When the tool closes its output the reader sees it, though tool and supervisor live on."""
    with Launch("/bin/sh", *shell("echo up; exec >&-; read x; exit 5")) as launch:
        assert launch.read_output() == b"up\n"
        os.write(launch.stdin, b"\n")
        assert launch.read_reports() == [("X", 5 << 8)]
