"""Finds out whether files need a migration, whether it may be done now, and plans it."""

import os
import shlex
import stat
from collections.abc import Iterator, Sequence
from typing import Self

import msgspec
from msgspec.structs import replace

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.listening import is_locked, is_served, list_sockets
from airlock_daemon.admin.migrate import EARLY
from airlock_daemon.admin.migrate.early import FIRST_SOCKET, HOOKS, draft_early
from airlock_daemon.admin.migrate.fourth import draft_fourth
from airlock_daemon.admin.migrate.layout import (
    EARLIER,
    FILES,
    FOLDERS,
    Layout,
    Signs,
    advise,
    find_unit,
    look,
    read_service,
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
from airlock_daemon.admin.service.manager import Program, find_manager
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.files import read_exact
from airlock_daemon.setup.generation import Locations, name_user
from airlock_modules import Fault


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The service's file, and its new text if it is an earlier release's."""

    path: str
    text: str


def list_service_options(locations: Locations, *, is_chosen: bool) -> Iterator[tuple[str, str]]:
    """The options that an earlier release's service has, each with its value.

    None if a person has chosen `locations`, and the service's configuration is another one.
    """
    unit = read_service()
    if unit is None or (is_chosen and find_unit(locations) is None):
        return
    for option in ("config", "sockets", "agents"):
        if value := getattr(unit, option):
            yield option, value


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """The migration of the files at `locations`, which are of `layout`."""

    locations: Locations
    layout: Layout

    @classmethod
    def find(cls, locations: Locations) -> Self:
        """Find out of which release these files are.

        Raises AirlockError if only a person can tell, or knows what has happened to them.
        """
        signs = look(locations)
        layout = recognise(signs)
        if layout in EARLIER:
            _refuse_unfinished(locations, signs)
            _refuse_unclear(locations, signs, layout)
        else:
            _refuse_unknown(locations, signs, layout)
        return cls(locations=locations, layout=layout)

    def explain_unneeded(self) -> str | None:
        """Why these files need no migration, None if they do."""
        directory = self.locations.config_dir
        if self.layout in EARLIER:
            return None
        if self.layout == "none":
            return f"{directory} has no files of any release"
        return (
            f"{directory} has files of this release, or of a v0.4 that has left neither its "
            "service nor a socket, which are the same; airlock check says whether they are good"
        )

    def refuse_use(self) -> None:
        """Raise AirlockError if the files are another user's, or a daemon uses them."""
        _refuse_foreign(self.locations)
        _refuse_running(self.locations, self.layout)

    def plan(self) -> Plan:
        """Plan it, as `plan_migration` does, for the service that `init` would install."""
        manager = find_manager()
        after = replace(self.locations, agents=self.locations.registration_file)
        program = Program.describe(*after.options, environment=os.environ)
        return plan_migration(
            self.locations,
            look(self.locations),
            service=Service(path=manager.file, text=manager.write(program)),
            environment=tuple(os.environ),
        )


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
