"""`docker exec -it` by somebody at a real terminal: it is the host's tool that has it."""

from collections.abc import Iterator

import pytest
from e2e.world.container import Container
from e2e.world.engine import MADE_LABEL
from e2e.world.scene import Stage

from .errands.ssh import Ssh

# Says its size, and does not end on its own.
WATCH = """#!/bin/sh
trap 'echo interrupted; exit 9' INT
echo "at first $(stty size)"
while :; do read -r line; done
"""


@pytest.fixture
def watching(user_stage: Stage) -> Iterator[Container]:
    """Return a container whose agent has a command, `linger`, that waits at its terminal."""
    program = user_stage.account.home / "watch"
    user_stage.account.write(program, WATCH, mode=0o755)
    module = f'[command]\nbin = "{program}"\n[deny]\nargs = []\n[sandbox]\nbox = "none"\n'
    scene = user_stage.scene(modules={"linger": module})
    with scene.setup(scene.images.busybox).running() as client:
        yield client


def test_ctrl_c_ends_the_tool_and_leaves_the_shell(watching: Container) -> None:
    """The tool gets SIGINT and ends as it likes; the container's shell and terminal go on."""
    with watching.sit_at("sh", rows=24, cols=80) as terminal:
        terminal.enter("PS1='ready> '; stty -a >/tmp/before\r")
        terminal.wait_for("\nready> ")
        terminal.enter("linger\r")
        terminal.wait_for("at first 24 80")
        terminal.enter("\x03")
        terminal.wait_for("interrupted")
        terminal.enter("echo status $?; stty -a | diff /tmp/before - && echo as before\r")
        terminal.wait_for("status 9")
        terminal.wait_for("as before")
        terminal.enter("exit 3\r")
        assert terminal.wait() == 3


def test_ssh_passes_the_terminal_on(user_stage: Stage, ssh_errand: Ssh) -> None:
    """A shell on a third machine has the size of the terminal that somebody sits at."""
    scene = user_stage.workshop
    with (
        scene.setup(scene.images.busybox).running() as client,
        client.sit_at(*ssh_errand.call, rows=31, cols=99) as terminal,
    ):
        terminal.enter("stty size; hostname\r")
        terminal.wait_for("31 99")
        terminal.wait_for(ssh_errand.machine[:12])
        terminal.resize(44, 111)
        # The new size travels by three programs, and the remote shell asks for it at once.
        terminal.enter("until [ \"$(stty size)\" = '44 111' ]; do :; done; echo arri''ved\r")
        terminal.wait_for("arrived")
        terminal.enter("sleep infinity\r")
        terminal.wait_for("sleep infinity")
        terminal.enter("\x03echo stat''us $?\r")
        terminal.wait_for("status 130")
        terminal.enter("exit 5\r")
        assert terminal.wait() == 5


@pytest.mark.linux_only("boxes")
def test_docker_run_has_a_terminal(user_stage: Stage) -> None:
    """A container that the container starts has it too: its size, and Ctrl-C for its programs."""
    scene = user_stage.workshop
    run = ("docker", "run", "--rm", "-it", f"--label={MADE_LABEL}")
    with (
        scene.setup(scene.images.busybox).running() as client,
        client.sit_at(*run, scene.images.busybox, "sh", rows=31, cols=99) as terminal,
    ):
        terminal.enter("until [ \"$(stty size)\" = '31 99' ]; do :; done; echo arri''ved\r")
        terminal.wait_for("arrived")
        terminal.enter("sh -c 'echo be\"\"gun; sleep infinity'\r")
        terminal.wait_for("begun")
        terminal.enter("\x03")
        terminal.enter("echo stat''us $?\r")
        terminal.wait_for("status 130")
        terminal.enter("exit 5\r")
        assert terminal.wait() == 5


def test_without_a_terminal_the_tool_has_none(user_stage: Stage, ssh_errand: Ssh) -> None:
    """The control: by plain `docker exec -i` the tool's streams are no terminal."""
    scene = user_stage.workshop
    with scene.setup(scene.images.busybox).running() as client:
        told = client.run(*ssh_errand.call, "test -t 0 || test -t 1 || echo none").succeeded()
    assert told.stdout == "none"
