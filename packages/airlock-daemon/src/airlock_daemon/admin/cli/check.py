"""`airlock check`."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.migrate import advise
from airlock_daemon.setup.checking import Checked
from airlock_daemon.setup.generation import Locations


def check(
    application: Application,
    list_names: Annotated[
        bool, typer.Option("--list", help="Only list the names of the checks.")
    ] = False,
) -> None:
    """Check the configuration for mistakes.

    Reads config.toml, the registration, the agents' directories, all modules and the sockets
    directory, and reports every problem at once: faults, with which `start` refuses to start;
    findings, of which it only warns; and notes on what is granted or given up on purpose.

    Each is one line with the name of the check, the file and the problem, and an indented line with
    the remedy. Paths are relative to the directory of config.toml. `doctor` checks the host.

    Exits with 0 if there are no faults and no findings, else with 1.
    """
    if list_names:
        application.print_names(Checked.LOOKED_AT)
        return
    advice = advise(application.locations)
    locations = application.find_files()
    # Other findings in files of an earlier release would be noise.
    if advice is not None and not advice.can_serve:
        checked = Checked(faults=(advice.finding,))
    else:
        checked = Checked.of(locations)
    if advice is not None and advice.can_serve:
        findings = (advice.finding, *checked.findings)
        checked = msgspec.structs.replace(checked, findings=findings)
    report = {"registration": locations.agents, **msgspec.to_builtins(checked)}
    application.print(report, _describe(checked, locations))
    if checked.faults or checked.findings:
        raise typer.Exit(1)


def _describe(checked: Checked, locations: Locations) -> Iterator[str]:
    yield from checked.describe(locations.config_dir)
    if checked.faults or checked.findings:
        yield f"mend these in {locations.config_dir}, then: airlock reload"
        return
    count = len(checked.notes)
    shown = f", with {count} {'note' if count == 1 else 'notes'}" if count else ""
    yield f"good{shown}; agents: {', '.join(checked.agents) or 'none (--agents FILE)'}"
