"""`airlock init`."""

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.listening import is_locked, is_served, list_sockets
from airlock_daemon.admin.new_files import REGISTRATION, STARTER
from airlock_daemon.admin.service.manager import Program, find_manager, install, uninstall
from airlock_daemon.files import make_directory, read_exact
from airlock_daemon.path_text import absolute
from airlock_daemon.platform.system import find_missing
from airlock_daemon.setup.checking import Checked
from airlock_daemon.setup.generation import Locations, LogConfig

_ADD = "airlock agent add NAME --workspace DIR"


def init(
    application: Application,
    uninstall_it: Annotated[
        bool,
        typer.Option("--uninstall", help="Stop the service and remove it; all files stay."),
    ] = False,
) -> None:
    """Create the configuration, and install the daemon as a service.

    Creates the directories, a config.toml and a registration that are still empty, and a service: a
    user unit of systemd, or a launch agent. It never changes existing files, except that it renews
    a unit of an earlier version that nobody has edited. So you may run it again at any time, for
    example after an upgrade.

    The service gets your PATH and SSH_AUTH_SOCK, and the options given here. It is started if
    `check` finds no faults in the files; else mend them, and run this again. A restart keeps its
    sockets open, so containers stay connected.

    --uninstall stops and removes the service and its sockets. Configuration, agents and log stay.
    """
    lines = _uninstall(application) if uninstall_it else _install(application)
    if application.json:
        application.print({"done": list(lines)}, ())
        return
    for line in lines:
        typer.echo(line)


def _install(application: Application) -> Iterator[str]:
    # New files beside those of an earlier release would hide them.
    application.refuse_earlier()
    registration = application.find_registration().path or application.locations.registration_file
    locations = msgspec.structs.replace(application.locations, agents=registration)
    yield from _make_files(locations, registration)
    checked = Checked.of(locations)
    # A new file's only fault is that it enables nothing, which is expected.
    is_new = read_exact(locations.config_file) == STARTER and len(checked.faults) == 1
    if not is_new:
        yield from msgspec.structs.replace(checked, notes=()).describe(locations.config_dir)
    missing = find_missing()
    if missing:
        yield (
            f"fault: serving needs Linux or macOS: Python has no {', '.join(missing)} here; run "
            "this again on a host of these that has the credentials"
        )
    obstacle = "there are faults" if checked.faults or missing else None
    if is_new and not missing:
        obstacle = "no command is enabled yet"
    program = _describe(application, registration)
    agent = program.environment.get("SSH_AUTH_SOCK", "")
    if agent.startswith("/tmp/"):  # noqa: S108 - which is where ssh-agent puts it
        yield (
            f"warning: {agent} ends with your session, and then the service has no ssh-agent; "
            "start one whose socket stays where it is, and run this again"
        )
    manager = find_manager()
    lacking = manager.find_obstacle()
    if lacking is None and is_locked(locations.sockets_dir) and not manager.is_running():
        yield (
            f"fault: {locations.sockets_dir} is served by a daemon that is not this service; stop "
            "that where you started it"
        )
        obstacle = "there are faults"
    if lacking is None:
        yield from install(manager, program, obstacle=obstacle)
    else:
        yield f"no service was installed: {lacking.reason}"
        if lacking.remedy:
            yield f"hint: {lacking.remedy}; then run this again"
        yield f"hint: without a service, keep this running: {shlex.join(program.argv)}"
    if is_new:
        # `agent add` writes what the file lacks, and then starts the service.
        yield f"hint: register an agent, which enables its commands: {_ADD}"
    elif obstacle is not None:
        yield "hint: mend the faults, then: airlock init"
    elif not checked.agents:
        yield f"hint: register an agent: {_ADD}"


def _uninstall(application: Application) -> Iterator[str]:
    yield from uninstall(find_manager())
    locations = application.locations
    for path in list_sockets(locations.sockets_dir):
        if not is_served(path):
            os.unlink(path)
            yield f"removed {path}"
    kept = f"{locations.config_dir}, {absolute(LogConfig.DEFAULT_PATH)}"
    yield f"configuration, agents and log stay: {kept}"


def _make_files(locations: Locations, registration: str) -> Iterator[str]:
    """Create missing files, private to the user, all or none; yields a line per file."""
    log = os.path.dirname(absolute(LogConfig.DEFAULT_PATH))
    with ExitStack() as undo:
        for directory in (locations.config_dir, locations.sockets_dir, log):
            make_directory(directory, mode=0o700, undo=undo)
        for path, text in ((locations.config_file, STARTER), (registration, REGISTRATION)):
            if os.path.lexists(path):
                yield f"{path} is there already"
                continue
            make_directory(os.path.dirname(path), mode=0o700, undo=undo)
            Change(path=path, before=None, after=text).apply(undo)
            yield f"made {path}"
        undo.pop_all()


def _describe(application: Application, registration: str) -> Program:
    locations = msgspec.structs.replace(application.locations, agents=registration)
    return Program.describe(*locations.options, environment=os.environ)
