"""The next steps after an agent is registered."""

import enum
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator

import msgspec

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.container_lines import (
    COMMAND,
    IMAGE,
    compose,
    devcontainer,
    docker_run,
)
from airlock_daemon.admin.cli.reload import dump_reload
from airlock_daemon.admin.cli.wiring import Wiring
from airlock_daemon.setup.shim_program import INSTALL
from airlock_daemon.setup.status import Reload

_STOP = "Stop the running daemon, which serves other agents, and start it by"


class Form(enum.StrEnum):
    """How to start an agent's container: by `run`, or by something else."""

    RUN = "run"
    DOCKER = "docker"
    COMPOSE = "compose"
    DEVCONTAINER = "devcontainer"


class NextSteps(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the `start` that serves the agent and of its `run`, and the mounts.

    `logins` are the words of each `login` for a missing credential. `reload` is the outcome in the
    running daemon, None if it does not serve the registration; `has_other` says that a daemon runs
    with another registration, `is_started` that the service was started. `directory` is the
    agent's, which no container can write.
    """

    directory: str
    start: tuple[str, ...]
    run: tuple[str, ...]
    reload: Reload | None
    has_other: bool
    is_started: bool
    wiring: Wiring
    logins: tuple[tuple[str, ...], ...] = ()

    def dump(self) -> dict[str, object]:
        """The steps as JSON data."""
        return {
            "start": self.start,
            "daemon": _STOP if self.has_other else None,
            "is_started": self.is_started,
            "reload": None if self.reload is None else dump_reload(self.reload),
            "logins": self.logins,
            "run": self.run,
            "docker_run": docker_run(self.wiring, user=_user()),
            "compose": compose(self.wiring, user=_user()),
            "devcontainer": devcontainer(self.wiring, user=_user()),
        }

    def describe(self, form: Form) -> Iterator[str]:
        """The steps as text, with indented lines to copy.

        The last line is the command that starts the container by `form`.
        """
        if self.is_started:
            yield "The service was started, and serves it."
        elif self.reload is None:
            yield f"{_STOP if self.has_other else 'Start the daemon'}:"
            yield from _indent(shlex.join(self.start))
            yield ""
        elif not self.reload.faults:
            yield "The running daemon serves it."
        yield from self.describe_container(form)

    def describe_container(self, form: Form) -> Iterator[str]:
        """Only how to start the container, and first what its APIs need on this host."""
        yield from self.introduce(form)
        yield from _indent(self.write_container(form))
        yield from self.conclude(form)

    def introduce(self, form: Form) -> Iterator[str]:
        """The text before the command or file."""
        if self.logins:
            yield "Store the credential, which stays on this host and is asked for without echo:"
            yield from _indent("\n".join(map(shlex.join, self.logins)))
            yield ""
        if self.wiring.shim is None:
            yield f"The shim is not installed here: {INSTALL}; or name where it is."
        begin = _NEXT[form].format(file=self._compose_file)
        yield f"{begin}, with your image in the place of {IMAGE}" + (
            f" and what it runs, its entrypoint first, in the place of {COMMAND}:"
            if self.wiring.entrypoint is not None and form is Form.DOCKER
            else ":"
        )

    def write_container(self, form: Form) -> str:
        """The command that starts the container by `form`, or the file that describes it."""
        if form is Form.RUN:
            return shlex.join((*self.run, IMAGE))
        if form is Form.DOCKER:
            return docker_run(self.wiring, user=_user())
        if form is Form.COMPOSE:
            return compose(self.wiring, user=_user())
        return json.dumps(devcontainer(self.wiring, user=_user()), indent=2, ensure_ascii=False)

    def conclude(self, form: Form) -> Iterator[str]:
        """The text behind a file: how to start its container."""
        if form is Form.COMPOSE:
            yield from ("", "and start it:")
            words = () if self.wiring.entrypoint is None else (COMMAND,)
            line = ("docker", "compose", "-f", self._compose_file, *_RUN_AGENT, *words)
            yield from _indent(shlex.join(line))
        elif form is Form.DEVCONTAINER:
            yield from ("", "and start it, by the editor or by:")
            yield from _indent(f"devcontainer up --workspace-folder . --config {_DEVCONTAINER}")

    @property
    def _compose_file(self) -> str:
        # In the project the container could change it, and a file beside it that is read too.
        return os.path.join(self.directory, "compose.yaml")


_RUN_AGENT = ("run", "--rm", "agent")
_DEVCONTAINER = ".devcontainer/airlock/devcontainer.json"
"""Beside the team's own, which stays as it is; editors offer both."""
_NEXT = {
    Form.RUN: "Next, in the project's directory",
    Form.DOCKER: "Next, for an image whose PATH has /usr/local/bin first",
    Form.COMPOSE: "Next, write this as {file}",
    Form.DEVCONTAINER: f"Next, write this as {_DEVCONTAINER}",
}


def choose_start(application: Application, registration: str) -> tuple[str, ...]:
    """The words that serve `registration`, with this program's options."""
    locations = msgspec.structs.replace(application.locations, agents=registration)
    return (*_program(), "start", *locations.options)


def choose_run(application: Application, agent: str) -> tuple[str, ...]:
    """The words that run a container of `agent`, without the image."""
    return (*_program(), "run", *application.locations.options, agent)


def choose_login(application: Application, name: str) -> tuple[str, ...]:
    """The words that store a credential under `name`."""
    locations = msgspec.structs.replace(application.locations, agents=None)
    return (*_program(), "login", *locations.options, name)


def _program() -> tuple[str, ...]:
    # In an environment that is not on PATH, the name alone would not be found. Without -P Python
    # would import what an agent has put into the current directory.
    if shutil.which("airlock"):
        return ("airlock",)
    return (sys.executable, "-P", "-m", "airlock_daemon")


def _user() -> str:
    return f"{os.getuid()}:{os.getgid()}"


def _indent(text: str) -> Iterator[str]:
    yield ""
    yield from (f"    {line}" for line in text.splitlines())
