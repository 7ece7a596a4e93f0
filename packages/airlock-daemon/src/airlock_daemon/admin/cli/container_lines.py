"""Lines to copy: an agent's socket, and the shim under its commands' names."""

import json
import shlex
from collections.abc import Iterable

import msgspec

from airlock_daemon.admin.cli.wiring import Mount, Wiring, begin_words, docker_words

IMAGE = "IMAGE"
COMMAND = "COMMAND"
"""The placeholder for the image's command, if the lines need one."""

_HERE = Mount(source="$PWD", target="$PWD")
"""The current directory, if the wiring has no workspace."""


def docker_run(wiring: Wiring, *, user: str) -> str:
    """A `docker run` for a terminal; `user` is UID:GID."""
    spaces = wiring.workspaces or (_HERE,)
    complete = msgspec.structs.replace(wiring, workspaces=spaces)
    directory = spaces[0].target
    groups = docker_words(complete, user=user, directory=directory, has_terminal=True)
    command = () if wiring.entrypoint is None else (COMMAND,)
    return lay_out([*groups, (IMAGE, *begin_words(wiring, command))])


def lay_out(groups: Iterable[tuple[str, ...]]) -> str:
    """Format a shell command with one group of words per line."""
    return " \\\n    ".join(" ".join(map(_type, words)) for words in groups)


def compose(wiring: Wiring, *, user: str) -> str:
    """A compose.yaml with one service; `user` is UID:GID."""
    spaces = [_volume(mount) for mount in wiring.workspaces]
    # Compose replaces variables that are not escaped.
    spaces = spaces or [_volume(_HERE) | {"source": "${PWD}", "target": "${PWD}"}]
    volumes = [*spaces, *map(_volume, wiring.mounts)]
    service = [f"image: {IMAGE}", f"user: {_quote(user)}"]
    service += [f"working_dir: {_quote(spaces[0]['target'])}"]
    if wiring.environment:
        service.append(f"environment: {_quote(wiring.environment)}")
    service += [f"network_mode: {_quote(network)}" for network in wiring.networks]
    if wiring.entrypoint is not None:
        service.append(f"entrypoint: {_quote((wiring.entrypoint, *begin_words(wiring, ())))}")
    service += ["volumes:", *(f"  - {_quote(volume)}" for volume in volumes)]
    # Those of a bridge are there already.
    names = dict.fromkeys(mount.volume for mount in wiring.mounts if mount.volume)
    own = ("volumes:", *(f"  {name}: {{external: true}}" for name in names)) if names else ()
    return "\n".join(("services:", "  agent:", *(f"    {line}" for line in service), *own))


def devcontainer(wiring: Wiring, *, user: str) -> dict[str, object]:
    """A devcontainer.json; `user` is UID:GID."""
    folder = "${localWorkspaceFolder}"
    first, *more = wiring.workspaces or (Mount(source=folder, target=folder),)
    made: dict[str, object] = {
        "image": IMAGE,
        "containerUser": user,
        "remoteUser": user,
        # The ids are right already, and belong to no user of the image.
        "updateRemoteUserUID": False,
        "workspaceMount": first.option,
        "workspaceFolder": first.target,
        "mounts": [mount.option for mount in (*more, *wiring.mounts, _protect(first))],
    }
    if wiring.environment:
        made["containerEnv"] = wiring.environment
    if wiring.entrypoint is not None:
        # The editor replaces an entrypoint by its own command.
        line = shlex.join((wiring.entrypoint, *begin_words(wiring, ("sleep", "infinity"))))
        made["postStartCommand"] = f"nohup sh -c '{line} &' >/dev/null 2>&1"
    return made


def _protect(workspace: Mount) -> Mount:
    """A read-only mount of devcontainer.json's directory, which the editor obeys on the host."""
    name = ".devcontainer"
    return Mount(
        source=f"{workspace.source}/{name}", target=f"{workspace.target}/{name}", read_only=True
    )


def _type(word: str) -> str:
    # Workspaces cannot have these paths, as theirs start with a slash.
    return f'"{word}"' if word in (_HERE.option, _HERE.target) else shlex.quote(word)


def _volume(mount: Mount) -> dict[str, object]:
    if mount.volume:
        part = {"subpath": mount.source} if mount.source else {}
        return {
            "type": "volume",
            "source": mount.volume,
            "target": mount.target,
            "read_only": mount.read_only,
            "volume": {"nocopy": True, **part},
        }
    return {
        "type": "bind",
        "source": mount.source.replace("$", "$$"),
        "target": mount.target.replace("$", "$$"),
        "read_only": mount.read_only,
        "bind": {"create_host_path": False},
    }


def _quote(value: object) -> str:
    # JSON is YAML.
    return json.dumps(value, ensure_ascii=False)
