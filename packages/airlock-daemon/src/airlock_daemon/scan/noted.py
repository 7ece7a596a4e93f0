"""What a workspace had when its agent was registered, or when a person accepted it.

The workspace's own history proves nothing: a container that can write to it can write any commit.
So digests are kept in the daemon's state directory, out of reach of every container.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.scan.scanning import Scan
from airlock_daemon.setup.state import State


class _Noted(msgspec.Struct, frozen=True):
    """The agent's directory, and the digests of each of its workspaces."""

    directory: str
    workspaces: dict[str, list[str]]


def read_noted(state: State, agent: str, directory: str) -> Mapping[str, frozenset[str]]:
    """The digests of each workspace of the agent of `directory`; none of one never noted.

    Raises AirlockError where the file cannot be read.
    """
    noted = _read(state, agent, directory)
    return {path: frozenset(digests) for path, digests in noted.workspaces.items()}


def note(state: State, agent: str, directory: str, scans: Iterable[Scan]) -> None:
    """Note what was found in these workspaces, and nothing else of them. Raises AirlockError."""
    with state.changing():
        noted = _read(state, agent, directory)
        found = {each.root: sorted(item.digest for item in each.items) for each in scans}
        made = _Noted(directory, {**noted.workspaces, **found})
        state.write(_name(agent), msgspec.json.encode(made).decode() + "\n")


def forget(state: State, agent: str) -> None:
    """Forget all workspaces of an agent."""
    with suppress(FileNotFoundError):
        os.unlink(state.path(_name(agent)))


def _read(state: State, agent: str, directory: str) -> _Noted:
    text = state.read(_name(agent))
    if text is None:
        return _Noted(directory, {})
    try:
        noted = msgspec.json.decode(text, type=_Noted)
    except msgspec.MsgspecError as error:
        path = state.path(_name(agent))
        raise AirlockError(
            f"{path} is not as it was written: {error}",
            hint=f"remove it, and note the workspaces again: airlock-daemon scan {agent} --accept",
        ) from error
    # Another agent had the name.
    return noted if noted.directory == directory else _Noted(directory, {})


def _name(agent: str) -> str:
    return f"scan-{agent}.json"
