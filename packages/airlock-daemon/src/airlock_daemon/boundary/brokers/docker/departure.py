"""Removes what an agent has made at a docker engine, when the agent is removed."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec

from airlock_daemon.boundary.brokers.docker.connections import ask
from airlock_daemon.boundary.brokers.docker.engine_socket import find_engine_of
from airlock_daemon.boundary.brokers.docker.images import ImageRecord
from airlock_daemon.boundary.brokers.docker.lookups import find_version
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import Secrets
from airlock_modules.engine import LABEL, ROOT_LABEL, Ownership, OwnImages, encode


async def remove_made(generation: Generation, environment: Mapping[str, str], state: State) -> str:
    """Remove what an agent has made at its engine, and forget its images.

    Returns a line on what stays, "" for nothing.
    """
    if not Secrets(state).has_installation:
        return ""
    name = generation.agent.name
    by_label = f"docker ps -a --filter label={LABEL}={name}"
    try:
        engine = find_engine_of(generation, environment)
        removed = await remove_own(engine, Ownership(name, Secrets(state).find_installation()))
        ImageRecord(state, name).forget_all()
    except AirlockError as error:
        return (
            f"what agent {name} has made at the docker engine stays: {error.message}; "
            f"{error.hint}; find it: {by_label}"
        )
    if not removed.left:
        return ""
    kept = ", ".join(removed.left)
    return f"agent {name}: the docker engine has kept {kept}; look why, and remove it: {by_label}"


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """How many objects were removed, and the names of those that the engine kept."""

    count: int
    left: tuple[str, ...]


async def remove_own(engine: str, ownership: Ownership) -> Removed:
    """Remove an agent's containers, running or not, then its networks, volumes and image names.

    A workspace's volume goes too; the workspace stays. Raises Failed.
    """
    version = await find_version(engine)
    base = f"/v{version[0]}.{version[1]}"
    filters = f"filters={quote(encode({'label': ownership.filters}).decode())}"
    _, containers = await ask(engine, "GET", f"{base}/containers/json?all=1&{filters}")
    _, networks = await ask(engine, "GET", f"{base}/networks?{filters}")
    _, volumes = await ask(engine, "GET", f"{base}/volumes?{filters}")
    found = volumes.get("Volumes") if isinstance(volumes, dict) else None
    wanted = [
        *(
            (each["Names"][0], f"/containers/{each['Id']}?v=1&force=1")
            for each in _list(containers)
            if ownership.owns((each.get("Names") or [""])[0], each.get("Labels"))
        ),
        *(
            (each["Name"], f"/networks/{each['Id']}")
            for each in _list(networks)
            if ownership.owns(each.get("Name"), each.get("Labels"))
        ),
        *(
            (each["Name"], f"/volumes/{each['Name']}")
            for each in _list(found)
            if ownership.owns(each.get("Name"), each.get("Labels")) or _is_root(each, ownership)
        ),
    ]
    _, images = await ask(engine, "GET", f"{base}/images/json")
    prefix = OwnImages(ownership.agent, ownership.installation).prefix
    tags = [tag for each in _list(images) for tag in each.get("RepoTags") or ()]
    wanted += [(tag, f"/images/{tag}") for tag in tags if tag.startswith(prefix)]
    left = []
    for name, path in wanted:
        status, _ = await ask(engine, "DELETE", base + path)
        if status >= HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_FOUND:
            left.append(name.removeprefix("/"))
    return Removed(count=len(wanted) - len(left), left=tuple(left))


def _list(answer: object) -> list[dict[str, Any]]:
    return [each for each in answer if isinstance(each, dict)] if isinstance(answer, list) else []


def _is_root(volume: dict[str, Any], ownership: Ownership) -> bool:
    """Whether a volume is a workspace of the agent, by its name too."""
    labels = volume.get("Labels") or {}
    root = labels.get(ROOT_LABEL)
    if not ownership.mark({}).items() <= labels.items() or not isinstance(root, str):
        return False
    return bool(volume.get("Name") == ownership.root_volume(root))
