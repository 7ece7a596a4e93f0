"""Registers an agent, accepts its replaced workspaces, and removes one."""

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress

import msgspec
from msgspec.structs import replace

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.cli.repository import (
    USUAL_REFS,
    Repository,
    find_hosts,
    find_repository,
    list_remotes,
)
from airlock_daemon.admin.new_files import CONFIG, MADE, REGISTRATION, GitLines, write_profile
from airlock_daemon.admin.toml_edit import (
    append_table,
    edit,
    extend_array,
    format_array,
    remove_table,
)
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.files import make_directory, read_exact
from airlock_daemon.path_text import absolute, is_within
from airlock_daemon.setup.apis import find_repositories
from airlock_daemon.setup.generation import (
    Agent,
    Identity,
    Locations,
    LogConfig,
    Modules,
    Noted,
    Programs,
    State,
    Workspaces,
    list_steps,
    reaches_remotes,
    read_registration,
    reserve,
)
from airlock_modules import (
    DEFAULT_REFS,
    Fault,
    GitGrant,
    builtin_names,
    covers_ref,
    is_name,
    read_place,
)
from airlock_wire import quote


class NewAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent to register. `workspaces` are real paths of directories.

    `named` are the absolute paths, with symlinks, as a person wrote them. `refs` are patterns of
    what its pushes may create or move.
    """

    name: str
    directory: str
    commands: tuple[str, ...]
    workspaces: tuple[str, ...]
    named: tuple[str, ...] = ()
    refs: tuple[str, ...] = DEFAULT_REFS


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All changes on disk, and the `enabled` commands that are added to config.toml.

    `directories` are created with their modes if missing. `workspaces` are the new agent's, with
    the common directories of linked worktrees; `noted` identifies them, for the state directory.
    `remarks` are lines for the person who decides.
    """

    directories: tuple[tuple[str, int], ...]
    changes: tuple[Change, ...]
    enabled: tuple[str, ...]
    workspaces: tuple[str, ...]
    noted: dict[str, Noted]
    remarks: tuple[str, ...]

    def describe(self) -> Iterator[str]:
        """Yield the remarks, and the changes in files, as lines.

        Omits comments and empty tables of new files.
        """
        yield from self.remarks
        for change in self.changes:
            lines = [line for line in change.describe() if line.strip()[:1] not in ("", "#")]
            for line, following in zip(lines, (*lines[1:], "    ["), strict=True):
                if not (line.startswith("    [") and following.startswith("    [")):
                    yield line

    def apply(self, undo: ExitStack) -> None:
        """Make all changes, and push their undo to `undo`. Raises AirlockError."""
        for path, mode in self.directories:
            make_directory(path, mode=mode, undo=undo)
        for change in self.changes:
            change.apply(undo)


