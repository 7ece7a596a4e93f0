"""Tests of `airlock_daemon.boundary.command.posix_launcher`, with its real process."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
import trio.lowlevel

from airlock_daemon.boundary.command.launcher import Bounds, CommandLine, Ended, Launch
from airlock_daemon.boundary.command.posix_launcher import PosixLauncher
from airlock_daemon.errors import AirlockError, Failed

NOFILE = 200


class Tool(NamedTuple):
    """A started command, and what it writes."""

    launch: Launch
    output: int


class Starter:
    """A launcher, and the directory where its commands start."""

    def __init__(self, directory: Path) -> None:
        self.launcher = PosixLauncher(nofile=NOFILE)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._null = os.open(os.devnull, os.O_RDWR)

    async def start(self, *argv: str, environment: dict[str, str] | None = None) -> Tool:
        """Start a command whose output goes to a pipe."""
        reading, writing = os.pipe()
        line = CommandLine(argv[0], argv, environment or {}, self._directory)
        try:
            launch = await self.launcher.launch(line, (self._null, writing, writing))
        finally:
            os.close(writing)
        return Tool(launch, reading)

    async def shell(self, script: str) -> Tool:
        """Start a script."""
        return await self.start("/bin/sh", "-c", script, environment={"PATH": os.defpath})

    def close(self) -> None:
        """End the launcher."""
        self.launcher.close()
        os.close(self._directory)
        os.close(self._null)


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    made = Starter(tmp_path)
    yield made
    made.close()


async def report(tool: Tool) -> Ended | AirlockError:
    while (said := tool.launch.read_report()) is None:
        await trio.lowlevel.wait_readable(tool.launch.ready)
    return said


async def read_line(tool: Tool) -> str:
    await trio.lowlevel.wait_readable(tool.output)
    return os.read(tool.output, 4096).decode()


async def finish(tool: Tool) -> Ended | AirlockError:
    """Return the report, once nothing of the command is left."""
    said = await report(tool)
    await tool.launch.wait_gone()
    tool.launch.close()
    os.close(tool.output)
    return said


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(") ")[2][0] != "Z"


async def test_a_tool_gets_its_arguments_directory_variables_and_limits(
    starter: Starter, tmp_path: Path
) -> None:
    """And no descriptor but three, no blocked and no ignored signal."""
    tool = await starter.start(
        "/bin/sh",
        "-c",
        "pwd; echo $A $1; ulimit -n; ls /proc/self/fd | wc -l; grep -c 0000000000000000 <<E\n"
        "$(grep -E 'Sig(Blk|Ign)' /proc/self/status)\nE\nexit 3",
        "sh",
        "word",
        environment={"PATH": os.defpath, "A": "b\udcff"},
    )
    said = await report(tool)
    text = os.read(tool.output, 65536).decode("utf-8", "surrogateescape")
    await tool.launch.wait_gone()
    tool.launch.close()
    os.close(tool.output)
    assert (said, text) == (Ended(3, None), f"{tmp_path}\nb\udcff word\n{NOFILE}\n4\n2\n")


async def test_long_arguments_arrive_and_too_long_ones_are_named(starter: Starter) -> None:
    """As the kernel has it, and not a message's size."""
    assert await finish(await starter.start("/bin/true", "x" * 100_000)) == Ended(0, None)
    said = await finish(await starter.start("/bin/true", *["x" * 100_000] * 60))
    assert isinstance(said, Failed)
    assert "longer than the kernel allows" in said.message


async def test_a_signal_that_is_sent_at_once_reaches_the_tool(starter: Starter) -> None:
    """Not before it is the leader of its group."""
    tool = await starter.start("/bin/sleep", "60")
    tool.launch.signal(signal.SIGTERM)
    assert await finish(tool) == Ended(143, "SIGTERM")


# Each of its processes is gone before it could be found. The last of them ends by itself.
HOPPING = """
import os, signal, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
end = time.monotonic() + 20
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
"""


async def test_processes_that_are_always_gone_end(starter: Starter) -> None:
    """Nothing has the tool's output any more once nothing of it is said to be left."""
    tool = await starter.start(sys.executable, "-c", HOPPING)
    os.set_blocking(tool.output, False)
    assert await report(tool) == Ended(0, None)
    await tool.launch.wait_gone()
    assert os.read(tool.output, 1) == b""
    tool.launch.close()
    os.close(tool.output)


async def test_a_killed_launcher_is_started_again(starter: Starter) -> None:
    """Its commands are reported as lost, and the daemon ends all of their processes."""
    tool = await starter.shell("sleep 60 & echo $PPID $$ $!; trap '' HUP; wait")
    launcher, *lost = map(int, (await read_line(tool)).split())
    os.kill(launcher, signal.SIGKILL)
    assert isinstance(await finish(tool), Failed)
    assert not any(map(is_alive, lost))
    assert await finish(await starter.start("/bin/true")) == Ended(0, None)


async def test_nothing_is_started_without_the_limits_that_it_needs(starter: Starter) -> None:
    """Boxes refuse such a command before."""
    line = CommandLine("/bin/true", ("true",), {}, 0)
    with pytest.raises(TypeError):
        await starter.launcher.launch(line, (0, 1, 2), bounds=Bounds(processes=1))
