"""The words of `--docker-arg`: what they would give a container that no profile can take back."""

import csv
import io
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from airlock_daemon.boundary.identity.engine_sockets import leads_to_engine
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
    # As they are random, a word that contains one can only be meant to reach that volume.
    bridged = [volume.name for volume in volumes]
    for word in words:
        _refuse_bridged(word, bridged)
        if word.partition("=")[0] == _API_SOCKET and not accepts_engine:
            raise _refuse_engine(word, agent)
    for source in _list_sources(words, list_mounts):
        _refuse_bridged(source, bridged)
        if not _is_path(source):
            continue
        path = os.path.realpath(absolute(source))
        # A volume is a directory of its name, too, where the engine keeps it.
        _refuse_bridged(path, bridged)
        if leads_to_engine(path) and not accepts_engine and not is_within(path, own):
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


def _refuse_bridged(text: str, names: Iterable[str]) -> None:
    if any(name in text for name in names):
        raise AirlockError(
            f"{quote(text)} is the volume of a bridge: what mounts it is that agent, or changes "
            "what its containers run",
            hint="leave it out: run mounts the volumes of its own agent",
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
    return "/" in source or source.startswith((".", "~"))


def _list_sources(
    words: Sequence[str], list_mounts: Callable[[str], Iterable[str]]
) -> Iterator[str]:
    """The host's paths, and the names of volumes, that words of `docker run` mount."""
    for flag, value in _list_options(words):
        if flag == "--volumes-from":
            yield from list_mounts(value.partition(":")[0])
        elif flag == "--volume":
            yield value.partition(":")[0]
        else:
            yield from _list_mounted(value)


def _list_mounted(option: str) -> Iterator[str]:
    """The paths and volumes in a value of --mount."""
    # docker passes over empty lines before it, and obeys one line.
    for field in itertools.chain.from_iterable(csv.reader(io.StringIO(option, newline=None))):
        key, _, value = field.partition("=")
        if key.strip().lower() in ("source", "src"):
            yield value
        elif key.strip().lower() == "volume-opt":
            # A volume that is made for it may bind: device=PATH, or o=lowerdir=PATH:PATH.
            yield from filter(_is_path, re.split("[=:,]", value))


def _list_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options of `docker run` that mount, and their values.

    A word counts as an option even where it may be the value of the one before it.
    """
    for word, following in itertools.zip_longest(words, words[1:], fillvalue=""):
        name, has_value, value = word.partition("=")
        if name in _MOUNTING:
            yield name, value if has_value else following
        elif word.startswith("-") and not word.startswith("--") and "v" in word:
            # -v, -vSOURCE:TARGET and -itv: no short flag that takes a value comes before a v.
            yield "--volume", word.partition("v")[2].removeprefix("=") or following