def plan_agent(new: NewAgent, locations: Locations, registration: str) -> Plan:
    """Plan the registration of `new` in the file `registration`; changes nothing.

    Raises AirlockError and SetupError if the files, the name, a command or a workspace do not allow
    it.
    """
    if not is_name(new.name):
        raise AirlockError(
            f"{quote(new.name)} is no name for an agent",
            hint="use letters, digits, '.', '_' and '-', 64 at most, a letter or digit first",
        )
    _refuse_unknown(new.commands, locations)
    registered, entry = _plan_entry(new, registration)
    if os.path.lexists(new.directory):
        raise AirlockError(
            f"there is something at {new.directory} already",
            hint="choose another directory with --path, or move it away",
        )
    agents = Agent.load_registered(registered)
    written = (*new.workspaces, *(mount.source for each in agents for mount in each.mounts))
    search_path = Programs.of(None, workspaces=written, warnings=[]).path
    reserved = reserve(
        replace(locations, agents=registration),
        state_dir=locations.state_dir,
        log=absolute(LogConfig.DEFAULT_PATH),
        agents={**registered, new.name: new.directory},
        search_path=search_path,
    )
    repositories = {path: find_repository(path, reserved) for path in new.workspaces}
    added = _list_common(repositories)
    mounted = (*new.workspaces, *dict.fromkeys(added.values()))
    boot = State.read_boot_id()
    noted = {}
    others = Workspaces.load(agents, reserved)
    for path in mounted:
        noted[path] = Noted.of(_find_directory(path), boot=boot)
        if conflict := reserved.conflict(path):
            raise AirlockError(
                f"{path} cannot be a workspace: {conflict}",
                hint="name the directory of one project, outside of Airlock's own files",
            )
        _refuse_nested(path, new, others)
    enabled, config = _plan_config(new.commands, locations.config_file)
    shared = Modules.read_folder(locations.modules_dir, faults=[], warnings=[])
    modules = {name: Modules(shared=shared).find(name) for name in new.commands}
    sessions = tuple(name for name, each in modules.items() if each and each.broker == "ssh")
    has_remotes = any(each and reaches_remotes(each) for each in modules.values())
    if new.refs != DEFAULT_REFS and not has_remotes:
        raise AirlockError(
            f"--refs has no effect: none of {', '.join(new.commands)} reaches a remote of git",
            hint="leave it out, or add --command git-remote",
        )
    gh = modules.get("gh")
    profile = write_profile(
        new.name,
        commands=new.commands,
        workspaces=mounted,
        git=_choose_git_lines(new, repositories.values(), search_path) if has_remotes else None,
        sessions=sessions,
        hosts=find_hosts() if sessions else (),
        # With git, these are the repositories of [git] push.
        repositories=_find_repositories(new, repositories.values(), search_path)
        if gh is not None and gh.apis and not has_remotes
        else None,
    )
    return Plan(
        # Also the sockets', which docker would create as root for a container that starts first.
        directories=(
            (new.directory, 0o700),
            (locations.sockets_dir, 0o700),
            (os.path.join(locations.sockets_dir, new.name), 0o755),
        ),
        # The registration last: without it a daemon ignores the others.
        changes=(
            Change(path=os.path.join(new.directory, Agent.PROFILE), before=None, after=profile),
            *config,
            entry,
        ),
        enabled=enabled,
        workspaces=mounted,
        remarks=tuple(
            f"{worktree} is a linked worktree: {common} is a workspace too, as its git needs it"
            for worktree, common in added.items()
        ),
        noted=noted,
    )


def _list_common(repositories: Mapping[str, Repository | None]) -> dict[str, str]:
    """The common directories of linked worktrees that no workspace contains, by worktree."""
    return {
        workspace: each.directory
        for workspace, each in repositories.items()
        if each is not None
        and each.is_linked
        and not any(is_within(each.directory, other) for other in repositories)
    }


def _choose_git_lines(
    new: NewAgent, repositories: Iterable[Repository | None], search_path: str
) -> GitLines:
    found = [each for each in repositories if each is not None]
    places, branches = list_remotes(found, search_path=search_path)
    # An agent may have written the repository's default branch.
    usual = (ref for ref in USUAL_REFS if covers_ref(new.refs, ref))
    # A branch that the person named must not be protected from this agent.
    protect = [ref for ref in dict.fromkeys((*branches, *usual)) if ref not in new.refs]
    return GitLines(push=places, refs=new.refs, protect=protect)


def _find_repositories(
    new: NewAgent, found: Iterable[Repository | None], search_path: str
) -> tuple[str, ...]:
    """The workspaces' remotes at GitHub, as OWNER/NAME."""
    places = _choose_git_lines(new, found, search_path).push
    return find_repositories(GitGrant(push=tuple(map(read_place, places))))


def _refuse_unknown(commands: Sequence[str], locations: Locations) -> None:
    faults: list[Fault] = []
    known = (
        *builtin_names(),
        *Modules.read_folder(locations.modules_dir, faults=faults, warnings=[]),
    )
    if faults:
        raise SetupError(tuple(faults))
    for name in commands:
        if not is_name(name):
            raise AirlockError(
                f"{quote(name)} is no name for a command", hint=f"name one of {', '.join(known)}"
            )
        if name not in known:
            raise AirlockError(
                f"there is no module for {name}",
                hint=f"{Modules.suggest_nearest(name, known)}make "
                f"{locations.modules_dir}/{name}.toml first, or name one of {', '.join(known)}",
            )


