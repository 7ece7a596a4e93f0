"""What a person does once an agent is registered."""

import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator

import msgspec

from airlock_daemon.cli.application import Application
from airlock_daemon.cli.container_lines import Wiring, compose, devcontainer, docker_run
from airlock_daemon.cli.registration import Registration


class NextSteps(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the `start` that serves the agent, and what its container has mounted.

    `daemon` says what to do with a daemon that runs already, and is None where none does.
    """

    start: tuple[str, ...]
    daemon: str | None
    wiring: Wiring

    def dump(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "start": self.start,
            "daemon": self.daemon,
            "docker_run": docker_run(self.wiring),
            "compose": compose(self.wiring, user=_user()),
            "devcontainer": devcontainer(self.wiring),
        }

    def describe(self) -> Iterator[str]:
        """The same for people: what to do, and lines to copy, which are indented."""
        yield f"{self.daemon}:" if self.daemon else "Start the daemon:"
        yield from _indent(shlex.join(self.start))
        if self.wiring.shim is None:
            yield "The shim is not installed here: pip install airlock-shim, or name where it is."
        yield "Then a container, of any image in the place of IMAGE:"
        yield from _indent(docker_run(self.wiring))
        yield "The same as compose.yaml:"
        yield from _indent(compose(self.wiring, user=_user()))
        yield "The same as devcontainer.json:"
        yield from _indent(json.dumps(devcontainer(self.wiring), indent=2, ensure_ascii=False))


def choose_start(application: Application, registration: str) -> tuple[str, ...]:
    """The words that serve `registration`, with the options that this program was given."""
    locations = application.locations
    words = [*_program(), "start"]
    if application.config:
        words += ["--config", locations.config_dir]
    if application.sockets:
        words += ["--sockets", locations.sockets_dir]
    return (*words, "--agents", registration)


def say_daemon(registration: Registration) -> str | None:
    """What to do with the running daemon so that it serves what has just been registered."""
    if registration.is_served:
        return "Restart the running daemon, which knows of it then, as you started it or by"
    if registration.has_daemon:
        return "Stop the running daemon, which serves other agents, and start it by"
    return None


def _program() -> tuple[str, ...]:
    # In an environment that is not on PATH the name alone would not be found.
    if shutil.which("airlock-daemon"):
        return ("airlock-daemon",)
    return (sys.executable, "-m", "airlock_daemon")


def _user() -> str:
    return f"{os.getuid()}:{os.getgid()}"


def _indent(text: str) -> Iterator[str]:
    yield ""
    yield from (f"    {line}" for line in text.splitlines())
    yield ""
