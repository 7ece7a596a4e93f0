"""Removes what an agent has made at a docker engine, when the agent is removed."""

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec

from airlock_daemon.boundary.brokers.docker.connections import ask
from airlock_daemon.boundary.brokers.docker.lookups import find_version
from airlock_modules.engine import ROOT_LABEL, Ownership, OwnImages, encode


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
    is_marked = ownership.mark({}).items() <= labels.items() and isinstance(root, str)
    return is_marked and bool(volume.get("Name") == ownership.root_volume(root))