def _find_directory(workspace: str) -> Identity:
    """Identify a workspace's directory. Raises AirlockError if it cannot be a workspace."""
    if not os.path.isdir(workspace):
        raise AirlockError(
            f"{quote(workspace)} is no directory", hint="name a directory of this host"
        )
    try:
        found = Identity.find(workspace)
    except OSError as error:
        raise AirlockError(
            f"{quote(workspace)} cannot be opened: {error.strerror}",
            hint="let the daemon's user enter it",
        ) from error
    if not workspace.isprintable() or {":", ","} & {*workspace}:
        raise AirlockError(
            f"{quote(workspace)} cannot be a workspace: docker takes no such name for a mount",
            hint="rename it, without ':', ',' and characters that cannot be printed",
        )
    return found


def _refuse_nested(path: str, new: NewAgent, workspaces: Workspaces) -> None:
    """Raise AirlockError if one of two agents could replace the other's workspace."""
    steps = (step for named in new.named for step in list_steps(named))
    for step in (path, *steps):
        for fault in workspaces.find_conflicts(new.name, step):
            raise AirlockError(fault.problem, hint=fault.remedy)
    inner = workspaces.find_inner(path)
    if inner is not None:
        raise AirlockError(
            f"the workspace {path} of agent {new.name} would have {inner.path} inside it, "
            f"{inner.what}, and could put another directory in its place",
            hint="use directories that do not contain each other: name another one, or remove the "
            f"other agent: airlock agent remove {inner.agent}",
        )


def _plan_entry(new: NewAgent, registration: str) -> tuple[dict[str, str], Change]:
    """Return the registered agents' directories, and the change that adds `new`."""
    text = read_exact(registration)
    faults: list[Fault] = []
    registered = {} if text is None else read_registration(registration, faults=faults)
    if faults:
        raise SetupError(tuple(faults))
    if new.name in registered:
        raise AirlockError(
            f"agent {new.name} is registered already, in {registration}",
            hint=f"to grant it more, add to commands in {registered[new.name]}/{Agent.PROFILE} and "
            "to [commands] enable in config.toml, and run: airlock reload; the lines for its "
            f"container: airlock agent add {new.name} --print docker; another agent needs another "
            "name",
        )
    beside = os.path.relpath(new.directory, os.path.dirname(registration))
    path = new.directory if beside.startswith(os.pardir) else beside
    after = edit(
        REGISTRATION if text is None else text,
        lambda before: append_table(before, new.name, {"path": path}),
    )
    if after is None:
        raise AirlockError(
            f"{registration} cannot be changed", hint=f"add to it: [{new.name}] and its path"
        )
    return registered, Change(path=registration, before=text, after=after)


def _plan_config(commands: Sequence[str], path: str) -> tuple[tuple[str, ...], list[Change]]:
    """Return those of `commands` that are not enabled yet, and the change that enables them."""
    text = read_exact(path)
    before = CONFIG if text is None else text
    missing = tuple(name for name in commands if name not in _read_enabled(before, path))
    if not missing:
        return (), []
    after = edit(before, lambda text: extend_array(text, "commands", "enable", missing))
    if after is None:
        raise AirlockError(
            f"{path} writes [commands] enable in a form that is not changed by a program",
            hint=f"add {format_array(missing)} to it, and try again",
        )
    return missing, [Change(path=path, before=text, after=after)]


