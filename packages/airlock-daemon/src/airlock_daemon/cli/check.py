"""`airlock-daemon check`."""

import typer

from airlock_daemon.cli.application import Application
from airlock_daemon.cli.options import pass_obj
from airlock_daemon.errors import SetupError
from airlock_daemon.setup.findings import find_builtin_faults
from airlock_daemon.setup.load import load_setup
from airlock_daemon.setup.overrides import find_losses
from airlock_daemon.setup.sockets_directory import find_unusable
from airlock_modules import Fault

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@pass_obj
def check(application: Application) -> None:
    """Look for faults and oddities in the configuration.

    Reads config.toml, the registration, the agents' directories and all modules, and looks at the
    sockets directory. Everything is told at once: faults, which `start` refuses; findings, of which
    it only warns; and notes, which say what an override of a built-in module gives up.

    Ends with 0 when there are no faults and no findings, else with 1.
    """
    locations = application.find_files()
    faults = (*find_builtin_faults(), *find_unusable(locations.sockets_dir))
    findings: tuple[Fault, ...] = ()
    notes: tuple[Fault, ...] = ()
    names: list[str] = []
    try:
        setup = load_setup(locations)
    except SetupError as error:
        faults += error.faults
    else:
        findings = setup.warnings
        own = [generation.agent.modules.own for generation in setup.generations.values()]
        notes = tuple(find_losses([setup.shared, *own], setup.config.enable))
        names = list(setup.generations)
    if application.json:
        report = {"faults": faults, "findings": findings, "notes": notes, "agents": names}
        application.print_json({"registration": locations.agents} | report)
    else:
        _print(faults, findings, notes, names)
    if faults or findings:
        raise typer.Exit(1)


def _print(
    faults: tuple[Fault, ...],
    findings: tuple[Fault, ...],
    notes: tuple[Fault, ...],
    names: list[str],
) -> None:
    for kind, found in (("fault", faults), ("finding", findings), ("note", notes)):
        for each in found:
            typer.echo(f"{kind}: {each}")
    if faults or findings:
        typer.echo("a running daemon knows of changes to these files once it is restarted")
        return
    shown = f", with {len(notes)} {'note' if len(notes) == 1 else 'notes'}" if notes else ""
    typer.echo(f"good{shown}; agents: {', '.join(names) or 'none (--agents FILE)'}")
