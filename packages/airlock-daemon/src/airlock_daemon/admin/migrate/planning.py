"""Plans a migration."""

import os
import shlex
import stat
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.migrate import EARLY
from airlock_daemon.admin.migrate.early import HOOKS, draft_early
from airlock_daemon.admin.migrate.fourth import draft_fourth
from airlock_daemon.admin.migrate.layout import (
    EARLIER,
    FILES,
    FOLDERS,
    Layout,
    Signs,
    recognise,
)
from airlock_daemon.admin.migrate.steps import (
    SERVICE,
    Backup,
    MakePrivate,
    Plan,
    Replace,
    Step,
)
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.files import read_exact
from airlock_daemon.setup.generation import Locations
from airlock_modules import Fault


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
    layout, directory = recognise(signs), locations.config_dir
    if layout not in EARLIER:
        raise AirlockError(
            "another airlock-daemon has migrated these files meanwhile",
            hint="look at the result: airlock check",
        )
    faults = list(_find_odd(directory, layout))
    if faults:
        raise SetupError(tuple(faults))
    unit = signs.unit
    if layout == "v0.4":
        home = os.path.expanduser("~")
        registration = locations.agents or (None if unit is None else unit.agents)
        base = registration or locations.registration_file
        draft = draft_fourth(
            directory,
            registration=registration,
            directories=(os.path.dirname(base), home) if unit is None else (unit.directory,),
            environment=environment,
            faults=faults,
        )
    else:
        draft = draft_early(
            directory,
            layout,
            sockets_dir=locations.sockets_dir,
            environment=environment,
            faults=faults,
        )
    steps, undo = [*draft.steps], [*draft.undo]
    _close_sockets(locations, steps, undo)
    kept = {**draft.kept}
    changes = [*draft.changes]
    if unit is not None:
        changes.append(
            f"{service.path} is written anew: lines of yours, which the backup has, belong into "
            "`systemctl --user edit airlock`"
        )
        kept[SERVICE] = service.path
        before = read_exact(service.path)
        steps.append(Replace(path=service.path, before=before, after=service.text))
    faults.extend(_find_obstacles(steps))
    if faults:
        raise SetupError(tuple(faults))
    backup = Backup(
        directory=directory, layout=layout, undo=tuple(undo), kept=kept, moved=draft.moved
    )
    hints = (*draft.hints, *_list_open(locations))
    draft = replace(draft, steps=tuple(steps), changes=tuple(changes), hints=hints)
    return Plan(draft=draft, backup=backup, kept_in=backup.final)


def _find_obstacles(steps: Sequence[Step]) -> Iterator[Fault]:
    """Find what is where a step makes something."""
    for step in steps:
        is_new = not isinstance(step, MakePrivate | Change) or (
            isinstance(step, Change) and step.before is None
        )
        if is_new and os.path.lexists(step.path):
            yield Fault(step.path, "", "is where a migration makes a file", "move it away")


def _find_odd(directory: str, layout: Layout) -> Iterator[Fault]:
    """Find files of another kind than any release creates, such as symlinks."""
    if not directory.isprintable():
        yield Fault(ascii(directory), "", "cannot be printed", "rename the directory")
    # v0.4's other directories stay unchanged.
    folders = ("sockets",) if layout == "v0.4" else FOLDERS
    for name in (*FILES, *folders):
        path = os.path.join(directory, name)
        yield from _judge(path, stat.S_IFREG if name in FILES else stat.S_IFDIR)
        if name in EARLY and os.path.isdir(path):
            for entry in sorted(os.listdir(path)):
                if entry.endswith(".toml") or entry in HOOKS:
                    yield from _judge(os.path.join(path, entry), stat.S_IFREG)


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


def _close_sockets(locations: Locations, steps: list[Step], undo: list[str]) -> None:
    """Add the step that makes the sockets directory private, and the shell line that undoes it.

    One that an option chose may contain other files, and stays as it is.
    """
    path = locations.sockets_dir
    if path != os.path.join(locations.config_dir, "sockets"):
        return
    steps.append(MakePrivate(path=path))
    try:
        undo.append(f"chmod {stat.S_IMODE(os.lstat(path).st_mode):04o} sockets")
    except FileNotFoundError:
        undo.append("rmdir sockets 2>/dev/null || :")


def _list_open(locations: Locations) -> Iterator[str]:
    path = locations.sockets_dir
    quoted = shlex.quote(path)
    is_beside = path == os.path.join(locations.config_dir, "sockets")
    if not is_beside and os.path.isdir(path) and os.stat(path).st_mode & 0o077:
        yield f"{path} stays open to other users; if nothing else is there: chmod 0700 {quoted}"
