"""`airlock-daemon check`."""

import msgspec
import typer

from airlock_daemon.cli import options
from airlock_daemon.errors import SetupError
from airlock_daemon.setup.findings import find_builtin_faults
from airlock_daemon.setup.load import load_setup
from airlock_modules import Fault


def check(
    context: typer.Context,
    config: options.Config = None,
    sockets: options.Sockets = None,
    agents: options.Agents = None,
    json: options.Json = False,
) -> None:
    """Look for faults in config.toml, the agents' directories and the modules.

    Reports everything at once, each with its file, key and remedy. Ends with 0 when there is
    nothing to report, else with 1; `start` refuses faults, and only warns of findings.
    """
    chosen = options.merge(context, config=config, sockets=sockets, agents=agents, json=json)
    faults: tuple[Fault, ...] = find_builtin_faults()
    findings: tuple[Fault, ...] = ()
    agents_found: list[str] = []
    try:
        setup = load_setup(chosen.locations())
    except SetupError as error:
        faults += error.faults
    else:
        findings = setup.warnings
        agents_found = list(setup.generations)
    if chosen.json:
        report = {"faults": faults, "findings": findings, "agents": agents_found}
        typer.echo(msgspec.json.format(msgspec.json.encode(report)))
    else:
        for fault in faults:
            typer.echo(f"fault: {fault}")
        for finding in findings:
            typer.echo(f"finding: {finding}")
        if not faults and not findings:
            names = ", ".join(agents_found) or "none (--agents FILE)"
            typer.echo(f"good; agents: {names}")
    if faults or findings:
        raise typer.Exit(1)
