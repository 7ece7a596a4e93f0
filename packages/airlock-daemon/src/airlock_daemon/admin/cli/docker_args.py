"""The words of `--docker-arg`: what they would give a container that no profile can take back."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from airlock_daemon.boundary.identity.engine_sockets import is_engine_socket, list_engine_sockets
from airlock_daemon.errors import AirlockError
from airlock_daemon.path_text import absolute, is_within
from airlock_daemon.setup.bridge import BridgeVolume
from airlock_wire import quote

_MOUNTING = ("--volume", "--mount", "--volumes-from")
_API_SOCKET = "--use-api-socket"


def refuse_doors(
    words: Sequence[str],
    *,
    sockets_dir: str,
    agent: str,
    accepts_engine: bool,
    volumes: Iterable[BridgeVolume],
    list_mounts: Callable[[str], Iterable[str]],
) -> Iterator[str]:
    """Check the words of `--docker-arg`, and yield warnings.

    Raises AirlockError for mounts of an engine's socket, unless accepted, of other agents' sockets,
    and of the bridges' `volumes`. `list_mounts` names the paths and volumes that a container has,
    for --volumes-from. The daemon later detects an engine's socket through the kernel; this comes
    earlier.
    """
    own = os.path.join(os.path.realpath(sockets_dir), agent)
    bridged = {name for volume in volumes for name in (volume.name, volume.home)}
    if _API_SOCKET in words and not accepts_engine:
        raise _refuse_engine(_API_SOCKET, agent)
    for source in _list_sources(words, list_mounts):
        # A volume is a directory of its name, too, where the engine keeps it.
        if not bridged.isdisjoint(source.split("/")):
            raise AirlockError(
                f"{quote(source)} is the volume of a bridge: what mounts it is that agent, or "
                "changes what its containers run",
                hint="leave it out: run mounts the volumes of its own agent",
            )
        if not _is_path(source):
            continue
        path = os.path.realpath(absolute(source))
        inner = (each for each in list_engine_sockets() if is_within(each, path))
        is_engines = is_engine_socket(path) or any(map(os.path.exists, inner))
        if is_engines and not accepts_engine and not is_within(path, own):
            raise _refuse_engine(source, agent)
        sockets = os.path.dirname(own)
        is_others = is_within(path, sockets) and not is_within(path, own)
        if (is_others and path != f"{own}.sock") or is_within(sockets, path):
            raise AirlockError(
                f"{quote(source)} would give the container the sockets of other agents, and with "
                "them what those may do",
                hint="leave it out: run mounts the socket of its own agent",
            )
        if _is_ssh_agent(path):
            yield (
                f"warning: the container gets your ssh-agent ({quote(source)}): what runs in it "
                "can sign with all your keys past Airlock's rules; leave that out if it need not"
            )


def _refuse_engine(source: str, agent: str) -> AirlockError:
    return AirlockError(
        f"{quote(source)} would give the container the socket of a container engine: who can use "
        "that is root on this host",
        hint="leave it out; or accept that, in the airlock.toml of "
        f"{agent}: [workspace] engine_socket = true",
    )


def _is_ssh_agent(path: str) -> bool:
    own = os.environ.get("SSH_AUTH_SOCK")
    return bool(own) and is_within(os.path.realpath(str(own)), path)


def _is_path(source: str) -> bool:
    """Whether a mount's source is a path, and no volume's name."""
    return "/" in source or source in (".", "..", "~")


def _list_sources(
    words: Iterable[str], list_mounts: Callable[[str], Iterable[str]]
) -> Iterator[str]:
    """The host's paths, and the names of volumes, that words of `docker run` mount."""
    for flag, value in _list_options(words):
        if flag == "--volumes-from":
            yield from list_mounts(value.partition(":")[0])
        elif flag == "--volume":
            yield value.partition(":")[0]
        else:
            for field in next(csv.reader([value]), []):
                key, _, source = field.partition("=")
                if key.strip().lower() in ("source", "src"):
                    yield source


def _list_options(words: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The options of `docker run` that mount, and their values."""
    flag = ""
    for word in words:
        name, has_value, value = word.partition("=")
        if flag:
            yield flag, word
            flag = ""
        elif name in _MOUNTING:
            flag = "" if has_value else name
            if has_value:
                yield name, value
        elif not word.startswith("--") and word.startswith("-") and "v" in word:
            # -v, -vSOURCE:TARGET and -itv: no short flag that takes a value comes before a v.
            value = word.partition("v")[2].removeprefix("=")
            flag = "" if value else "--volume"
            if value:
                yield "--volume", value
