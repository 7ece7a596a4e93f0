"""Ways out of a container beside Airlock's that words for docker would open."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence

from airlock_daemon.errors import AirlockError
from airlock_daemon.identity.engine_sockets import is_engine_socket, list_engine_sockets
from airlock_daemon.setup.paths import absolute
from airlock_daemon.setup.reserved import is_within
from airlock_wire import quote

_LONG = ("--volume", "--mount")
_API_SOCKET = "--use-api-socket"


def refuse_doors(
    words: Sequence[str], *, sockets_dir: str, agent: str, accepts_engine: bool
) -> Iterator[str]:
    """Look through what `--docker-arg` says, and yield warnings.

    Raises AirlockError for mounts of an engine's socket, unless that is accepted, and of sockets of
    other agents. The daemon finds an engine's socket by the kernel's word; this is said before.
    """
    own = os.path.join(os.path.realpath(sockets_dir), agent)
    if _API_SOCKET in words and not accepts_engine:
        raise _refuse_engine(_API_SOCKET, agent)
    for source in _list_sources(words):
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


def _list_sources(words: Iterable[str]) -> Iterator[str]:
    """The paths of the host that words of `docker run` mount."""
    flag = ""
    for word in words:
        if flag:
            yield from _read_source(flag, word)
            flag = ""
            continue
        name, has_value, value = word.partition("=")
        if name in _LONG:
            flag = "" if has_value else name
            yield from _read_source(name, value) if has_value else ()
        elif not word.startswith("--") and word.startswith("-") and "v" in word:
            # -v, -vSOURCE:TARGET and -itv: no short flag before it that takes a value has a v.
            value = word.partition("v")[2].removeprefix("=")
            flag = "" if value else "--volume"
            yield from _read_source("--volume", value) if value else ()


def _read_source(flag: str, value: str) -> Iterator[str]:
    if flag == "--mount":
        for field in next(csv.reader([value]), []):
            key, _, source = field.partition("=")
            if key.strip().lower() in ("source", "src"):
                yield source
        return
    source = value.split(":", 1)[0]
    # What has no slash is the name of a volume.
    if "/" in source or source in (".", "..", "~"):
        yield source
