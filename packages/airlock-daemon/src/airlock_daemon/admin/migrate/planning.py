"""Plans the remaining steps of a migration."""

import os
import shlex
import stat
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.admin.migrate import EARLY
from airlock_daemon.admin.migrate.early import HOOKS, draft_early
from airlock_daemon.admin.migrate.fourth import draft_fourth
from airlock_daemon.admin.migrate.layout import (
    EARLIER,
    FILES,
    FOLDERS,
    Signs,
    list_names,
    recognise,
)
from airlock_daemon.admin.migrate.released import read_lenient
from airlock_daemon.admin.migrate.released_unit import ReleasedUnit, read_unit
from airlock_daemon.admin.migrate.steps import (
    SERVICE,
    Backup,
    Make,
    Plan,
    SetMode,
    Step,
    Write,
    is_done,
)
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.setup.files import read_whole
from airlock_daemon.setup.paths import Locations
from airlock_modules import Fault

_PRIVATE = 0o700


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The service's file, and its new text if it is an earlier release's."""

    path: str
    text: str


def plan_migration(
    locations: Locations,
    signs: Signs,
    *,
    service: Service,
    environment: Sequence[str],
) -> Plan:
    """Plan the migration of an earlier release's files; changes nothing.

    `environment` are the names of the variables that the caller's daemon would have. Raises
    SetupError with all obstacles, and AirlockError if they cannot be examined.
    """
    layout = recognise(signs)
    if layout not in EARLIER:
        raise AirlockError(
            "another airlock-daemon has migrated these files meanwhile",
            hint="look at the result: airlock check",
        )
    backup = Backup(directory=locations.config_dir, layout=layout)
    faults = list(_find_odd(backup))
    unit = signs.unit or _read_kept_unit(backup)
    if faults:
        raise SetupError(tuple(faults))
    if layout == "v0.4":
        home = os.path.expanduser("~")
        registration = locations.agents or (None if unit is None else unit.agents)
        base = registration or locations.registration_file
        draft = draft_fourth(
            backup,
            registration=registration,
            directories=(os.path.dirname(base), home) if unit is None else (unit.directory,),
            environment=environment,
            faults=faults,
        )
    else:
        draft = draft_early(
            backup, sockets_dir=locations.sockets_dir, environment=environment, faults=faults
        )
    sockets, undo = _open_to_nobody(locations)
    has_unit = signs.unit is not None
    # An incomplete backup is started again.
    kept = {**draft.kept, **({SERVICE: service.path} if has_unit else {})}
    begin = backup.begin(kept=kept, undo=(*draft.undo, *undo))
    steps = (
        *draft.steps,
        *sockets,
        *(_replace_unit(service) if has_unit else ()),
        backup.end(),
    )
    left = (*begin, *_find_left(steps, faults, locations.config_dir))
    if faults:
        raise SetupError(tuple(faults))
    return Plan(
        layout=layout,
        steps=left,
        changes=(*draft.changes, *_list_lost(service, unit)),
        losses=draft.losses,
        hints=(*draft.hints, *_list_open(locations), *_list_launch_agents()),
        backup=backup.final,
    )


def _find_odd(backup: Backup) -> Iterator[Fault]:
    """Find files of another kind than any release creates, such as symlinks."""
    if not backup.directory.isprintable():
        yield Fault(ascii(backup.directory), "", "cannot be printed", "rename the directory")
    # v0.4's other directories stay unchanged.
    folders = ("sockets",) if backup.layout == "v0.4" else FOLDERS
    for name in (*FILES, *folders):
        path = os.path.join(backup.directory, name)
        wanted = stat.S_IFREG if name in FILES else stat.S_IFDIR
        yield from _judge(path, wanted)
        if name in EARLY and os.path.isdir(path):
            for entry in sorted(os.listdir(path)):
                is_read = entry.endswith(".toml") or entry in HOOKS
                if is_read:
                    yield from _judge(os.path.join(path, entry), stat.S_IFREG)
            yield from _find_special(path)


def _find_special(folder: str) -> Iterator[Fault]:
    for directory, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(directory, name)
            if stat.S_IFMT(os.lstat(path).st_mode) not in (
                stat.S_IFREG,
                stat.S_IFDIR,
                stat.S_IFLNK,
            ):
                yield Fault(path, "", "is no file, and cannot be in a backup", "move it away")


def _judge(path: str, wanted: int) -> Iterator[Fault]:
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
    except FileNotFoundError:
        return
    if kind == stat.S_IFLNK:
        remedy = "put in its place what it leads to: a migration follows no link"
        yield Fault(path, "", "is a link", remedy)
    elif kind != wanted:
        what = "file" if wanted == stat.S_IFREG else "directory"
        yield Fault(path, "", f"is no {what}", "move it away")
    elif not path.isprintable():
        yield Fault(ascii(path), "", "has a name that cannot be printed", "rename it")


def _read_kept_unit(backup: Backup) -> ReleasedUnit | None:
    text = read_lenient(os.path.join(backup.migrating, SERVICE))
    return None if text is None else read_unit(text, home=os.path.expanduser("~"))


def _open_to_nobody(locations: Locations) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The steps that make the sockets directory private, and the shell lines that undo them.

    One that an option chose may contain other files, and stays as it is.
    """
    path = locations.sockets_dir
    if path != os.path.join(locations.config_dir, "sockets"):
        return (), ()
    try:
        mode = stat.S_IMODE(os.lstat(path).st_mode)
    except FileNotFoundError:
        return (Make(path=path),), ("rmdir sockets 2>/dev/null || :",)
    return (SetMode(path=path, mode=_PRIVATE),), (f"chmod {mode:04o} sockets",)


def _replace_unit(service: Service) -> Iterator[Step]:
    yield Write(path=service.path, before=read_whole(service.path), after=service.text)


def _list_lost(service: Service, unit: ReleasedUnit | None) -> Iterator[str]:
    if unit is not None and unit.own:
        yield (
            f"{service.path}: these lines of it are not carried over, and belong into "
            f"`systemctl --user edit airlock`: {', '.join(unit.own)}"
        )


def _list_open(locations: Locations) -> Iterator[str]:
    path = locations.sockets_dir
    quoted = shlex.quote(path)
    is_beside = path == os.path.join(locations.config_dir, "sockets")
    if not is_beside and os.path.isdir(path) and os.stat(path).st_mode & 0o077:
        yield f"{path} stays open to other users; if nothing else is there: chmod 0700 {quoted}"


def _list_launch_agents() -> Iterator[str]:
    """Yield hints on macOS services in a home that is or was on a Mac."""
    folder = os.path.expanduser("~/Library/LaunchAgents")
    for name in list_names(folder):
        if "airlock" in name and name.endswith(".plist"):
            path = os.path.join(folder, name)
            yield (
                f"{path} is a launch agent of macOS and stays as it is, since this release serves "
                f"on Linux alone: if nothing needs it: launchctl unload {shlex.quote(path)}"
            )


def _find_left(steps: Sequence[Step], faults: list[Fault], directory: str) -> Iterator[Step]:
    """The steps that are not done; adds obstacles to `faults`."""
    for step in steps:
        try:
            if not is_done(step):
                yield step
        except AirlockError as error:
            faults.append(Fault(directory, "", error.message, error.hint))
