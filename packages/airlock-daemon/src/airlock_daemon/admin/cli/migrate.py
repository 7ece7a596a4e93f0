"""`airlock migrate`."""

import os
import shlex
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.changing import changing
from airlock_daemon.admin.cli.output import print_message
from airlock_daemon.admin.migrate.planning import Migration, list_service_options
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.checking import Checked
from airlock_daemon.setup.generation import Locations


def migrate(
    application: Application,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what it would do.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Make the changes without asking.")] = False,
) -> None:
    """Convert the files of an earlier release.

    These are Airlock v0.1 to v0.4.

    First prints what it will do, and what will work differently afterwards; then it asks. It keeps
    a backup beside config.toml, with a script that restores it. Files of this release stay
    unchanged, so it can be run again at any time. It changes nothing but Airlock's own files.

    Stop the daemon first. `init` starts it again as a service.
    """
    locations = _find_locations(application)
    if locations.agents and not os.path.isfile(locations.agents):
        # Leftovers of v0.3 would be mistaken for the files in use.
        raise AirlockError(
            f"there is no file {locations.agents}", hint="name the registration with --agents"
        )
    migration = Migration.find(locations)
    why_not = migration.explain_unneeded()
    if why_not is not None:
        application.print({"layout": migration.layout, "steps": []}, [f"nothing to do: {why_not}"])
        return
    if dry_run:
        plan = migration.plan()
        application.print(plan.dump(), plan.describe())
        return
    migration.refuse_use()
    show = _show_on_stderr if application.json else _show
    try:
        with changing(
            migration.plan, directories=(locations.config_dir,), yes=yes, show=show
        ) as plan:
            pass
    except KeyboardInterrupt:
        raise AirlockError(
            "interrupted: nothing was changed", hint="run it again when you like"
        ) from None
    checked = Checked.of(msgspec.structs.replace(locations, agents=locations.registration_file))
    application.print(plan.dump(), (*plan.describe_result(), *_list_next_steps(locations)))
    print_message(*msgspec.structs.replace(checked, notes=()).describe(locations.config_dir))
    if checked.faults:
        print_message("the files have these faults still; mend them, then: airlock check")
        raise typer.Exit(1)


def _find_locations(application: Application) -> Locations:
    """The locations of the options, else of the service of an earlier release."""
    found = list_service_options(application.locations, is_chosen=application.config is not None)
    for option, value in found:
        if getattr(application, option) is None:
            print_message(f"using --{option} {value}, as the service does")
            application = application.choose(**{option: value})
    return application.locations


def _list_next_steps(locations: Locations) -> Iterator[str]:
    others = msgspec.structs.replace(locations, agents=None).options
    yield f"start the daemon as a service: {shlex.join(('airlock', *others, 'init'))}"
    start = ("airlock", *others, "start", "--agents", locations.registration_file)
    yield f"or by hand: {shlex.join(start)}"


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _show_on_stderr(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line, err=True)
