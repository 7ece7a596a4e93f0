"""Which directories agents may work in.

A workspace is decided once. Its written path is opened without following symlinks, and no agent may
be able to write a directory above it: it could put a symlink or another directory in its place, and
so choose what another agent, or its own next container, gets. The homes of containers count as
workspaces of their agents.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Self

import msgspec
from msgspec.structs import replace

from airlock_daemon.path_text import list_above
from airlock_daemon.platform.system import Location, MountTable, read_own_mounts
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.paths import Reserved
from airlock_daemon.setup.profile import Identity
from airlock_daemon.setup.state import Noted, Notes, State, renew
from airlock_modules import Fault
from airlock_wire import quote

_OVERLAYS = ("overlay", "fuse.fuse-overlayfs", "aufs")
_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")


class Unserved(msgspec.Struct, frozen=True, kw_only=True):
    """A registered agent that is not served, because of its workspaces' `faults`."""

    agent: Agent
    faults: tuple[Fault, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace in `key` of an agent's profile `source`; `path` is absolute and normal."""

    agent: str
    path: str
    source: str
    key: str


class Owned(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that an agent's containers write: one of its workspaces, or its home."""

    agent: str
    path: str
    is_home: bool = False

    @property
    def what(self) -> str:
        """Its description without its path."""
        return f"{'the home' if self.is_home else 'a workspace'} of agent {self.agent}"


class Workspaces:
    """All directories that agents' containers write, and the host's mounts that contain them."""

    def __init__(
        self,
        agents: Iterable[Agent],
        *,
        mounts: MountTable,
        in_container: bool,
        homes: Mapping[str, str] = {},
    ) -> None:
        """`mounts` are those of this process, which may run `in_container`.

        `homes` are the real paths of the containers' homes, by agent, registered or not.
        """
        self._mounts = mounts
        self._in_container = in_container
        self._owned: dict[str, Owned] = {}
        self._places: dict[Location, Owned] = {}
        owned = [Owned(agent=name, path=path, is_home=True) for name, path in homes.items()]
        for agent in agents:
            owned += (Owned(agent=agent.name, path=each.source) for each in agent.mounts)
        for each in owned:
            self._owned.setdefault(each.path, each)
            place = self._mounts.locate(each.path)
            if place is not None:
                self._places.setdefault(place, each)

    @classmethod
    def load(cls, agents: Iterable[Agent], reserved: Reserved) -> Self:
        """The agents' workspaces with this process's mounts, as far as they can be read."""
        agents = tuple(agents)
        homes = _list_homes(reserved.homes, (agent.name for agent in agents))
        mounts = MountTable()
        with suppress(OSError):
            mounts = read_own_mounts()
        top = mounts.find("/")
        is_overlay = top is not None and top.kind in _OVERLAYS
        in_container = is_overlay or any(map(os.path.exists, _CONTAINER_FILES))
        return cls(agents, mounts=mounts, in_container=in_container, homes=homes)

    def find_conflicts(self, agent: str, path: str) -> Iterator[Fault]:
        """As `find_faults`, for a directory that no profile names."""
        return self.find_faults(Entry(agent=agent, path=path, source="", key=""))

    def find_faults(self, entry: Entry) -> Iterator[Fault]:
        """Find what keeps a path, which is not opened, from being a workspace."""
        path, agent = entry.path, entry.agent
        outer = self._find_outer(path)
        volume = self._find_volume(path)
        if outer is not None:
            whose = "the same agent" if outer.agent == agent else f"agent {outer.agent}"
            if outer.is_home:
                above = f"{outer.path}, the home of {whose}"
                remedy = "name a directory outside of the homes of containers"
            else:
                above = f"{outer.path} of {whose}"
                removed = agent if entry.source else outer.agent
                remedy = (
                    "use directories that do not contain each other: move one of the two, or "
                    f"remove an agent: airlock agent remove {removed}"
                )
            problem = f"{path} of agent {agent} lies inside {above}, which could replace it"
            yield Fault(entry.source, entry.key, problem, remedy)
        elif volume is not None:
            problem = (
                f"{path} lies below the volume {volume} of this container, and what else mounts "
                "that could replace it"
            )
            remedy = (
                f"mount that directory itself at {path} (subpath of a volume), or name {volume}"
            )
            yield Fault(entry.source, entry.key, problem, remedy)

    def find_inner(self, path: str) -> Owned | None:
        """A workspace of any agent strictly inside `path`, or a home inside or at it.

        Homes are found first.
        """
        place = self._mounts.locate(path)
        for owned in self._owned.values():
            places: set[Location | None] = {*self._list_above(owned.path)}
            if owned.is_home and place is not None:
                places.add(self._mounts.locate(owned.path))
            if path in list_above(owned.path) or place in places:
                return owned
        return None

    def _find_outer(self, path: str) -> Owned | None:
        for above in list_above(path):
            if above in self._owned:
                return self._owned[above]
        places = self._list_above(path)
        return next((self._places[each] for each in places if each in self._places), None)

    def _list_above(self, path: str) -> Iterator[Location]:
        """The file system locations of all directories above `path`, in its mounts' sources too.

        What is mounted at `path` lies in other directories at its source: whoever can write those
        chooses what is mounted there the next time.
        """
        for each in (path, *list_above(path)):
            place = self._mounts.locate(each)
            if place is not None:
                if each != path:
                    yield place
                yield from (Location(place.device, above) for above in list_above(place.path))

    def _find_volume(self, path: str) -> str | None:
        row = self._mounts.find(path)
        is_below = row is not None and row.point not in ("/", path)
        return row.point if row is not None and is_below and self._in_container else None


def _list_homes(directory: str | None, agents: Iterable[str]) -> dict[str, str]:
    """The agents' homes, including those not made yet and those of removed agents."""
    if directory is None:
        return {}
    names = dict.fromkeys(agents)
    with suppress(OSError):
        names |= dict.fromkeys(os.listdir(directory))
    return {name: os.path.join(directory, name) for name in names}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The agents to serve, and those whose workspaces have faults.

    The former's mounts have the identity of the directory found. `noted` are the new notes on all
    their workspaces.
    """

    served: dict[str, Agent]
    unserved: dict[str, Unserved]
    noted: Notes


def judge_workspaces(agents: Mapping[str, Agent], reserved: Reserved, known: Notes) -> Judged:
    """Judge the workspaces of all registered agents; `known` are the existing notes."""
    workspaces = Workspaces.load(agents.values(), reserved)
    boot = State.read_boot_id()
    served, unserved, noted = {}, {}, {}
    for name, agent in agents.items():
        faults: list[Fault] = []
        found: dict[str, Identity] = {}
        before = known.get(agent.directory, {})
        after = dict(before)
        for entry in _list_entries(agent):
            faults.extend(_judge(entry, workspaces, reserved, found))
            if entry.path in found:
                renewed = renew(before.get(entry.path), found[entry.path], boot=boot)
                if renewed is None:
                    faults.append(_explain_replaced(entry, found[entry.path], before[entry.path]))
                else:
                    after[entry.path] = renewed
        if faults:
            unserved[name] = Unserved(agent=agent, faults=tuple(faults))
        else:
            served[name] = _identify(agent, found)
        noted[agent.directory] = before if faults else after
    return Judged(served=served, unserved=unserved, noted=noted)


def _list_entries(agent: Agent) -> Iterator[Entry]:
    profile = agent.profile
    for key, mounts in (("mounts", profile.mounts), ("same_path", profile.same_path)):
        for path in dict.fromkeys(mount.source for mount in mounts):
            source = agent.profile_file
            yield Entry(agent=agent.name, path=path, source=source, key=f"workspace.{key}")


def _judge(
    entry: Entry, workspaces: Workspaces, reserved: Reserved, found: dict[str, Identity]
) -> Iterator[Fault]:
    faults = tuple(workspaces.find_faults(entry))
    yield from faults
    if faults:
        # Whoever could write it may have put anything there.
        return
    try:
        found[entry.path] = Identity.find(entry.path)
    except OSError as error:
        yield _explain_unopened(entry, error)
        return
    conflict = reserved.conflict(entry.path)
    inner = workspaces.find_inner(entry.path) if conflict is None else None
    if inner is not None and inner.is_home:
        # As a bind mount of it: by its path it would lie in a reserved directory.
        conflict = f"it contains the home of agent {inner.agent} ({inner.path})"
    if conflict is not None:
        problem = f"{entry.path} cannot be a workspace: {conflict}"
        remedy = "keep Airlock's own files outside of every workspace"
        yield Fault(entry.source, entry.key, problem, remedy)


def _identify(agent: Agent, found: Mapping[str, Identity]) -> Agent:
    profile = agent.profile
    changed = {
        key: tuple(replace(each, identity=found[each.source]) for each in getattr(profile, key))
        for key in ("mounts", "same_path")
    }
    return replace(agent, profile=replace(profile, **changed))


def _explain_unopened(entry: Entry, error: OSError) -> Fault:
    """The fault of a path that cannot be opened as a directory, without following links."""
    path = entry.path
    link = _find_link(path)
    real = os.path.realpath(path)
    if link is None and error.errno in (errno.ENOENT, errno.ENOTDIR):
        problem, remedy = f"{path} is no directory", "name a directory of this host"
    elif link is None:
        problem = f"{path} cannot be opened: {error.strerror}"
        remedy = "let the daemon's user enter it"
    elif os.path.isdir(real):
        problem = f"{path} is not followed: {link} is a symbolic link"
        told = real if real.isprintable() else quote(real, limit=None)
        remedy = f"if it should lead there, write the real path: {told}"
    else:
        problem = f"{path} is no directory: {link} is a symbolic link"
        remedy = "name a directory of this host"
    return Fault(entry.source, entry.key, problem, remedy)


def _explain_replaced(entry: Entry, found: Identity, noted: Noted) -> Fault:
    """The fault of a directory in the place of the noted one."""
    problem = (
        f"{entry.path} has become another directory: {found.describe()}; it was "
        f"{noted.identity.describe()}"
    )
    remedy = f"put that one back, or accept this one: airlock agent trust {entry.agent}"
    return Fault(entry.source, entry.key, problem, remedy)


def _find_link(path: str) -> str | None:
    """The first component of an absolute path that is a symlink."""
    steps = (*reversed(tuple(list_above(path))), path)
    return next((step for step in steps if os.path.islink(step)), None)
