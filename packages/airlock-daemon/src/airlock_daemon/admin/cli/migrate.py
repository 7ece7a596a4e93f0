"""`airlock migrate`."""

import os
import shlex
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated

import msgspec
import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.changing import changing
from airlock_daemon.admin.cli.output import print_message
from airlock_daemon.admin.listening import is_locked, is_served, list_sockets
from airlock_daemon.admin.migrate.early import FIRST_SOCKET
from airlock_daemon.admin.migrate.layout import (
    EARLIER,
    Layout,
    Signs,
    advise,
    find_unit,
    look,
    read_service,
    recognise,
)
from airlock_daemon.admin.migrate.planning import Service, plan_migration
from airlock_daemon.admin.migrate.steps import UNDO, Plan
from airlock_daemon.admin.service.installing import find_manager
from airlock_daemon.admin.service.manager import Program
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.checking import check_files
from airlock_daemon.setup.generation import Locations, name_user


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
    signs = look(locations)
    layout = recognise(signs)
    if layout not in EARLIER:
        _refuse_unknown(locations, signs, layout)
        line = f"nothing to do: {_say_why(locations, layout)}"
        application.print({"layout": layout, "steps": []}, [line])
        return
    _refuse_unfinished(locations, signs)
    _refuse_unclear(locations, signs, layout)
    if dry_run:
        plan = _work_out(locations)
        application.print(_dump(plan, locations), plan.describe())
        return
    _refuse_foreign(locations)
    _refuse_running(locations, layout)
    show = _show_on_stderr if application.json else _show
    work_out = partial(_work_out, locations)
    try:
        with changing(work_out, directories=(locations.config_dir,), yes=yes, show=show) as plan:
            pass
    except KeyboardInterrupt:
        raise AirlockError(
            "interrupted: nothing was changed", hint="run it again when you like"
        ) from None
    _finish(application, plan, locations)


def _say_why(locations: Locations, layout: Layout) -> str:
    if layout == "none":
        return f"{locations.config_dir} has no files of any release"
    return (
        f"{locations.config_dir} has files of this release, or of a v0.4 that has left neither its "
        "service nor a socket, which are the same; airlock check says whether they are good"
    )


def _find_locations(application: Application) -> Locations:
    """The locations of the options, else of the service of an earlier release."""
    unit = read_service()
    if application.config is not None and find_unit(application.locations) is None:
        unit = None
    for option in ("config", "sockets", "agents"):
        path = getattr(unit, option, None)
        if path and getattr(application, option) is None:
            print_message(f"using --{option} {path}, as the service does")
            application = application.choose(**{option: path})
    return application.locations


def _refuse_unknown(locations: Locations, signs: Signs, layout: Layout) -> None:
    if layout == "unknown":
        names = ", ".join(sorted((*signs.others, *signs.folders)))
        raise AirlockError(
            f"{locations.config_dir} has no files of any release of Airlock, but {names}; "
            "nothing was changed",
            hint="name the right directory with --config",
        )


def _refuse_unfinished(locations: Locations, signs: Signs) -> None:
    """Refuse what was killed on the way: only a person knows what they did since."""
    if signs.unfinished is not None and (advice := advise(locations)) is not None:
        raise AirlockError(advice.where, hint=advice.finding.remedy)


def _refuse_unclear(locations: Locations, signs: Signs, layout: Layout) -> None:
    """Refuse agents of v0.4 that would be mistaken for leftovers of an earlier release."""
    known = signs.profiles if layout in ("v0.2", "v0.3") else ()
    others = [name for name in signs.sockets if name not in known]
    if others and not signs.has_registration:
        socket = os.path.join(locations.sockets_dir, f"{others[0]}.sock")
        raise AirlockError(
            f"{socket} is of an agent that nothing here is for; nothing was changed",
            hint="if v0.4 has served it, name the registration that it had with --agents FILE; "
            f"else remove that socket: rm {shlex.quote(socket)}",
        )


def _refuse_foreign(locations: Locations) -> None:
    """Refuse another user's files: that user could redirect root by a symlink meanwhile."""
    owner = os.stat(locations.config_dir).st_uid
    if owner != os.geteuid():
        name = name_user(owner)
        raise AirlockError(
            f"{locations.config_dir} belongs to {name}", hint=f"run this as {name}, with their HOME"
        )


def _refuse_running(locations: Locations, layout: Layout) -> None:
    """Refuse to change files that a daemon uses."""
    sockets = list(list_sockets(locations.sockets_dir))
    if layout == "v0.1" and locations.config_dir == Locations.find().config_dir:
        sockets.append(FIRST_SOCKET)
    served = next((path for path in sockets if is_served(path)), None)
    if is_locked(locations.sockets_dir):
        served = locations.sockets_dir
    manager = find_manager()
    is_service = manager.find_obstacle() is None and manager.is_running()
    if served is not None or is_service:
        raise AirlockError(
            f"a daemon serves {served}" if served else "the service runs",
            hint="stop it first, where you started it"
            + (": systemctl --user stop airlock" if is_service else ""),
        )


def _work_out(locations: Locations) -> Plan:
    manager = find_manager()
    after = msgspec.structs.replace(locations, agents=locations.registration_file)
    program = Program.describe(*after.options, environment=os.environ)
    return plan_migration(
        locations,
        look(locations),
        service=Service(path=manager.file, text=manager.write(program)),
        environment=tuple(os.environ),
    )


def _dump(plan: Plan, locations: Locations) -> dict[str, object]:
    return {
        "layout": plan.backup.layout,
        "config": locations.config_dir,
        "backup": plan.kept_in,
        "changes": plan.draft.changes,
        "losses": plan.draft.losses,
        "hints": plan.draft.hints,
        "steps": plan.steps,
    }


def _finish(application: Application, plan: Plan, locations: Locations) -> None:
    """Print the result and the next steps; exit with 1 if the files have faults."""
    after = msgspec.structs.replace(locations, agents=locations.registration_file)
    checked = check_files(after)
    application.print(_dump(plan, locations), _describe(plan, locations))
    print_message(*msgspec.structs.replace(checked, notes=()).describe(locations.config_dir))
    if checked.faults:
        print_message("the files have these faults still; mend them, then: airlock check")
        raise typer.Exit(1)


def _describe(plan: Plan, locations: Locations) -> Iterator[str]:
    undo = shlex.quote(os.path.join(plan.kept_in, UNDO))
    yield f"{locations.config_dir} has the files of this release now"
    yield f"what was there is in {plan.kept_in}; to go back: sh {undo}"
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