def _read_enabled(text: str, path: str) -> Sequence[object]:
    try:
        commands = tomllib.loads(text.removeprefix("\ufeff")).get("commands")
    except ValueError as error:
        problem = f"not valid TOML: {error}"
        raise SetupError((Fault(path, "", problem, "mend that line"),)) from error
    enabled = commands.get("enable") if isinstance(commands, dict) else None
    return enabled if isinstance(enabled, list) else ()


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """Removes lines of the registration and, unless something is `kept`, the agent's directory.

    `kept` lists what `agent add` has not made; then the whole directory stays.
    """

    changes: tuple[Change, ...]
    directory: str
    kept: tuple[str, ...]

    def describe(self) -> Iterator[str]:
        """Yield what is removed and what stays, as lines."""
        for change in self.changes:
            yield from change.describe()
        yield from (f"keep {each}" for each in self.kept)

    def apply(self, undo: ExitStack) -> None:
        """Make all changes, and push their undo to `undo`. Raises AirlockError."""
        for change in self.changes:
            change.apply(undo)
        if not self.kept:
            # Not if files were added meanwhile.
            with suppress(OSError):
                os.rmdir(self.directory)


def plan_removal(name: str, registration: str) -> Removal:
    """Plan the removal of the agent `name`; changes nothing.

    Raises AirlockError and SetupError if it cannot be removed.
    """
    text = read_exact(registration)
    faults: list[Fault] = []
    registered = read_registration(registration, faults=faults)
    if faults:
        raise SetupError(tuple(faults))
    if text is None or name not in registered:
        raise AirlockError(
            f"no agent {name} is registered in {registration}",
            hint="see: airlock agent list",
        )
    after = edit(text, lambda before: remove_table(before, name))
    if after is None:
        raise AirlockError(
            f"{registration} names {name} in a form that is not changed by a program",
            hint="remove it there by hand",
        )
    directory = registered.pop(name)
    kept = tuple(_find_kept(directory, registered))
    changes = [Change(path=registration, before=text, after=after)]
    if not kept:
        profile = os.path.join(directory, Agent.PROFILE)
        changes.append(Change(path=profile, before=read_exact(profile), after=None))
    return Removal(changes=tuple(changes), directory=directory, kept=kept)


def _find_kept(directory: str, others: dict[str, str]) -> Iterator[str]:
    """Yield what keeps an agent's directory: anything that was not made with it."""
    for name, other in others.items():
        if os.path.realpath(other) == os.path.realpath(directory):
            yield f"{directory}, which agent {name} uses too"
    if os.path.islink(directory) or not os.path.isdir(directory):
        yield f"{directory}, which is no directory of its own"
        return
    for entry in sorted(os.listdir(directory)):
        path = os.path.join(directory, entry)
        is_ours = entry == Agent.PROFILE and os.path.isfile(path) and not os.path.islink(path)
        if not (is_ours and (read_exact(path) or "").startswith(MADE)):
            yield path


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The new `notes` on an agent's workspaces; `before` are the previous ones."""

    state: State
    directory: str
    before: Mapping[str, Noted]
    notes: dict[str, Noted]

    def describe(self) -> Iterator[str]:
        """Yield the old and new notes, a line per workspace."""
        for path, noted in self.notes.items():
            before = self.before.get(path)
            now = noted.identity.describe()
            if before is None:
                yield f"{path}: {now}; nothing was noted"
            elif before.identity == noted.identity:
                yield f"{path}: {now}, as it was noted"
            else:
                yield f"{path}: {now}; it was {before.identity.describe()}"

    def apply(self, undo: ExitStack) -> None:
        """Write the notes, and push their undo to `undo`. Raises AirlockError."""
        undo.callback(self.state.replace_notes, self.directory, self.before)
        self.state.replace_notes(self.directory, self.notes)


def plan_trust(agent: Agent, state: State, before: Mapping[str, Noted]) -> Trust:
    """Plan to accept an agent's workspaces as they are.

    `before` are its previous notes. Raises AirlockError if a workspace is no directory that can be
    opened without following a symlink.
    """
    boot = State.read_boot_id()
    notes = {}
    for mount in agent.mounts:
        try:
            notes[mount.source] = Noted.of(Identity.find(mount.source), boot=boot)
        except OSError as error:
            raise AirlockError(
                f"{mount.source} cannot be opened without following links: {error.strerror}",
                hint=f"write its real path in {agent.profile_file}, or put the directory back",
            ) from error
    return Trust(state=state, directory=agent.directory, before=before, notes=notes)
