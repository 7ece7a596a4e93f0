"""Removes what an agent has made at a docker engine, when the agent is removed."""

from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from airlock_daemon.boundary.brokers.docker.connections import request_json
from airlock_daemon.boundary.brokers.docker.engine_socket import find_engine_of
from airlock_daemon.boundary.brokers.docker.images import ImageRecord
from airlock_daemon.boundary.brokers.docker.lists import ask_list
from airlock_daemon.boundary.brokers.docker.lookups import find_version
from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.setup.generation import Generation, State
from airlock_modules.engine import LABEL, ROOT_LABEL, DockerGrant, Ownership, OwnImages, View

# Of one object: an image may have long labels.
_MAX_LENGTH = 4 << 20
# How many slashes a name of an image may have: in a pattern no `*` crosses one.
_DEEPEST = 32


async def remove_made(generation: Generation, environment: Mapping[str, str], state: State) -> str:
    """Remove what an agent has made at its engine, and forget its images.

    Returns a line on what stays, "" for nothing.
    """
    if not state.secrets.has_installation:
        return ""
    name = generation.agent.name
    by_label = f"docker ps -a --filter label={LABEL}={name}"
    try:
        engine = find_engine_of(generation, environment)
        left = await remove_own(engine, Ownership(name, state.secrets.find_installation()))
        ImageRecord(state, name).forget_all()
    except AirlockError as error:
        return (
            f"what agent {name} has made at the docker engine stays: {error.message}; "
            f"{error.hint}; find it: {by_label}"
        )
    if not left:
        return ""
    kept = ", ".join(left)
    return f"agent {name}: the docker engine has kept {kept}; look why, and remove it: {by_label}"


async def remove_own(engine: str, ownership: Ownership) -> list[str]:
    """Remove an agent's containers, running or not, then its networks, volumes and image names.

    A workspace's volume goes too; the workspace stays. Each kind goes whether the engine lists the
    others or not. Returns the names of those that the engine kept. Raises Failed.
    """
    version = await find_version(engine)
    base = f"/v{version[0]}.{version[1]}"
    view = View(ownership=ownership, grant=DockerGrant(), version=version)
    labels = {"label": ownership.filters}
    prefix = OwnImages(ownership.agent, ownership.installation).prefix
    # A person's images alone may be more than is read of an answer.
    names = {"reference": [f"{prefix}{'*/' * depth}*" for depth in range(1, _DEEPEST)]}
    left, failure = list[str](), None
    for kind, path, filters in (
        ("containers", "/containers/json?all=1", labels),
        ("networks", "/networks", labels),
        ("volumes", "/volumes", labels),
        ("images", "/images/json", names),
    ):
        choose = partial(_choose, kind, ownership)
        try:
            found, dropped = await ask_list(
                engine, path, filters, view, pick=choose, turns=None, longest=_MAX_LENGTH
            )
        except Failed as failed:
            failure = failure or failed
            continue
        left += [f"one of its {kind} that is too long to be looked at"] * dropped
        for name, end in found:
            status, _ = await request_json(engine, "DELETE", f"{base}/{kind}/{end}")
            if status >= HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_FOUND:
                left.append(name.removeprefix("/"))
    if failure is not None:
        raise failure
    return left


def _choose(kind: str, ownership: Ownership, found: dict[str, Any]) -> list[tuple[str, str]]:
    """What of a listed object is the agent's: its name, and the end of its path in the API."""
    if kind == "images":
        prefix = OwnImages(ownership.agent, ownership.installation).prefix
        return [(tag, tag) for tag in found.get("RepoTags") or () if tag.startswith(prefix)]
    name = (found.get("Names") or [found.get("Name", "")])[0]
    is_root = kind == "volumes" and _is_root(found, ownership)
    ends = {"containers": f"{found.get('Id')}?v=1&force=1", "networks": str(found.get("Id"))}
    is_own = is_root or ownership.owns(name, found.get("Labels"))
    return [(name, ends.get(kind, name))] if is_own else []


def _is_root(volume: dict[str, Any], ownership: Ownership) -> bool:
    """Whether a volume is a workspace of the agent, by its name too."""
    labels = volume.get("Labels") or {}
    root = labels.get(ROOT_LABEL)
    if not ownership.add_labels({}).items() <= labels.items() or not isinstance(root, str):
        return False
    return bool(volume.get("Name") == ownership.root_volume(root))
