"""`airlock doctor`."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.output import plain
from airlock_daemon.admin.doctor import CHECKS, Report, examine, write_apparmor, write_seccomp
from airlock_daemon.admin.listening import REMEDY, find_silence
from airlock_daemon.errors import AirlockError


def doctor(
    application: Application,
    list_parts: Annotated[
        bool, typer.Option("--list", help="Only list what is looked at, a name a line.")
    ] = False,
    alive: Annotated[
        bool, typer.Option("--alive", help="Only say whether the daemon answers.")
    ] = False,
    seccomp: Annotated[
        bool,
        typer.Option(
            "--seccomp", help="Only print a profile for the engine of a daemon's container."
        ),
    ] = False,
    apparmor: Annotated[
        bool, typer.Option("--apparmor", help="Only print a profile of AppArmor for boxes.")
    ] = False,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Only try the system's calls that a daemon on macOS relies on."
        ),
    ] = False,
) -> None:
    """Check the host: service, sockets, tools, containers and boxes.

    Checks the running daemon, its service, sockets, tools, ssh-agent and container engine; ways out
    of running containers past Airlock, such as an engine's socket or a forwarded ssh-agent; and
    what keeps containers from connecting and tools from having a box. It changes nothing. Each
    finding has a name, a place, a cause, and a remedy to copy. Notes may be intended.

    --alive is for health checks: quick, and silent if all is well. It connects to every socket in
    the sockets directory, and sends no request.

    It also prints what makes the boxes of tools here: bubblewrap, landlock, or nothing. If a
    finding says so, what --seccomp and --apparmor print lets bubblewrap make them.

    --self-test makes files, sockets and processes of its own, and compares what the kernel says of
    them with what is known. A daemon on macOS does the same before it serves, and refuses to if a
    check fails.

    Exits with 0 if there are no findings, else with 1. `check` checks the files themselves.
    """
    if alive:
        silence = find_silence(application.locations.sockets_dir)
        if silence is not None:
            raise AirlockError(silence, hint=REMEDY)
        return
    if seccomp or apparmor:
        typer.echo(write_seccomp() if seccomp else write_apparmor(), nl=False)
        return
    if self_test:
        _try_system(application)
        return
    if list_parts:
        application.print_names({check.name: check.what for check in CHECKS})
        return
    locations = application.find_files()
    report = examine(locations)
    application.print(
        {"registration": locations.agents, **msgspec.structs.asdict(report)}, _describe(report)
    )
    if report.findings:
        raise typer.Exit(1)


def _try_system(application: Application) -> None:
    """Print each check of the self-test; exits with 1 if one fails."""
    from airlock_daemon.platform.system import run_self_test  # noqa: PLC0415 - seldom used

    tried = list(run_self_test())
    lines = (
        f"{'ok' if each.problem is None else 'FAILED'}: {each.name}: {each.what}"
        + ("" if each.problem is None else f": {plain(each.problem)}")
        for each in tried
    )
    application.print({"self_test": tried}, lines)
    if any(each.problem is not None for each in tried):
        raise typer.Exit(1)


def _describe(report: Report) -> Iterator[str]:
    # File names and programs' output may contain any characters.
    yield from (f"finding: {each.name}: {plain(str(each))}" for each in report.findings)
    yield from (f"note: {each.name}: {plain(str(each))}" for each in report.notes)
    yield f"boxes: {report.boxes}"
    if not report.findings:
        count = len(report.notes)
        several = f"{count} notes" if count > 1 else "1 note"
        yield "good" + (f", with {several}" if count else "")
